// SPDX-License-Identifier: Apache-2.0
//
// evening.cc: evening.c in C++17: handles that close themselves, failures as exceptions.
// c++ -std=c++17 -o evening evening.cc $(pkg-config --cflags --libs bulkhead)
#include <bulkhead/bulkhead.h>

#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

struct failure : std::runtime_error {
	bh_status status;
	explicit failure(bh_status why) : std::runtime_error(bh_status_message()), status(why) {}
};

static void must(bh_status status)
{
	if (status != BH_OK)
		throw failure(status);
}

static bh_view view(std::string_view text)
{
	return bh_view_of(text.data(), text.size());
}

template <auto close> struct closer {
	template <class T> void operator()(T *handle) const { close(handle); }
};
using database = std::unique_ptr<bh_db, closer<bh_db_close>>;
using data_class = std::unique_ptr<bh_cf, closer<bh_cf_close>>;

struct buffer : bh_buf {
	buffer() : bh_buf{} {}
	buffer(const buffer &) = delete;
	~buffer() { bh_buf_clear(this); }
	std::string_view text() const { return { reinterpret_cast<const char *>(data), len }; }
};

static data_class add(bh_db *db, const std::string &name, const std::string &row)
{
	const std::string key_uri = "local:evening-kms#" + name;
	const char *const classes[] = { "profile" };
	const bh_merchant_options options = { classes, 1 };
	bh_write_options durable = {};
	bh_cf *cf = nullptr;

	must(bh_kms_create(key_uri.c_str(), "eu", nullptr)); // the customer does this, in a KMS of its own
	must(bh_merchant_add(db, name.c_str(), key_uri.c_str(), &options));
	must(bh_cf_open(db, name.c_str(), "profile", &cf));
	data_class out(cf);
	durable.sync = true;
	must(bh_put(cf, &durable, view("user:17"), view(row)));
	return out;
}

static void show(std::string_view when, bh_cf *cf)
{
	buffer value;
	bh_status status = bh_get(cf, nullptr, view("user:17"), &value);

	if (status == BH_OK)
		std::cout << when << ": user:17 is " << value.text() << '\n';
	else
		std::cout << when << ": " << bh_status_name(status) << '\n';
}

int main()
try {
	bh_db *opened = nullptr;
	bh_certificate_info info;
	buffer certificate;

	must(bh_kms_create("local:evening-kms#platform", "eu", nullptr));
	must(bh_db_create("evening-db", "eu", "local:evening-kms#platform", nullptr));
	must(bh_db_open("evening-db", nullptr, &opened));
	database db(opened);
	data_class acme = add(db.get(), "acme", "Ada"), blue = add(db.get(), "blue", "Grace");
	show("acme", acme.get());
	must(bh_merchant_suspend(db.get(), "acme", nullptr));
	show("acme, suspended", acme.get());
	show("blue meanwhile", blue.get());
	must(bh_merchant_resume(db.get(), "acme", nullptr));
	show("acme, resumed", acme.get());
	must(bh_merchant_shred(db.get(), "acme", &certificate));
	must(bh_certificate_verify(bh_buf_view(&certificate), nullptr, &info));
	std::cout << "the certificate of " << info.merchant << " is " << (info.is_final ? "FINAL" : "PENDING") << '\n';
	show("acme, shredded", acme.get());
	show("blue still", blue.get());
} catch (const failure &why) {
	std::cerr << bh_status_name(why.status) << ": " << why.what() << '\n';
	return bh_status_exit_code(why.status);
}
