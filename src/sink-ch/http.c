/* http.c: see http.h. It uses libcurl's easy interface. Credentials are in headers only (trap 126),
 * the query in the URL, and data in the body. */
#include "sink-ch/http.h"

#include "sink-ch/errorcode.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX  ((size_t)3 << 30) /* a read-back of rows near PostgreSQL's 1 GiB limit */
#define ANSWER_KEEP ((size_t)1 << 20)

/* ClickHouse closes idle connections after 10 s (3 s in the config files that it ships). A request
 * on a connection that the server is just closing is lost without an answer (trap 124). */
#define IDLE_SECONDS_MAX 2L

#define CONNECT_SECONDS_MAX 10L
/* No bytes come while the server works on a request. After a longer time the peer is taken for
 * dead. */
#define SILENT_SECONDS_MAX 300L

struct http {
    CURL *curl;
    struct curl_slist *headers;
    struct http_options options;
    char *settings;
    struct http_answer *answer;  /* of the running request */
    char error[CURL_ERROR_SIZE]; /* libcurl's error text */
};

static size_t
on_body(char *data, size_t size, size_t n, void *context)
{
    struct http *http = context;
    struct buf *body = &http->answer->body;

    if (buf_len(body) + size * n > ANSWER_MAX)
        return 0;
    buf_append(body, data, size * n);
    return body->failed ? 0 : size * n;
}

static size_t
on_header(char *data, size_t size, size_t n, void *context)
{
    static const char name[] = "X-ClickHouse-Exception-Code:";
    struct http *http = context;
    char line[128];

    if (size * n < sizeof line) {
        memcpy(line, data, size * n);
        line[size * n] = '\0';
        if (strncasecmp(line, name, sizeof name - 1) == 0)
            http->answer->code = strtoull(line + sizeof name - 1, NULL, 10);
    }
    return size * n;
}

static int
on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct http *http = context;

    (void)a, (void)b, (void)c, (void)d;
    return http->options.gone != NULL && http->options.gone(http->options.context);
}

static int
add_header(struct http *http, const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 3;
    char *line = malloc(size);
    struct curl_slist *longer;

    if (line == NULL)
        return -1;
    snprintf(line, size, value[0] == '\0' ? "%s:" : "%s: %s", name, value);
    longer = curl_slist_append(http->headers, line);
    explicit_bzero(line, size);
    free(line);
    if (longer == NULL)
        return -1;
    http->headers = longer;
    return 0;
}

static int
check_url(const char *url, struct err *err)
{
    CURLU *parts = curl_url();
    char *text = NULL;
    int rc = 0;

    if (parts == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a URL");
    if (curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_SCHEME, &text, 0) != CURLUE_OK ||
        (strcmp(text, "http") != 0 && strcmp(text, "https") != 0)) {
        err_set(err, EXIT_REFUSED, "the ClickHouse URL is not of the form http://host:port");
        rc = -1;
    }
    for (CURLUPart part = CURLUPART_USER; rc == 0 && part <= CURLUPART_FRAGMENT; part++) {
        bool forbidden = part == CURLUPART_USER || part == CURLUPART_PASSWORD ||
                         part == CURLUPART_QUERY || part == CURLUPART_FRAGMENT;
        char *value = NULL;

        if (forbidden && curl_url_get(parts, part, &value, 0) == CURLUE_OK) {
            err_set(err, EXIT_REFUSED,
                    "the ClickHouse URL holds a user, a password, a query or a fragment");
            err_hint(err, "use --user, --password-file or WALPIPE_CH_PASSWORD; a URL is seen by "
                          "others");
            rc = -1;
        }
        curl_free(value);
    }
    curl_free(text);
    curl_url_cleanup(parts);
    return rc;
}

static void
set_options(struct http *http)
{
    CURL *curl = http->curl;

    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, http->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, http);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, http);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, http);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXAGE_CONN, IDLE_SECONDS_MAX);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS_MAX);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, SILENT_SECONDS_MAX);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 1024L * 1024L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->error);
}

/* libcurl's default verifies the server's certificate and name, and nothing here disables that. A
 * CA file replaces the system's authorities. */
static void
set_tls_options(struct http *http)
{
    const struct http_options *o = &http->options;
    CURL *curl = http->curl;

    curl_easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    if (o->ca_file != NULL) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, o->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    if (o->cert_file != NULL)
        curl_easy_setopt(curl, CURLOPT_SSLCERT, o->cert_file);
    if (o->key_file != NULL)
        curl_easy_setopt(curl, CURLOPT_SSLKEY, o->key_file);
}

