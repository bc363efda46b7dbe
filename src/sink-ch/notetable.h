/* notetable.h: the tables in which walpipe records the progress of copies (docs/copy.md, "The
 * stored state") and skips (skipnotes.h), in the sink's database. A row is never changed: one
 * with a higher version takes its place. Every row begins with pipeline, sink and the source's
 * system identifier. Knows no note. */
#ifndef WALPIPE_SINKCH_NOTETABLE_H
#define WALPIPE_SINKCH_NOTETABLE_H

#include "lib/frame.h"
#include "sink-ch/server.h"

#define NOTETABLE_TABLES  "walpipe_tables"
#define NOTETABLE_MISSING "walpipe_missing"
#define NOTETABLE_SKIPS   "walpipe_skips"
#define NOTETABLE_LACKS   "walpipe_lacks"
#define NOTETABLE_PARKED  "walpipe_parked"

struct notetable {
    struct server *server;
    const char *database;
    const char *pipeline;
    const struct hello *hello;
};

/* Makes the table where it is missing. columns: behind those that every row has; key: of its ORDER
 * BY, behind those. */
int notetable_make(const struct notetable *n, const char *table, const char *columns,
                   const char *key, struct err *err) MUST_CHECK;

/* Adds a column where it is missing. Older rows have the type's default. */
int notetable_add_column(const struct notetable *n, const char *table, const char *column,
                         const char *type, struct err *err) MUST_CHECK;
int notetable_has_column(const struct notetable *n, const char *table, const char *column,
                         bool *has, struct err *err) MUST_CHECK;

int notetable_exists(const struct notetable *n, const char *table, bool *exists,
                     struct err *err) MUST_CHECK;

/* The system identifier in the sink's latest row of whatever source, 0 if it has none. */
int notetable_last_source(const struct notetable *n, const char *table, uint64_t *system,
                          struct err *err) MUST_CHECK;

/* Appends " FROM table FINAL WHERE ..." with this sink's rows of this source. */
void notetable_put_from(const struct notetable *n, const char *table, struct buf *sql);
void notetable_put_number(struct buf *sql, uint64_t number);

/* ---- rows ---- */

/* Appends a row's first columns, a text, a number of so many bytes. Failures stick to rows. */
void notetable_begin_row(const struct notetable *n, struct buf *rows);
void notetable_add(struct buf *rows, struct bytes text);
void notetable_add_cstr(struct buf *rows, const char *text);
void notetable_add_number(struct buf *rows, uint64_t number, uint32_t width);

/* Writes rows of these columns ("a, b"), and empties the buffer. */
int notetable_insert(const struct notetable *n, const char *table, const char *columns,
                     struct buf *rows, struct err *err) MUST_CHECK;

/* A number of an answer in RowBinary; a String is server_read_string's. */
bool notetable_take_number(struct cursor *c, uint32_t width, uint64_t *out) MUST_CHECK;
bool notetable_take_uint32(struct cursor *c, uint32_t *out) MUST_CHECK;

/* A String, with a NUL behind it, that must fit. */
bool notetable_take_text(struct cursor *c, char *out, size_t size) MUST_CHECK;

/* Deletes all rows of the pipeline's sink, of whatever source; returns when they are gone. */
int notetable_drop(const struct notetable *n, const char *table, const char *sink,
                   struct err *err) MUST_CHECK;

#endif
