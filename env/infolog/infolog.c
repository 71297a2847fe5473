/* SPDX-License-Identifier: Apache-2.0
 *
 * infolog.c: walks a printf format and its arguments; see infolog.h.
 */
#include "infolog.h"

#include <stdio.h>
#include <stdlib.h>

#include "infolog_rules.h"

#define EVENT_PREFIX "EVENT_LOG_v1 "
#define BUFFERED_FORMAT "(Original Log Time %04d/%02d/%02d-%02d:%02d:%02d.%06d) %s"
#define EVENT_FORMAT "%s %s" /* RocksDB's event logger: prefix, object */

typedef struct arg_list {
	va_list ap;
} arg_list;

/* One conversion, '*' already resolved. */
typedef struct conversion {
	char flags[8];
	int width;     /* -1: none */
	int precision; /* -1: none */
	char length;   /* h, H (hh), l, q (ll), j, z, t, L; 0: none */
	char conv;     /* 0: not understood */
} conversion;

static const char *parse_count(const char *p, arg_list *args, int *out)
{
	if (*p == '*') {
		*out = va_arg(args->ap, int);
		return p + 1;
	}
	*out = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		*out = BH_MIN(*out * 10 + (*p - '0'), 4096);
	return p;
}

static const char *parse_length(const char *p, char *out)
{
	*out = 0;
	if (!*p || !strchr("hljztL", *p))
		return p;
	*out = *p++;
	if (*out == 'h' && *p == 'h') {
		*out = 'H';
		p++;
	} else if (*out == 'l' && *p == 'l') {
		*out = 'q';
		p++;
	}
	return p;
}

/* `p` is behind the '%'. Returns what follows the conversion. */
static const char *parse_conversion(const char *p, arg_list *args, conversion *c)
{
	size_t n = strspn(p, "-+ #0");

	*c = (conversion){ .width = -1, .precision = -1 };
	memcpy(c->flags, p, BH_MIN(n, sizeof(c->flags) - 1));
	p += n;
	if (*p == '*' || (*p >= '1' && *p <= '9'))
		p = parse_count(p, args, &c->width);
	if (*p == '.')
		p = parse_count(p + 1, args, &c->precision);
	p = parse_length(p, &c->length);
	c->conv = *p;
	return *p ? p + 1 : p;
}

/* ---- numbers */

static intmax_t next_signed(arg_list *args, char length)
{
	switch (length) {
	case 'H': return (signed char)va_arg(args->ap, int);
	case 'h': return (short)va_arg(args->ap, int);
	case 'l': return va_arg(args->ap, long);
	case 'q': return va_arg(args->ap, long long);
	case 'j': return va_arg(args->ap, intmax_t);
	case 'z': return va_arg(args->ap, ssize_t);
	case 't': return va_arg(args->ap, ptrdiff_t);
	default: return va_arg(args->ap, int);
	}
}

static uintmax_t next_unsigned(arg_list *args, char length)
{
	switch (length) {
	case 'H': return (unsigned char)va_arg(args->ap, unsigned);
	case 'h': return (unsigned short)va_arg(args->ap, unsigned);
	case 'l': return va_arg(args->ap, unsigned long);
	case 'q': return va_arg(args->ap, unsigned long long);
	case 'j': return va_arg(args->ap, uintmax_t);
	case 'z': return va_arg(args->ap, size_t);
	case 't': return (uintmax_t)va_arg(args->ap, ptrdiff_t);
	default: return va_arg(args->ap, unsigned);
	}
}

/* "%", flags, width, precision, then `length` and the conversion. */
static void write_spec(const conversion *c, const char *length, char spec[64])
{
	size_t n = (size_t)snprintf(spec, 64, "%%%s", c->flags);

	if (c->width >= 0)
		n += (size_t)snprintf(spec + n, 64 - n, "%d", BH_MIN(c->width, 256));
	if (c->precision >= 0)
		n += (size_t)snprintf(spec + n, 64 - n, ".%d", BH_MIN(c->precision, 256));
	(void)snprintf(spec + n, 64 - n, "%s%c", length, c->conv);
}

/* The specs come from write_spec() with the one type that their caller passes. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static bh_status render_number(const conversion *c, arg_list *args, bh_buf *out)
{
	char text[1024]; /* a long double in full takes more; snprintf cuts it */
	char spec[64];
	int n;

	if (strchr("di", c->conv)) {
		write_spec(c, "j", spec);
		n = snprintf(text, sizeof(text), spec, next_signed(args, c->length));
	} else if (strchr("uxXo", c->conv)) {
		write_spec(c, "j", spec);
		n = snprintf(text, sizeof(text), spec, next_unsigned(args, c->length));
	} else if (c->length == 'L') {
		write_spec(c, "L", spec);
		n = snprintf(text, sizeof(text), spec, va_arg(args->ap, long double));
	} else {
		write_spec(c, "", spec);
		n = snprintf(text, sizeof(text), spec, va_arg(args->ap, double));
	}
	return bh_buf_append(out, text, n < 0 ? 0 : BH_MIN((size_t)n, sizeof(text) - 1));
}
#pragma GCC diagnostic pop

/* ---- strings */

static bh_view next_string(const conversion *c, arg_list *args)
{
	const char *s = va_arg(args->ap, const char *);

	if (!s)
		return bh_view_str("(null)");
	return bh_view_of(s, c->precision >= 0 ? strnlen(s, (size_t)c->precision) : strlen(s));
}