struct http *
http_new(const struct http_options *options, struct err *err)
{
    struct http *http;

    if (check_url(options->url, err) != 0)
        return NULL;
    http = calloc(1, sizeof *http);
    if (http == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        goto failed;
    http->options = *options;
    http->curl = curl_easy_init();
    http->settings = strdup("");
    /* An empty "Expect:" prevents 100-continue, which some proxies never answer (trap 125). */
    if (http->curl == NULL || http->settings == NULL || add_header(http, "Expect", "") != 0 ||
        add_header(http, "User-Agent", "walpipe/" WALPIPE_VERSION) != 0 ||
        (options->user != NULL && add_header(http, "X-ClickHouse-User", options->user) != 0) ||
        (options->password != NULL && add_header(http, "X-ClickHouse-Key", options->password) != 0))
        goto failed;
    set_options(http);
    set_tls_options(http);
    return http;
failed:
    err_set(err, EXIT_PEER, "could not set up libcurl: out of memory");
    http_free(http);
    return NULL;
}

void
http_free(struct http *http)
{
    if (http == NULL)
        return;
    if (http->curl != NULL)
        curl_easy_cleanup(http->curl);
    curl_slist_free_all(http->headers);
    free(http->settings);
    free(http);
}

int
http_set_settings(struct http *http, const char *settings, struct err *err)
{
    char *copy = strdup(settings);

    if (copy == NULL)
        return err_set(err, EXIT_PEER, "out of memory for settings");
    free(http->settings);
    http->settings = copy;
    return 0;
}

/* ---- the request ---- */

static void
append_text(struct buf *out, const char *text)
{
    buf_append(out, text, strlen(text));
}

static void
append_escaped(struct buf *out, const char *name, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";

    append_text(out, name);
    for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
        char escaped[3] = {'%', hex[*s >> 4], hex[*s & 15]};
        bool plain = (*s >= '0' && *s <= '9') || (*s >= 'A' && *s <= 'Z') ||
                     (*s >= 'a' && *s <= 'z') || *s == '_' || *s == '.' || *s == '-';

        buf_append(out, plain ? (const void *)s : escaped, plain ? 1 : 3);
    }
}

/* With wait_end_of_query the server writes the status line last, so it is true. */
static int
build_url(const struct http *http, const struct http_request *request, struct buf *url)
{
    const char *base = http->options.url;
    size_t len = strlen(base);

    buf_append(url, base, len);
    append_text(url, len > 0 && base[len - 1] == '/' ? "" : "/");
    append_text(url, "?wait_end_of_query=1");
    append_text(url, http->settings);
    if (request->query_id != NULL)
        append_escaped(url, "&query_id=", request->query_id);
    if (request->token != NULL)
        append_escaped(url, "&insert_deduplication_token=", request->token);
    if (request->structure != NULL) {
        append_text(url, "&" HTTP_KEYS "_format=RowBinary");
        append_escaped(url, "&" HTTP_KEYS "_structure=", request->structure);
    }
    if (request->query != NULL)
        append_escaped(url, "&query=", request->query);
    buf_append(url, "", 1);
    return url->failed ? -1 : 0;
}

/* The key table is sent as a file of a form. */
static curl_mime *
build_form(const struct http *http, const struct http_request *request)
{
    curl_mime *form = curl_mime_init(http->curl);
    curl_mimepart *part = form == NULL ? NULL : curl_mime_addpart(form);

    if (part == NULL || curl_mime_name(part, HTTP_KEYS) != CURLE_OK ||
        curl_mime_filename(part, HTTP_KEYS) != CURLE_OK ||
        curl_mime_data(part, (const char *)request->body.data, request->body.len) != CURLE_OK) {
        curl_mime_free(form);
        return NULL;
    }
    return form;
}

static CURLcode
perform(struct http *http, const struct http_request *request, long *status)
{
    CURLcode code = CURLE_OUT_OF_MEMORY;
    struct buf url = {0};
    curl_mime *form = NULL;

    *status = 0;
    if (build_url(http, request, &url) != 0)
        goto out;
    curl_easy_setopt(http->curl, CURLOPT_URL, (const char *)url.data);
    /* with a fresh connection libcurl does not repeat the request, as it does when a used
     * connection is dead */
    curl_easy_setopt(http->curl, CURLOPT_FRESH_CONNECT, request->once ? 1L : 0L);
    if (request->structure != NULL) {
        form = build_form(http, request);
        if (form == NULL)
            goto out;
        curl_easy_setopt(http->curl, CURLOPT_MIMEPOST, form);
    } else {
        curl_easy_setopt(http->curl, CURLOPT_POST, 1L);
        /* The body stays in memory, so libcurl can send it again on a fresh connection. */
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS,
                         request->body.len > 0 ? (const char *)request->body.data : "");
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    }
    code = curl_easy_perform(http->curl);
    if (code == CURLE_OK)
        curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, status);
out:
    if (form != NULL) {
        curl_easy_setopt(http->curl, CURLOPT_MIMEPOST, NULL);
        curl_mime_free(form);
    }
    buf_free(&url);
    return code;
}

