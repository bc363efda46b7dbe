/* base.h: what every file of walpipe may use: exit codes, the error record, byte slices. */
#ifndef WALPIPE_BASE_H
#define WALPIPE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

#define WALPIPE_VERSION "0.1.0"

/* The schema of walpipe's own tables in a target. It is never replicated: in the next target these
 * rows would say what is durable there. */
#define WALPIPE_SCHEMA "walpipe"

/* What a program tells its supervisor. */
enum exit_code {
    EXIT_DONE = 0,      /* all work done */
    EXIT_REFUSED = 100, /* usage, config, or a state only a person can mend: do not restart */
    EXIT_BUG = 101,     /* a broken promise of our own */
    EXIT_PEER = 111     /* a peer or the system failed: restart */
};

/* Where a function that can fail says why. Libraries fill it, main logs it once and exits with
 * its code. message follows PostgreSQL's grammar: lower case, no full stop. hint may be empty.
 * lsn is 0 and relation is empty where they do not apply. */
struct err {
    enum exit_code code;
    char message[1024];
    char hint[512];
    uint64_t lsn;
    char relation[132]; /* "schema.table", at most 63 + 1 + 63 bytes */
    bool neighbour;     /* another program of the pipeline ended: the reason is its own */
};

/* Both return -1, so that a failing function can end with `return err_set(...)`. */
int err_set(struct err *err, enum exit_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
int err_hint(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The reason is that of another program, which ended. Sets the hint. Always -1. */
int err_neighbour(struct err *err);

/* Bytes somebody else owns. Not NUL-terminated. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

#endif
