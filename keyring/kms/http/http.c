/* SPDX-License-Identifier: Apache-2.0
 *
 * http.c: see http.h.
 */
#include "http.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "curl.h"

#define IDLE_MAX 8 /* connections that are kept while nobody uses them */
#define CONNECT_MS 500
#define HEADER_BYTES_MAX (16u << 10)
#define THROTTLED_S 1      /* where the server does not say for how long */
#define THROTTLED_S_MAX 60 /* however long it says */

struct bh_http_origin {
	const bh_curl *curl;
	char *base;
	char *ca_file, *ca_dir, *cert_file, *key_file;
	pid_t pid;            /* who may use it */
	pthread_mutex_t lock; /* guards the rest */
	CURL *idle[IDLE_MAX];
	size_t idle_count;
	bool down, probing;    /* it did not answer; somebody is trying it */
	int64_t quiet_until_s; /* of CLOCK_MONOTONIC: it takes no calls before */
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t now_s(void)
{
	return now_ms() / 1000;
}

int64_t bh_http_deadline_ms(uint32_t timeout_ms)
{
	return now_ms() + timeout_ms;
}

/* ---- origins */

static bool copy_text(const char *from, char **out)
{
	*out = from != NULL ? strdup(from) : NULL;
	return from == NULL || *out != NULL;
}

/* Where AWS tells a machine its credentials: link-local, so that no router passes it on. */
static const char *const link_local[] = { "http://169.254.169.254:", "http://169.254.170.2:", "http://169.254.170.23:",
					  "http://[fd00:ec2::254]:", "http://[fd00:ec2::23]:" };

static bool is_link_local(const char *base)
{
	for (size_t i = 0; i < sizeof(link_local) / sizeof(link_local[0]); i++)
		if (strncmp(base, link_local[i], strlen(link_local[i])) == 0)
			return true;
	return false;
}

/* The callers parse URIs, and know what is a loopback address; this is the last look. */
static bool is_plain_elsewhere(const char *base)
{
	return strncmp(base, "https://", 8) != 0 && strncmp(base, "http://127.", 11) != 0 &&
	       strncmp(base, "http://[::1]", 12) != 0 && !is_link_local(base);
}

bh_status bh_http_origin_new(const char *base, const bh_http_tls *tls, bh_http_origin **out)
{
	const bh_curl *curl = NULL;

	if (is_plain_elsewhere(base))
		return bh_fail(BH_E_INVALID, "%s: a KMS is asked over TLS; plain HTTP is for 127.0.0.1 and [::1] alone", base);
	BH_TRY(bh_curl_load(&curl));
	bh_http_origin *origin = calloc(1, sizeof(*origin));
	if (origin == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory to call it", base);
	origin->curl = curl;
	origin->pid = getpid();
	pthread_mutex_init(&origin->lock, NULL);
	if (!copy_text(base, &origin->base) || !copy_text(tls->ca_file, &origin->ca_file) ||
	    !copy_text(tls->ca_dir, &origin->ca_dir) || !copy_text(tls->cert_file, &origin->cert_file) ||
	    !copy_text(tls->key_file, &origin->key_file)) {
		bh_http_origin_free(origin);
		return bh_fail(BH_E_NOMEM, "%s: no memory to call it", base);
	}
	*out = origin;
	return BH_OK;
}

void bh_http_origin_free(bh_http_origin *origin)
{
	if (origin == NULL)
		return;
	/* A child would close its parent's TLS connections with a farewell. */
	for (size_t i = 0; i < origin->idle_count && origin->pid == getpid(); i++)
		origin->curl->cleanup(origin->idle[i]);
	pthread_mutex_destroy(&origin->lock);
	free(origin->base);
	free(origin->ca_file);
	free(origin->ca_dir);
	free(origin->cert_file);
	free(origin->key_file);
	free(origin);
}

const char *bh_http_origin_base(const bh_http_origin *origin)
{
	return origin->base;
}

/* ---- who may call now */

static bh_status enter(bh_http_origin *origin, bool *probe_out)
{
	bh_status status = BH_OK;

	if (origin->pid != getpid())
		return bh_fail(BH_E_KMS_UNREACHABLE, "%s: a KMS is not called after a fork; open the database again in the child",
			       origin->base);
	pthread_mutex_lock(&origin->lock);
	int64_t quiet_s = origin->quiet_until_s - now_s();
	if (quiet_s > 0)
		status = bh_fail(BH_E_KMS_THROTTLED, "%s: has said that it takes no more calls for %lld s", origin->base,
				 (long long)quiet_s);
	else if (origin->down && origin->probing)
		status = bh_fail(BH_E_KMS_UNREACHABLE, "%s: does not answer; another call is trying it", origin->base);
	*probe_out = status == BH_OK && origin->down;
	if (*probe_out)
		origin->probing = true;
	pthread_mutex_unlock(&origin->lock);
	return status;
}

static void leave(bh_http_origin *origin, bool probe, bh_status status)
{
	pthread_mutex_lock(&origin->lock);
	origin->down = status == BH_E_KMS_UNREACHABLE || (origin->down && status == BH_E_NOMEM);
	if (probe)
		origin->probing = false;
	pthread_mutex_unlock(&origin->lock);
}

bh_status bh_http_throttled(bh_http_origin *origin, const bh_http_answer *answer, const char *what)
{
	uint32_t pause_s = answer->retry_s != 0 ? BH_MIN(answer->retry_s, THROTTLED_S_MAX) : THROTTLED_S;

	pthread_mutex_lock(&origin->lock);
	origin->quiet_until_s = now_s() + pause_s;
	pthread_mutex_unlock(&origin->lock);
	return bh_fail(BH_E_KMS_THROTTLED, "%s: takes no more calls for now (%s); it is not asked again for %u s", origin->base,
		       what, pause_s);
}

static CURL *handle_take(bh_http_origin *origin)
{
	CURL *handle = NULL;

	pthread_mutex_lock(&origin->lock);
	if (origin->idle_count > 0)
		handle = origin->idle[--origin->idle_count];
	pthread_mutex_unlock(&origin->lock);
	return handle != NULL ? handle : origin->curl->init();
}

/* Its connection is kept; nothing else is. */
static void handle_give(bh_http_origin *origin, CURL *handle)
{
	origin->curl->reset(handle);
	pthread_mutex_lock(&origin->lock);
	bool kept = origin->idle_count < IDLE_MAX;
	if (kept)
		origin->idle[origin->idle_count++] = handle;
	pthread_mutex_unlock(&origin->lock);
	if (!kept)
		origin->curl->cleanup(handle);
}

/* ---- one call */

typedef struct call {
	bh_http_origin *origin;
	const bh_http_request *request;
	CURL *handle;
	struct curl_slist *headers;
	char *url;
	bh_http_answer answer;
	size_t header_bytes;
	bool framed, headed;    /* its headers say where the body ends; they themselves have ended */
	long left_ms;           /* until its deadline */
	bool too_large, failed; /* failed: an option was not taken */
} call;

static size_t on_body(char *bytes, size_t one, size_t count, void *arg)
{
	call *c = arg;
	size_t len = one * count;

	if (len > BH_HTTP_ANSWER_MAX - c->answer.len) {
		c->too_large = true;
		return 0;
	}
	memcpy(c->answer.body + c->answer.len, bytes, len);
	c->answer.len += len;
	return len;
}

/* The value of the header if it is `name`, without the blanks around it. */
static bool header_value(const char *line, size_t len, const char *name, char *out, size_t size)
{
	size_t name_len = strlen(name);

	if (len <= name_len || strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
		return false;
	line += name_len + 1;
	len -= name_len + 1;
	while (len > 0 && (*line == ' ' || *line == '\t'))
		line++, len--;
	while (len > 0 && ((unsigned char)line[len - 1] <= ' '))
		len--;
	snprintf(out, size, "%.*s", (int)BH_MIN(len, size - 1), line);
	return true;
}

static size_t on_header(char *bytes, size_t one, size_t count, void *arg)
{
	call *c = arg;
	char value[32];

	c->header_bytes += one * count;
	if (c->header_bytes > HEADER_BYTES_MAX) {
		c->too_large = true;
		return 0;
	}
	if (one * count >= 5 && memcmp(bytes, "HTTP/", 5) == 0)
		c->framed = c->headed = false; /* after "100 Continue" */
	if (one * count <= 2)
		c->headed = true;
	if (header_value(bytes, one * count, "Content-Length", value, sizeof(value)) ||
	    header_value(bytes, one * count, "Transfer-Encoding", value, sizeof(value)))
		c->framed = true;
	if (header_value(bytes, one * count, "Retry-After", value, sizeof(value)))
		c->answer.retry_s = (uint32_t)strtoul(value, NULL, 10); /* a date is 0 or so: a second, then */
	(void)header_value(bytes, one * count, "x-amzn-RequestId", c->answer.request_id, sizeof(c->answer.request_id));
	return one * count;
}

static void set_long(call *c, CURLoption option, long value)
{
	c->failed = c->failed || c->origin->curl->set(c->handle, option, value) != CURLE_OK;
}

static void set_text(call *c, CURLoption option, const char *value)
{
	if (value != NULL)
		c->failed = c->failed || c->origin->curl->set(c->handle, option, value) != CURLE_OK;
}

static void set_function(call *c, CURLoption option, size_t (*function)(char *, size_t, size_t, void *))
{
	c->failed = c->failed || c->origin->curl->set(c->handle, option, function) != CURLE_OK;
}

static void set_data(call *c, CURLoption option, void *data)
{
	c->failed = c->failed || c->origin->curl->set(c->handle, option, data) != CURLE_OK;
}

static bh_status header_add(call *c, const char *name, const char *value)
{
	BH_CLEANUP(bh_secret_clear) bh_secret line = { 0 };
	size_t size = strlen(name) + strlen(value) + 3;

	BH_TRY(bh_secret_init(&line, size));
	snprintf((char *)line.data, size, "%s: %s", name, value);
	struct curl_slist *grown = c->origin->curl->list_append(c->headers, (const char *)line.data);
	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory to call it", c->origin->base);
	c->headers = grown;
	return BH_OK;
}

static void options_connection(call *c)
{
	const bh_http_origin *origin = c->origin;
	const char *proxy = getenv("BULKHEAD_KMS_PROXY");

	set_text(c, CURLOPT_PROTOCOLS_STR, strncmp(origin->base, "https:", 6) == 0 ? "https" : "http");
	/* None of http_proxy and its family; nor any for what does not leave the machine's own link. */
	set_text(c, CURLOPT_PROXY, proxy != NULL && !is_link_local(origin->base) ? proxy : "");
	set_long(c, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	set_long(c, CURLOPT_SSL_VERIFYPEER, 1);
	set_long(c, CURLOPT_SSL_VERIFYHOST, 2);
	/* One's own authorities, and no others. */
	if (origin->ca_file != NULL || origin->ca_dir != NULL) {
		c->failed = c->failed || c->origin->curl->set(c->handle, CURLOPT_CAINFO, origin->ca_file) != CURLE_OK;
		c->failed = c->failed || c->origin->curl->set(c->handle, CURLOPT_CAPATH, origin->ca_dir) != CURLE_OK;
	}
	set_text(c, CURLOPT_SSLCERT, origin->cert_file);
	set_text(c, CURLOPT_SSLKEY, origin->key_file);
	set_long(c, CURLOPT_NOSIGNAL, 1);
	set_long(c, CURLOPT_CONNECTTIMEOUT_MS, BH_MIN(CONNECT_MS, c->left_ms));
	set_long(c, CURLOPT_TIMEOUT_MS, c->left_ms);
}

static bh_status options_request(call *c)
{
	const bh_http_request *request = c->request;

	set_text(c, CURLOPT_URL, c->url);
	set_text(c, CURLOPT_CUSTOMREQUEST, request->method);
	set_long(c, CURLOPT_FOLLOWLOCATION, 0);
	set_long(c, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	if (request->body.data != NULL) {
		set_long(c, CURLOPT_POST, 1);
		set_long(c, CURLOPT_POSTFIELDSIZE, (long)request->body.len);
		c->failed = c->failed ||
			    c->origin->curl->set(c->handle, CURLOPT_POSTFIELDS, (const char *)request->body.data) != CURLE_OK;
	}
	if (request->sigv4 != NULL) {
		set_text(c, CURLOPT_AWS_SIGV4, request->sigv4);
		set_text(c, CURLOPT_USERNAME, request->access_key);
		set_text(c, CURLOPT_PASSWORD, request->secret_key);
	}
	for (size_t i = 0; i < BH_HTTP_HEADERS_MAX && request->headers[i].name != NULL; i++)
		BH_TRY(header_add(c, request->headers[i].name, request->headers[i].value));
	c->failed = c->failed || c->origin->curl->set(c->handle, CURLOPT_HTTPHEADER, c->headers) != CURLE_OK;
	set_function(c, CURLOPT_WRITEFUNCTION, on_body);
	set_data(c, CURLOPT_WRITEDATA, c);
	set_function(c, CURLOPT_HEADERFUNCTION, on_header);
	set_data(c, CURLOPT_HEADERDATA, c);
	return c->failed ? bh_fail(BH_E_UNSUPPORTED, "libcurl lacks an option that calls to a KMS need (7.85 or later is needed)")
			 : BH_OK;
}

/* What libcurl says that is no answer. */
static bh_status failure(const call *c, CURLcode code)
{
	const char *base = c->origin->base;

	if (c->too_large)
		return bh_fail(BH_E_FORMAT, "%s: its answer is larger than %u bytes", base, BH_HTTP_ANSWER_MAX);
	switch (code) {
	case CURLE_OUT_OF_MEMORY: return bh_fail(BH_E_NOMEM, "%s: no memory to call it", base);
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING: return bh_fail(BH_E_FORMAT, "%s: what answers there does not speak HTTP", base);
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return bh_fail(BH_E_KMS_UNREACHABLE, "%s: %s: look at the files of certificates and keys", base,
			       c->origin->curl->error(code));
	case CURLE_PEER_FAILED_VERIFICATION:
		return bh_fail(BH_E_KMS_UNREACHABLE,
			       "%s: whoever answers there cannot show that he is it: his certificate is not trusted", base);
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
		return bh_fail(BH_E_KMS_UNREACHABLE, "%s: hung up without a whole answer: %s", base, c->origin->curl->error(code));
	case CURLE_OPERATION_TIMEDOUT: return bh_fail(BH_E_KMS_UNREACHABLE, "%s: does not answer within %ld ms", base, c->left_ms);
	default: return bh_fail(BH_E_KMS_UNREACHABLE, "%s: cannot be reached: %s", base, c->origin->curl->error(code));
	}
}

static bh_status perform(call *c)
{
	options_connection(c);
	BH_TRY(options_request(c));
	CURLcode code = c->origin->curl->perform(c->handle);
	if (code == CURLE_OK)
		code = c->origin->curl->get(c->handle, CURLINFO_RESPONSE_CODE, &c->answer.code);
	if (code != CURLE_OK)
		return failure(c, code);
	/* A body that ends where the connection does may have been cut anywhere. */
	if (!c->headed || (!c->framed && c->answer.code != 204))
		return bh_fail(BH_E_KMS_UNREACHABLE, "%s: hung up without a whole answer", c->origin->base);
	c->answer.body[c->answer.len] = '\0';
	return BH_OK;
}

static bh_status call_prepare(call *c)
{
	size_t size = strlen(c->origin->base) + strlen(c->request->path) + 1;

	c->url = malloc(size);
	c->answer.body = malloc(BH_HTTP_ANSWER_MAX + 1);
	c->handle = handle_take(c->origin);
	if (c->url == NULL || c->answer.body == NULL || c->handle == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory to call it", c->origin->base);
	snprintf(c->url, size, "%s%s", c->origin->base, c->request->path);
	return BH_OK;
}

static void call_clear(call *c)
{
	if (c->handle != NULL)
		handle_give(c->origin, c->handle);
	for (struct curl_slist *item = c->headers; item != NULL; item = item->next)
		bh_wipe(item->data, strlen(item->data));
	c->origin->curl->list_free(c->headers);
	free(c->url);
	bh_http_answer_clear(&c->answer);
}

bh_status bh_http_call(bh_http_origin *origin, const bh_http_request *request, bh_http_answer *out)
{
	BH_CLEANUP(call_clear) call c = { .origin = origin, .request = request };
	bool probe = false;

	c.left_ms = (long)(request->deadline_ms - now_ms());
	if (c.left_ms <= 0)
		return bh_fail(BH_E_KMS_UNREACHABLE, "%s: did not answer in time", origin->base);
	BH_TRY(enter(origin, &probe));
	bh_status status = call_prepare(&c);
	if (status == BH_OK)
		status = perform(&c);
	leave(origin, probe, status);
	BH_TRY(status);
	*out = c.answer;
	c.answer = (bh_http_answer){ 0 };
	return BH_OK;
}

void bh_http_answer_clear(bh_http_answer *answer)
{
	if (answer->body != NULL)
		bh_wipe(answer->body, answer->len);
	free(answer->body);
	*answer = (bh_http_answer){ 0 };
}
