/* server.h: one ClickHouse server, with its features, and requests that are tried again for as long
 * as it is down. Knows no table and no event. */
#ifndef WALPIPE_SINKCH_SERVER_H
#define WALPIPE_SINKCH_SERVER_H

#include <stdio.h>

#include "lib/intake.h"
#include "lib/log.h"
#include "lib/loginnote.h"
#include "sink-ch/convert/convert.h"
#include "sink-ch/http.h"

struct server {
    struct http *http;
    const struct log *log;
    struct loginnote login;

    struct intake *intake; /* is told of the target, and watched while it is down, or NULL */

    char query_id[160]; /* its fixed part */
    uint64_t queries;
    struct http_answer answer; /* of the last request */
    FILE *statements;          /* where statements are written instead of run, NULL for none */

    /* ---- known after server_probe ---- */
    char version[64];
    bool has_uint128, has_bool, has_date32, has_datetime64, has_decimal256, has_is_deleted;
    bool has_token;  /* inserts may carry a token, by which the server recognizes a repeated one */
    bool has_header; /* compares types that stand before the rows of an insert */
    bool revives;    /* a restart loads merged parts that TRUNCATE has removed */
    bool no_query_cache;      /* it refused a query because of its cache */
    bool has_json;            /* takes JSON columns as Strings in RowBinary */
    bool has_wide_dates;      /* Date32 and DateTime64 from 1900 to 2299 */
    uint64_t max_insert_rows; /* max_insert_block_size, the most rows of one block */
    const struct convert_limits *limits;
};

/* Asks the server for its version, settings and types, and sets the session settings it knows. */
int server_probe(struct server *server, const char *database, struct err *err) MUST_CHECK;

/* Repeats one request until the server has answered it. `what` names it in the error, as in "could
 * not WHAT: ...". With HTTP_DONE, server->answer holds the answer. With HTTP_PARTITIONS, HTTP_DATA
 * and HTTP_STOP err is set. With HTTP_GONE err is set too, because ackd or the input died.
 * HTTP_RETRY comes without err, and only for a request that is sent once. Nobody knows whether it
 * was carried out, and the server may be back. */
enum http_outcome server_request(struct server *server, const char *what,
                                 const struct http_request *request, struct err *err) MUST_CHECK;

/* Sends a query or a statement without data. It is the text in sql, without a NUL, which is freed.
 * Returns 0, with server->answer, or -1 with err. */
int server_query(struct server *server, const char *what, struct buf *sql,
                 struct err *err) MUST_CHECK;
int server_statement(struct server *server, const char *what, struct buf *sql,
                     struct err *err) MUST_CHECK;

void server_free(struct server *server);

/* ---- SQL text and RowBinary answers ---- */

/* `name` and 'text', escaped as ClickHouse wants them. */
void server_put_name(struct buf *sql, const char *name);
void server_put_literal(struct buf *sql, const char *text);
void server_put_text(struct buf *sql, const char *text);

/* A String of a RowBinary answer. */
bool server_read_string(struct cursor *c, struct bytes *out) MUST_CHECK;

#endif
