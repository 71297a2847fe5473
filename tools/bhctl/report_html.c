/* SPDX-License-Identifier: Apache-2.0
 *
 * report_html.c: the page of a report; see report.h. Whatever comes from the database is hostile: text() alone writes it.
 */
#include <stdlib.h>

#include "audit.h"
#include "report.h"

#define HOLDERS_SHOWN 200 /* of a merchant: the newest; the log has them all */

typedef struct page {
	bh_buf *out;
	bh_status status; /* the first failure; nothing is written after it */
	bool customer;
} page;

static void put(page *p, const char *html)
{
	if (p->status == BH_OK)
		p->status = bh_buf_append(p->out, html, strlen(html));
}

static void number(page *p, const json_t *object, const char *name)
{
	if (p->status == BH_OK && json_object_get(object, name) != NULL)
		p->status = bh_buf_printf(p->out, "%lld", (long long)json_integer_value(json_object_get(object, name)));
}

/* U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069 turn the text around them: they are shown, not obeyed. */
static bool turns(const uint8_t *at, size_t left)
{
	if (left < 3 || at[0] != 0xe2)
		return false;
	if (at[1] == 0x80)
		return at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xaa && at[2] <= 0xae);
	return at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9;
}

static bh_status escape_html(bh_view bytes, bh_buf *out)
{
	for (size_t i = 0; i < bytes.len; i++) {
		if (turns(bytes.data + i, bytes.len - i)) {
			BH_TRY(bh_buf_printf(out, "\\u%04x",
					     0x2000u | (unsigned)(bytes.data[i + 1] & 1) << 6 |
						     (unsigned)(bytes.data[i + 2] & 0x3f)));
			i += 2;
			continue;
		}
		switch (bytes.data[i]) {
		case '&': BH_TRY(bh_buf_append(out, "&amp;", 5)); break;
		case '<': BH_TRY(bh_buf_append(out, "&lt;", 4)); break;
		case '>': BH_TRY(bh_buf_append(out, "&gt;", 4)); break;
		case '"': BH_TRY(bh_buf_append(out, "&quot;", 6)); break;
		case '\'': BH_TRY(bh_buf_append(out, "&#39;", 5)); break;
		default: BH_TRY(bh_buf_append_u8(out, bytes.data[i]));
		}
	}
	return BH_OK;
}

/* Control characters and what is not UTF-8 are escaped as bhctl shows them, then what HTML takes for its own. */
static void text(page *p, const char *from)
{
	BH_CLEANUP(bh_buf_clear) bh_buf plain = { 0 };

	if (p->status == BH_OK)
		p->status = bh_escape(bh_view_str(from), false, &plain);
	if (p->status == BH_OK)
		p->status = escape_html(bh_buf_view(&plain), p->out);
}

static void text_of(page *p, const json_t *object, const char *name)
{
	text(p, bh_json_text_of(object, name));
}

/* ---- what tables are made of */

static void table(page *p, const char *const *heads, size_t count)
{
	put(p, "<table><thead><tr>");
	for (size_t i = 0; i < count; i++) {
		put(p, "<th scope=\"col\">");
		put(p, heads[i]);
		put(p, "</th>");
	}
	put(p, "</tr></thead><tbody>\n");
}

#define TABLE(p, ...) table(p, (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static void end_table(page *p)
{
	put(p, "</tbody></table>\n");
}

static void cell(page *p, const char *before, const json_t *object, const char *name)
{
	put(p, before);
	text_of(p, object, name);
	put(p, "</td>");
}

/* An id or hash, which may break anywhere. */
static void code(page *p, const json_t *object, const char *name)
{
	put(p, "<code>");
	text_of(p, object, name);
	put(p, "</code>");
}

static void fact(page *p, const char *what, const json_t *object, const char *name)
{
	put(p, "<dt>");
	put(p, what);
	put(p, "</dt><dd>");
	code(p, object, name);
	put(p, "</dd>\n");
}

/* What proves the lines above it. */
static void proof(page *p, const char *command, const char *name, const char *after)
{
	put(p, "<p class=\"proof\">Proof: <code>bhctl --db DB ");
	put(p, command);
	text(p, name);
	put(p, after);
	put(p, "</code></p>\n");
}

/* The number of an audit entry. */
static void entry_cell(page *p, const json_t *event)
{
	put(p, "<td class=\"n\">");
	number(p, event, "seq");
	put(p, "</td>");
}

/* ---- the key that locks */

static void cmk(page *p, const json_t *key)
{
	const json_t *error = json_object_get(key, "error");

	code(p, key, "uri");
	put(p, error != NULL ? "<br/>asked just now: " : "<br/>asked just now: <b>");
	text_of(p, error != NULL ? error : key, error != NULL ? "message" : "state");
	if (error != NULL)
		return;
	put(p, "</b>, version ");
	number(p, key, "version");
	put(p, ", in ");
	text_of(p, key, "region");
	put(p, ", made ");
	text_of(p, key, "created_at");
}

