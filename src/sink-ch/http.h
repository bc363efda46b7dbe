/* http.h: requests to ClickHouse's HTTP interface over one connection, which is kept alive. It
 * classifies an answer (done, try again, a person must look). It retries nothing and knows no
 * table. */
#ifndef WALPIPE_SINKCH_HTTP_H
#define WALPIPE_SINKCH_HTTP_H

#include "lib/buf.h"

struct http;

struct http_options {
    const char *url;      /* http://host:port or https://..., without a secret */
    const char *user;     /* NULL for the server's default */
    const char *password; /* NULL if none */
    /* For https. NULL for the system's certificate authorities, and no certificate of our own. */
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
    /* Called about once a second while a request runs. If it returns true, the request is given
     * up. */
    bool (*gone)(void *context);
    void *context;
};

/* Newer servers take a column of this name for the table. */
#define HTTP_KEYS "walpipe_keys_of_rows_to_read_back"

enum http_outcome {
    HTTP_DONE,
    HTTP_RETRY,      /* the target is down or busy, so send the same request again, later */
    HTTP_PARTITIONS, /* the block touches more partitions than the server allows, so send fewer rows
                        at once */
    HTTP_DATA,       /* the server did not accept the data or the columns */
    HTTP_STOP,       /* a person must look */
    HTTP_GONE        /* gone() returned true */
};

/* A query longer than this goes into the body, before its data, because servers limit their URLs
 * (trap 127). */
#define HTTP_QUERY_IN_URL_MAX 8000

struct http_request {
    const char *query;    /* in the URL, NULL if the body begins with it */
    const char *query_id; /* NULL if none */
    const char *token;    /* of an insert, where equal tokens are one insert, NULL if none */
    struct bytes body;
    /* With structure, body is instead a table HTTP_KEYS of these columns for the query to use. */
    const char *structure;
    bool once;         /* it must not be sent twice, so libcurl does not repeat it */
    bool expect_empty; /* for an INSERT or a statement that returns nothing, where a body is an
                          error */
};

struct http_answer {
    struct buf body;
    uint64_t code; /* ClickHouse's exception code, 0 if none */
    char message[900];
    const char *hint; /* the remedy, NULL if none is known */
};

/* NULL with err. */
struct http *http_new(const struct http_options *options, struct err *err);
void http_free(struct http *http);

/* Settings sent with every request from now on, as "&name=value&...". The caller has checked that
 * the server knows them, because an unknown one is an error (trap 108). */
int http_set_settings(struct http *http, const char *settings, struct err *err) MUST_CHECK;

enum http_outcome http_post(struct http *http, const struct http_request *request,
                            struct http_answer *answer) MUST_CHECK;

#endif
