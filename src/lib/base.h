/* base.h: declarations for every file of walpipe: exit codes, the error record, byte slices. */
#ifndef WALPIPE_BASE_H
#define WALPIPE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

#define WALPIPE_VERSION "0.1.0"

/* The schema of walpipe's own tables in a target. It is never replicated, because in the next
 * target these rows would claim that changes are durable there. */
#define WALPIPE_SCHEMA "walpipe"

/* A program's result for its supervisor. */
enum exit_code {
    EXIT_DONE = 0, /* all work done */
    EXIT_REFUSED =
        100, /* wrong usage or config, or a state only a person can mend, so do not restart */
    EXIT_BUG = 101, /* a bug of our own */
    EXIT_PEER = 111 /* a peer or the system failed, so restart */
};

/* The reason for a failure. Libraries fill it. main logs it once and exits with its code. message
 * follows PostgreSQL's grammar, lower case without a full stop. hint may be empty. lsn is 0 and
 * relation is empty if they do not apply. err_set empties the last four. */
struct err {
    enum exit_code code;
    char message[1024];
    char hint[512];
    uint64_t lsn;
    char relation[132]; /* "schema.table", at most 63 + 1 + 63 bytes */
    bool neighbour;   /* the reason is that another program of the pipeline ended, and that program
                         logs its own */
    char sqlstate[6]; /* if a server gave the reason; a ClickHouse's has a number, 0 if none */
    char schema[64];  /* of the table that it named with it, "" if it did not */
    char table[64];
    char constraint[64]; /* of that table */
    uint32_t culprit;    /* the source's table, if the reason is its data or its definition alone */
};

/* Both return -1, so that a failing function can end with `return err_set(...)`. */
int err_set(struct err *err, enum exit_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
int err_hint(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The reason is that another program ended. Sets the hint. Always -1. */
int err_neighbour(struct err *err);

/* Bytes with another owner. Not NUL-terminated. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

#endif