static void former_cmks(page *p, const json_t *list)
{
	const json_t *key;
	size_t i;

	json_array_foreach(list, i, key)
	{
		put(p, "<dt>Former CMK</dt><dd>");
		code(p, key, "uri");
		put(p, "<br/>left ");
		text_of(p, key, "left_at");
		put(p, json_is_true(json_object_get(key, "destroyed")) ? ", known to be destroyed" : ", not known to be destroyed");
		put(p, "</dd>\n");
	}
}

static void dek_rows(page *p, const char *cls, const json_t *deks)
{
	const json_t *dek;
	size_t i;

	json_array_foreach(deks, i, dek)
	{
		bool destroyed = json_is_true(json_object_get(dek, "destroyed"));

		put(p, "<tr><td>");
		text(p, cls);
		put(p, "</td><td class=\"n\">");
		number(p, dek, "generation");
		put(p, "</td><td>");
		code(p, dek, "id");
		cell(p, "</td><td class=\"t\">", dek, "created_at");
		put(p, "<td class=\"n\">");
		number(p, dek, "cmk_version");
		put(p, destroyed ? "</td><td class=\"gone\">" : "</td><td>");
		put(p, !destroyed ? "in use" : json_object_get(dek, "retired_at") != NULL ? "destroyed " : "destroyed");
		if (destroyed)
			text_of(p, dek, "retired_at");
		put(p, json_object_get(dek, "exposed") != NULL ? ", exposed</td></tr>\n" : "</td></tr>\n");
	}
}

static void deks(page *p, const json_t *merchant)
{
	const json_t *cls;
	size_t i;

	put(p, "<h3>Data keys</h3>\n<p>A rotation begins a new generation. An older one is destroyed when no file and no log needs "
	       "it; what it had locked cannot be read after that.</p>\n");
	TABLE(p, "Class", "Generation", "DEK", "Made", "Under CMK version", "Now");
	json_array_foreach(json_object_get(merchant, "classes"), i, cls)
		dek_rows(p, bh_json_text_of(cls, "name"), json_object_get(cls, "deks"));
	end_table(p);
	proof(p, "status ", bh_json_text_of(merchant, "name"), "");
}

/* ---- what has happened */

static void events(page *p, const json_t *list)
{
	const json_t *event;
	size_t i;

	TABLE(p, "When", "What", "By", "Audit entry");
	json_array_foreach(list, i, event)
	{
		cell(p, "<tr><td class=\"t\">", event, "at");
		put(p, "<td class=\"w\"><b>");
		text_of(p, event, "action");
		put(p, json_object_get(event, "class") != NULL ? "</b> " : "</b>");
		text_of(p, event, "class");
		if (strcmp(bh_json_text_of(event, "outcome"), "ok") != 0) {
			put(p, " <span class=\"bad\">");
			text_of(p, event, "outcome");
			put(p, "</span>");
		}
		put(p, json_object_get(event, "what") != NULL ? ": " : "");
		text_of(p, event, "what");
		if (json_object_get(event, "dek") != NULL) {
			put(p, " DEK ");
			code(p, event, "dek");
		}
		put(p, json_object_get(event, "cmk_version") != NULL ? " CMK version " : "");
		number(p, event, "cmk_version");
		cell(p, "</td><td>", event, "by");
		entry_cell(p, event);
		put(p, "</tr>\n");
	}
	end_table(p);
}

static void history(page *p, const char *title, const json_t *merchant, const char *member, const char *none)
{
	const json_t *list = json_object_get(merchant, member);

	put(p, "<h3>");
	put(p, title);
	put(p, "</h3>\n");
	if (json_array_size(list) == 0) {
		put(p, "<p>");
		put(p, none);
		put(p, "</p>\n");
	} else {
		events(p, list);
	}
	proof(p, "audit show --merchant ", bh_json_text_of(merchant, "name"), "");
}

static void holder_row(page *p, const json_t *item)
{
	bool certain = json_is_true(json_object_get(item, "certain"));

	cell(p, "<tr><td class=\"t\">", item, "from");
	put(p, certain ? "<td class=\"t\">" : "<td>not known: last heard of ");
	text_of(p, item, certain ? "until" : "last_heard_of");
	put(p, certain ? "" : ", its lease ended by ");
	text_of(p, item, certain ? "" : "lease_until");
	put(p, "</td><td>");
	text_of(p, item, "actor");
	put(p, "@");
	text_of(p, item, "host");
	put(p, "[");
	number(p, item, "pid");
	put(p, "]<br/>");
	code(p, item, "process");
	cell(p, "</td><td>", item, "end");
	put(p, "</tr>\n");
}

