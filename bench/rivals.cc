// SPDX-License-Identifier: Apache-2.0
//
// rivals.cc: see rivals.h. C++ because EncryptedEnv, its providers and its ciphers are C++ classes that the C API does not offer.
//
// Both are done as well as their interfaces allow, so that the comparison is fair: AES-NI by OpenSSL, a key schedule once a thread,
// no allocation per call.
#include "rivals.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <rocksdb/env.h>
#include <rocksdb/env_encryption.h>

#include <cstring>
#include <memory>

using namespace ROCKSDB_NAMESPACE;

// The C API's own definition (db/c.cc); bh_bridge_check_layout() proves it.
struct rocksdb_env_t {
	Env *rep;
	bool is_default;
};

namespace
{

constexpr size_t kBlock = 16;
constexpr size_t kPrefix = 4096; // as RocksDB's own provider has it
const unsigned char kKey[33] = "bench: a key for measuring, only";

// A context of this thread with the key set.
template <const EVP_CIPHER *(*Cipher)()> EVP_CIPHER_CTX *ThreadContext()
{
	struct Owner {
		EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
		bool ready = ctx != nullptr && EVP_EncryptInit_ex(ctx, Cipher(), nullptr, kKey, nullptr) > 0 &&
			     EVP_CIPHER_CTX_set_padding(ctx, 0) > 0;
		Owner() = default;
		Owner(const Owner &) = delete;
		Owner &operator=(const Owner &) = delete;
		~Owner() { EVP_CIPHER_CTX_free(ctx); }
	};
	static thread_local Owner owner;
	return owner.ready ? owner.ctx : nullptr;
}

Status CipherFailed()
{
	return Status::IOError("OpenSSL failed");
}

class AesBlock : public BlockCipher
{
public:
	const char *Name() const override { return "AES-256"; }
	size_t BlockSize() override { return kBlock; }
	Status Encrypt(char *data) override
	{
		EVP_CIPHER_CTX *ctx = ThreadContext<EVP_aes_256_ecb>();
		unsigned char *bytes = reinterpret_cast<unsigned char *>(data);
		int written = 0;
		bool ok = ctx != nullptr && EVP_EncryptUpdate(ctx, bytes, &written, bytes, kBlock) > 0;
		return ok ? Status::OK() : CipherFailed();
	}
	Status Decrypt(char *) override { return Status::NotSupported("CTR only encrypts"); }
};

class EvpStream : public BlockAccessCipherStream
{
public:
	explicit EvpStream(const char *iv) { memcpy(iv_, iv, sizeof(iv_)); }
	size_t BlockSize() override { return kBlock; }
	Status Encrypt(uint64_t off, char *data, size_t len) override { return Xor(off, data, len); }
	Status Decrypt(uint64_t off, char *data, size_t len) override { return Xor(off, data, len); }

protected:
	// Not asked for: whole buffers arrive above.
	void AllocateScratch(std::string &) override {}
	Status EncryptBlock(uint64_t, char *, char *) override { return Status::NotSupported(); }
	Status DecryptBlock(uint64_t, char *, char *) override { return Status::NotSupported(); }

private:
	// The file's IV plus the block's index, as a 128-bit big-endian number.
	void Counter(uint64_t block, unsigned char out[kBlock]) const
	{
		unsigned carry = 0;
		for (size_t i = kBlock; i-- > 0; block >>= 8) {
			carry += iv_[i] + static_cast<unsigned>(block & 0xff);
			out[i] = static_cast<unsigned char>(carry);
			carry >>= 8;
		}
	}

	Status Xor(uint64_t off, char *data, size_t len) const
	{
		EVP_CIPHER_CTX *ctx = ThreadContext<EVP_aes_256_ctr>();
		unsigned char counter[kBlock], skipped[kBlock] = { 0 };
		unsigned char *bytes = reinterpret_cast<unsigned char *>(data);
		int skip = static_cast<int>(off % kBlock), written = 0;
		Counter(off / kBlock, counter);
		bool ok = ctx != nullptr && EVP_EncryptInit_ex(ctx, nullptr, nullptr, nullptr, counter) > 0 &&
			  EVP_EncryptUpdate(ctx, skipped, &written, skipped, skip) > 0 &&
			  EVP_EncryptUpdate(ctx, bytes, &written, bytes, static_cast<int>(len)) > 0;
		return ok ? Status::OK() : CipherFailed();
	}

	unsigned char iv_[kBlock];
};

class EvpProvider : public EncryptionProvider
{
public:
	const char *Name() const override { return "EVP-CTR"; }
	size_t GetPrefixLength() const override { return kPrefix; }
	Status CreateNewPrefix(const std::string &, char *prefix, size_t len) const override
	{
		memset(prefix, 0, len);
		return RAND_bytes(reinterpret_cast<unsigned char *>(prefix), kBlock) > 0 ? Status::OK() : CipherFailed();
	}
	Status AddCipher(const std::string &, const char *, size_t, bool) override { return Status::NotSupported(); }
	Status CreateCipherStream(const std::string &, const EnvOptions &, Slice &prefix,
				  std::unique_ptr<BlockAccessCipherStream> *result) override
	{
		if (prefix.size() < kBlock)
			return Status::Corruption("no IV");
		*result = std::make_unique<EvpStream>(prefix.data());
		return Status::OK();
	}
};

bh_status NewEnv(const std::shared_ptr<EncryptionProvider> &provider, rocksdb_env_t **out)
{
	Env *env = provider != nullptr ? NewEncryptedEnv(Env::Default(), provider) : nullptr;
	if (env == nullptr)
		return bh_fail(BH_E_CRYPTO, "RocksDB makes no encrypted Env");
	*out = new rocksdb_env_t{ env, false };
	return BH_OK;
}

} // namespace

bh_status bench_stock_ctr_env(rocksdb_env_t **out)
{
	return NewEnv(EncryptionProvider::NewCTRProvider(std::make_shared<AesBlock>()), out);
}

bh_status bench_evp_ctr_env(rocksdb_env_t **out)
{
	return NewEnv(std::make_shared<EvpProvider>(), out);
}