/* ---- the answer ---- */

/* Takes the middle, in one line, of "Code: 60, e.displayText() = DB::Exception: Table ... doesn't
 * exist., e.what() = DB::Exception" or "Code: 60. DB::Exception: Table ... (UNKNOWN_TABLE) (version
 * 24.8.4)". */
static void
take_message(struct http_answer *answer, const char *body)
{
    const char *begin = strstr(body, "DB::Exception: "), *end;
    size_t n = 0;

    begin = begin == NULL ? body : begin + strlen("DB::Exception: ");
    end = strstr(begin, ", e.what()");
    if (end == NULL)
        end = begin + strlen(begin);
    for (; begin < end && n + 1 < sizeof answer->message; begin++)
        if ((unsigned char)*begin >= 0x20)
            answer->message[n++] = *begin;
        else if (n > 0 && answer->message[n - 1] != ' ')
            answer->message[n++] = ' ';
    while (n > 0 && answer->message[n - 1] == ' ')
        n--;
    answer->message[n] = '\0';
}

/* Finds the exception in an answer's body, if there is one. It is at the beginning, or behind rows
 * that were sent before it (trap 104). */
static bool
find_exception(struct http_answer *answer)
{
    static const char marker[] = "Code: ";
    struct buf *body = &answer->body;
    size_t window = buf_len(body) < 16384 ? buf_len(body) : 16384;
    const char *tail, *found;

    buf_append(body, "", 1); /* a NUL, so that it can be searched as text */
    if (body->failed)
        return true;
    body->end--;
    tail = (const char *)body->data + body->end - window;
    found = memmem(tail, window, marker, sizeof marker - 1);
    if (found == NULL || strstr(found, "DB::Exception") == NULL)
        return false;
    answer->code = strtoull(found + sizeof marker - 1, NULL, 10);
    take_message(answer, found);
    return true;
}

static enum http_outcome
classify_status(struct http_answer *answer, long status)
{
    if (buf_len(&answer->body) > 0 && !answer->body.failed)
        take_message(answer, (const char *)answer->body.data);
    if (answer->message[0] == '\0')
        snprintf(answer->message, sizeof answer->message, "HTTP status %ld", status);
    if (status >= 500 || status == 408 || status == 429)
        return HTTP_RETRY;
    return HTTP_STOP;
}

static enum http_outcome
classify_answer(const struct http_request *request, struct http_answer *answer, long status)
{
    static const enum http_outcome outcomes[] = {[ERRORCODE_WAIT] = HTTP_RETRY,
                                                 [ERRORCODE_PARTITIONS] = HTTP_PARTITIONS,
                                                 [ERRORCODE_DATA] = HTTP_DATA,
                                                 [ERRORCODE_PERSON] = HTTP_STOP};
    size_t len = buf_len(&answer->body);
    bool exception = false;

    /* Rows of a read-back are binary and may hold any bytes. Their status, header and exact parse
     * decide. */
    if (status != 200 || answer->code != 0 || request->expect_empty)
        exception = len > 0 && find_exception(answer);
    if (exception || answer->code != 0) {
        if (answer->message[0] == '\0')
            snprintf(answer->message, sizeof answer->message, "exception code %llu",
                     (unsigned long long)answer->code);
        return outcomes[errorcode_classify(answer->code, answer->message)];
    }
    if (status != 200)
        return classify_status(answer, status);
    if (request->expect_empty && len > 0) {
        snprintf(answer->message, sizeof answer->message,
                 "an answer with %zu bytes where none were expected", len);
        return HTTP_RETRY;
    }
    return HTTP_DONE;
}

static enum http_outcome
classify_failure(const struct http *http, struct http_answer *answer, CURLcode code)
{
    snprintf(answer->message, sizeof answer->message, "%s",
             http->error[0] == '\0' ? curl_easy_strerror(code) : http->error);
    switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
        return HTTP_GONE;
    case CURLE_PEER_FAILED_VERIFICATION:
        answer->hint = "ca_file must name a file with the certificate of the authority that signed "
                       "the server's, which must name the host of url and must not have expired";
        return HTTP_STOP;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_WRITE_ERROR: /* set by on_body when the answer is too long */
        return HTTP_STOP;
    default:
        return HTTP_RETRY;
    }
}

enum http_outcome
http_post(struct http *http, const struct http_request *request, struct http_answer *answer)
{
    CURLcode code;
    long status;

    buf_reset(&answer->body, ANSWER_KEEP);
    answer->code = 0;
    answer->message[0] = '\0';
    answer->hint = NULL;
    http->error[0] = '\0';
    http->answer = answer;
    code = perform(http, request, &status);
    http->answer = NULL;
    return code == CURLE_OK ? classify_answer(request, answer, status)
                            : classify_failure(http, answer, code);
}