static void holders(page *p, const json_t *merchant)
{
	const json_t *list = json_object_get(merchant, "holders");
	size_t count = json_array_size(list), first = count > HOLDERS_SHOWN ? count - HOLDERS_SHOWN : 0;

	put(p,
	    "<h3>Who could decrypt, and when</h3>\n<p>The processes that the KMS has let unwrap the data keys, each until it wiped "
	    "them, closed, or the next one opened. Nobody else could, by this log.");
	if (first > 0 && p->status == BH_OK)
		p->status = bh_buf_printf(p->out, " The last %d of %zu.", HOLDERS_SHOWN, count);
	put(p, "</p>\n");
	TABLE(p, "From", "Until", "Process", "How it ended");
	for (size_t i = first; i < count; i++)
		holder_row(p, json_array_get(list, i));
	end_table(p);
	proof(p, "audit who-could-decrypt --merchant ", bh_json_text_of(merchant, "name"), " --at 2026-01-31T12:00:00Z");
}

static void shred(page *p, const json_t *merchant)
{
	const json_t *certificate = json_object_get(merchant, "shred"), *item;
	const json_t *key = json_object_get(certificate, "cmk"), *times = json_object_get(certificate, "times");
	size_t i;

	if (certificate == NULL)
		return;
	put(p, "<h3>Shred</h3>\n<dl>\n");
	fact(p, "Certificate", certificate, "status");
	fact(p, "Asked for", times, "asked");
	fact(p, "Unreadable since", times, "unreadable");
	fact(p, "Finished", times, "finished");
	fact(p, "CMK is", key, "state");
	fact(p, "CMK destroyed", key, "destroyed");
	fact(p, "KMS request", key, "request_id");
	json_array_foreach(json_object_get(certificate, "proof"), i, item)
	{
		put(p, "<dt>Tried afterwards</dt><dd>");
		text_of(p, item, "operation");
		put(p, ": ");
		text_of(p, item, "result");
		put(p, ", ");
		text_of(p, item, "at");
		put(p, "</dd>\n");
	}
	fact(p, "Signature", certificate, "signature");
	put(p, "</dl>\n");
	proof(p, "merchant certificate ", bh_json_text_of(merchant, "name"), " | bhctl certificate verify - --public-key ...");
}

static void merchant_section(page *p, const json_t *merchant)
{
	put(p, "<section><h2>");
	text_of(p, merchant, "name");
	put(p, " <span class=\"state ");
	text_of(p, merchant, "state");
	put(p, "\">");
	text_of(p, merchant, "state");
	put(p, "</span></h2>\n<dl>\n");
	fact(p, "Id", merchant, "id");
	if (json_object_get(merchant, "cause") != NULL) {
		put(p, "<dt>Switched off</dt><dd>");
		text_of(p, merchant, "cause");
		put(p, ", since ");
		text_of(p, merchant, "since");
		put(p, json_object_get(merchant, "note_hex") != NULL ? ": (hex) " : ": ");
		text_of(p, merchant, "note");
		put(p, "</dd>\n");
	}
	put(p, "<dt>CMK</dt><dd>");
	cmk(p, json_object_get(merchant, "cmk"));
	put(p, "</dd>\n");
	former_cmks(p, json_object_get(merchant, "former_cmks"));
	put(p, "</dl>\n");
	history(p, "States", merchant, "states", "The log does not go back to a change.");
	deks(p, merchant);
	history(p, "Keys, rotations, erasures", merchant, "events", "Nothing has happened to its keys.");
	holders(p, merchant);
	shred(p, merchant);
	put(p, "</section>\n");
}

/* ---- the whole */