static bh_status render_pointer(char kind, arg_list *args, bh_buf *out)
{
	void *p = va_arg(args->ap, void *);

	/* Addresses are for configuration dumps alone. */
	return kind == 'O' ? bh_buf_printf(out, "%p", p) : bh_buf_printf(out, "<withheld>");
}

/* One conversion other than a number. `kind`: what a rule says of it. */
static bh_status render_text(char kind, const conversion *c, arg_list *args, bh_buf *out)
{
	char ch;

	if (c->conv == 'p')
		return render_pointer(kind, args, out);
	if (c->conv == 's')
		return bh_infolog_string(kind, next_string(c, args), out);
	ch = (char)va_arg(args->ap, int);
	return bh_infolog_string(kind, bh_view_of(&ch, 1), out);
}

/* Renders `format` up to `end` (NULL: to its NUL); `kinds` has a letter for each string in it, missing ones are X. */
static bh_status render_part(const char *format, const char *end, const char *kinds, arg_list *args, bh_buf *out)
{
	while (*format && format != end) {
		size_t literal = strcspn(format, "%");
		conversion c;
		char kind;

		if (end)
			literal = BH_MIN(literal, (size_t)(end - format));
		BH_TRY(bh_buf_append(out, format, literal));
		format += literal;
		if (*format != '%' || format == end)
			continue;
		format = parse_conversion(format + 1, args, &c);
		if (c.conv == '%') {
			BH_TRY(bh_buf_append_u8(out, '%'));
		} else if (c.conv && strchr("diuxXofFeEgGaA", c.conv)) {
			BH_TRY(render_number(&c, args, out));
		} else if (c.conv && strchr("scp", c.conv) && c.length != 'l') {
			kind = kinds && *kinds ? *kinds++ : 'X';
			BH_TRY(render_text(kind, &c, args, out));
		} else {
			/* Its argument's size is not known, so nothing behind it can be read. */
			return bh_buf_printf(out, "<withheld: format not understood>");
		}
	}
	return BH_OK;
}

/* ---- formats */

static bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* The end of a leading "[%s:123] ", or `format`. */
static const char *skip_source(const char *format)
{
	const char *p = format;

	if (!starts_with(p, "[%s:"))
		return format;
	p += 4;
	p += strspn(p, "0123456789");
	return starts_with(p, "] ") ? p + 2 : format;
}

/* The end of a leading "[%s] ", "[%s]: " or "[%s]", or `format`. */
static const char *skip_family(const char *format)
{
	const char *p = format;

	if (!starts_with(p, "[%s]"))
		return format;
	p += 4;
	return p + strspn(p, ": ");
}

static const char *skip_job(const char *format)
{
	return starts_with(format, "[JOB %d] ") ? format + 9 : format;
}

/* Configuration dumps name their option before they print it. */
static bool is_options(const char *format)
{
	const char *options = strstr(format, "Options.");
	const char *value = strchr(format, '%');

	return options && (!value || options < value);
}

static const char *kinds_of(const char *format)
{
	static const char all_options[] = "OOOOOOOO";

	return is_options(format) ? all_options : bh_infolog_kinds(format);
}

/* A line that came ready-made: an event, or an instance of a template. */
static bh_status render_ready_made(bh_view line, bh_buf *out)
{
	const size_t n = strlen(EVENT_PREFIX);

	if (line.len >= n && memcmp(line.data, EVENT_PREFIX, n) == 0) {
		BH_TRY(bh_buf_append(out, EVENT_PREFIX, n));
		return bh_infolog_event(bh_view_of(line.data + n, line.len - n), out);
	}
	return bh_infolog_line(line, out);
}

static bh_view take_string(arg_list *args)
{
	static const conversion plain = { .width = -1, .precision = -1, .conv = 's' };

	return next_string(&plain, args);
}

static bh_status render_event(arg_list *args, bh_buf *out)
{
	bh_view prefix = take_string(args);
	bh_view object = take_string(args);

	if (prefix.len != strlen(EVENT_PREFIX) - 1 || memcmp(prefix.data, EVENT_PREFIX, prefix.len) != 0)
		return bh_buf_printf(out, "<withheld %zu bytes>", prefix.len + object.len);
	BH_TRY(bh_buf_append(out, EVENT_PREFIX, strlen(EVENT_PREFIX)));
	return bh_infolog_event(object, out);
}

static bh_status render(const char *format, arg_list *args, bh_buf *out)
{
	const char *body = skip_source(format);
	const char *text;

	BH_TRY(render_part(format, body, "F", args, out));
	if (strcmp(body, BUFFERED_FORMAT) == 0) {
		BH_TRY(render_part(body, body + strlen(BUFFERED_FORMAT) - 2, NULL, args, out));
		return render_ready_made(take_string(args), out);
	}
	if (strcmp(body, "%s") == 0)
		return render_ready_made(take_string(args), out);
	if (strcmp(body, EVENT_FORMAT) == 0)
		return render_event(args, out);
	text = skip_family(body);
	BH_TRY(render_part(body, text, "C", args, out));
	return render_part(text, NULL, kinds_of(skip_job(text)), args, out);
}

bh_status bh_infolog_render(const char *format, va_list ap, bh_buf *out)
{
	arg_list args;
	bh_status st;

	va_copy(args.ap, ap);
	st = render(format, &args, out);
	va_end(args.ap);
	return st;
}
