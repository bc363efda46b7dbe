/* http.h: requests to ClickHouse's HTTP interface: one connection, kept alive. Says what an answer
 * means (done, try again, a person must look); retries nothing and knows no table. */
#ifndef WALPIPE_SINKCH_HTTP_H
#define WALPIPE_SINKCH_HTTP_H

#include "lib/buf.h"

struct http;

struct http_options {
    const char *url;      /* http://host:port or https://...; holds no secret */
    const char *user;     /* NULL: the server's default */
    const char *password; /* NULL: none */
    /* For https; NULL: the system's certificate authorities, no certificate of our own. */
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
    /* Asked about once a second while a request runs; true gives the request up. */
    bool (*gone)(void *context);
    void *context;
};

/* Newer servers take a column of this name for the table. */
#define HTTP_KEYS "walpipe_keys_of_rows_to_read_back"

enum http_outcome {
    HTTP_DONE,
    HTTP_RETRY,      /* the target is down or busy: the same request again, later */
    HTTP_PARTITIONS, /* the block touches more partitions than the server allows: send less at once
                      */
    HTTP_DATA,       /* the server did not accept the data or the columns */
    HTTP_STOP,       /* a person must look */
    HTTP_GONE        /* gone() said so */
};

/* A query longer than this goes into the body, before its data: servers limit their URLs (trap
 * 127). */
#define HTTP_QUERY_IN_URL_MAX 8000

struct http_request {
    const char *query;    /* in the URL; NULL: the body begins with it */
    const char *query_id; /* NULL: none */
    const char *token;    /* of an insert: equal ones are one insert; NULL: none */
    struct bytes body;
    /* With structure, body is instead a table HTTP_KEYS of these columns for the query to use. */
    const char *structure;
    bool once;         /* what must not be sent twice: libcurl does not send it again by itself */
    bool expect_empty; /* an INSERT or a statement that returns nothing: a body is an error */
};

struct http_answer {
    struct buf body;
    uint64_t code; /* ClickHouse's exception code; 0: none */
    char message[900];
};

/* NULL with err. */
struct http *http_new(const struct http_options *options, struct err *err);
void http_free(struct http *http);

/* Settings sent with every request from now on, as "&name=value&..."; the caller has checked that
 * the server knows them, because an unknown one is an error (trap 108). */
int http_set_settings(struct http *http, const char *settings, struct err *err) MUST_CHECK;

enum http_outcome http_post(struct http *http, const struct http_request *request,
                            struct http_answer *answer) MUST_CHECK;

#endif