/* Black on white, for a screen and for paper. */
static const char style[] =
	"<style>\n"
	":root{color-scheme:light}\n"
	"body{font:15px/1.45 Georgia,'DejaVu Serif',serif;color:#1a1a1a;background:#fff;max-width:62rem;margin:2.5rem auto;"
	"padding:0 1.5rem}\n"
	"h1,h2,h3,th,dt,.state,.proof{font-family:system-ui,'DejaVu Sans',sans-serif}\n"
	"h1{font-size:1.7rem;margin:0 0 .2rem}\n"
	"h2{font-size:1.25rem;border-top:2px solid #1a1a1a;padding-top:.7rem;margin:2.6rem 0 .6rem}\n"
	"h3{font-size:1rem;margin:1.5rem 0 .3rem}\n"
	"p{margin:.3rem 0}.sub{color:#555}\n"
	"code{font:12.5px/1.4 ui-monospace,'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}\n"
	"dl{display:grid;grid-template-columns:11rem 1fr;gap:.25rem 1rem;margin:.6rem 0}\n"
	"dt{color:#555;font-size:.85rem;padding-top:.1rem}dd{margin:0;overflow-wrap:anywhere}\n"
	"table{border-collapse:collapse;width:100%;margin:.5rem 0;font-size:.88rem}\n"
	"th{text-align:left;font-size:.78rem;color:#555;border-bottom:1px solid #1a1a1a;padding:.25rem .8rem .25rem 0;"
	"vertical-align:bottom}\n"
	"td{border-bottom:1px solid #ddd;padding:.3rem .8rem .3rem 0;vertical-align:top}\n"
	"td.t,td.n{font-variant-numeric:tabular-nums;white-space:nowrap;width:1%}td.w{overflow-wrap:anywhere}\n"
	".gone{color:#666}.bad{color:#9a1b1b;font-weight:bold}\n"
	".state{font-size:.75rem;font-weight:600;border:1px solid;border-radius:3px;padding:.1rem .4rem;vertical-align:.15rem}\n"
	".active{color:#14532d}.suspended{color:#8a4b00}.shredded{color:#9a1b1b}\n"
	".proof{font-size:.78rem;color:#555}\n"
	"@page{margin:18mm 16mm}\n"
	"@media print{body{font-size:10.5pt;max-width:none;margin:0;padding:0}h2,h3{break-after:avoid}"
	"tr,dl,.proof{break-inside:avoid}.proof{break-before:avoid}thead{display:table-header-group}code{font-size:8pt}}\n"
	"</style>\n";

static void head(page *p, const json_t *report)
{
	const json_t *database = json_object_get(report, "database");

	put(p, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
	       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
	       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>Bulkhead report");
	put(p, p->customer ? ": " : "");
	text_of(p, report, "customer");
	put(p, "</title>\n");
	put(p, style);
	put(p, "</head>\n<body>\n<h1>");
	put(p, p->customer ? "Keys and custody of " : "Keys and custody");
	text_of(p, report, "customer");
	put(p, "</h1>\n<p class=\"sub\">Made ");
	text_of(p, report, "made_at");
	put(p,
	    ". Times are UTC. Under each part stands the command that proves it; DB is the database&#39;s directory.</p>\n<dl>\n");
	fact(p, "Database", database, "id");
	fact(p, "Region", database, "region");
	fact(p, "Signs with", database, "public_key");
	fact(p, "Audit log up to", database, "floor");
	fact(p, "Signed at", database, "signed_at");
	if (!p->customer) {
		put(p, "<dt>Platform&#39;s CMK</dt><dd>");
		cmk(p, json_object_get(database, "platform_cmk"));
		put(p, "</dd>\n");
	}
	put(p,
	    "</dl>\n<p>The audit log was proved whole when this was made: every entry is chained to the one before it and signed");
	put(p, json_integer_value(json_object_get(database, "archived")) > 0
		       ? ", from where its archive ends; what is archived was not looked at, and is missing below.</p>\n"
		       : " from its first on.</p>\n");
	put(p, "<p class=\"proof\">Proof: <code>bhctl audit verify DB/AUDIT --public-key ");
	text_of(p, database, "public_key");
	put(p, " --floor ");
	text_of(p, database, "floor");
	put(p, "</code></p>\n");
}

static void summary(page *p, const json_t *report)
{
	const json_t *merchant, *key;
	size_t i;

	put(p, "<h2>Merchants</h2>\n");
	TABLE(p, "Merchant", "State", "CMK", "CMK version", "Holders of its keys");
	json_array_foreach(json_object_get(report, "merchants"), i, merchant)
	{
		key = json_object_get(merchant, "cmk");
		cell(p, "<tr><td>", merchant, "name");
		cell(p, "<td>", merchant, "state");
		put(p, "<td>");
		code(p, key, "uri");
		put(p, "</td><td class=\"n\">");
		number(p, key, "version");
		put(p, "</td><td class=\"n\">");
		if (p->status == BH_OK)
			p->status = bh_buf_printf(p->out, "%zu", json_array_size(json_object_get(merchant, "holders")));
		put(p, "</td></tr>\n");
	}
	end_table(p);
	proof(p, "status", "", "");
	put(p, "<h3>The platform&#39;s own data keys</h3>\n");
	TABLE(p, "", "Generation", "DEK", "Made", "Under CMK version", "Now");
	dek_rows(p, "platform", json_object_get(json_object_get(report, "database"), "platform_deks"));
	end_table(p);
}

bh_status report_html(const json_t *report, bh_buf *out)
{
	page p = { .out = out, .customer = json_object_get(report, "customer") != NULL };
	const json_t *merchant;
	size_t i;

	head(&p, report);
	if (!p.customer)
		summary(&p, report);
	json_array_foreach(json_object_get(report, "merchants"), i, merchant) merchant_section(&p, merchant);
	put(&p, "</body>\n</html>\n");
	return p.status;
}
