/* copyout.h: rows in COPY's formats, and the COPY ... FROM STDIN that takes them. */
#ifndef SINK_PG_COPYOUT_H
#define SINK_PG_COPYOUT_H

#include "lib/buf.h"
#include "lib/cursor.h"
#include "sink-pg/recode.h"
#include "sink-pg/session.h"

enum copy_format { COPY_UNKNOWN, COPY_TEXT, COPY_BINARY };

/* Zero-initialise to use. Reused for the process's life. */
struct copyout {
    struct session *session;
    enum copy_format format;
    uint32_t fields;  /* of the current row */
    bool not_recoded; /* copyout_value has failed for a text that recode.h does not know */
    struct buf out;
};

/* COPY's format for a row, which its first value that is text or binary decides. It is text for a
 * row of NULLs. */
enum copy_format copyout_format(const struct value *row, uint32_t count);

/* Runs script, whose last command is a COPY ... FROM STDIN in this format. *affected takes the rows
 * of the commands before it (at most counts_max). Returns -1 with err, after which there is nothing
 * to end. */
int copyout_begin(struct copyout *c, struct session *session, const char *script,
                  enum copy_format format, uint64_t *affected, size_t counts_max,
                  struct err *err) MUST_CHECK;

/* Writes one row with its fields, in COPY's order. In binary format a text is recoded that way. A
 * value that is then in the other format, or has a NUL byte, is refused with -1 and err. Call
 * copyout_abort then. */
void copyout_row(struct copyout *c, uint32_t fields);
int copyout_value(struct copyout *c, const struct value *value, enum recode way,
                  struct err *err) MUST_CHECK;
void copyout_char(struct copyout *c, char value);
void copyout_number(struct copyout *c, uint32_t value);
void copyout_null(struct copyout *c);
int copyout_row_end(struct copyout *c, struct err *err) MUST_CHECK;

/* Ends the COPY and takes its result. */
int copyout_end(struct copyout *c, struct err *err) MUST_CHECK;

/* Ends the COPY so that it fails. */
void copyout_abort(struct copyout *c);
void copyout_free(struct copyout *c);

/* The escape routine of the text format (chapter COPY, "Text Format"). Appends data with backslash,
 * newline, carriage return and tab escaped. Returns false if there is a NUL byte. */
bool copyout_escape(struct buf *out, const uint8_t *data, size_t len) MUST_CHECK;

/* Runs commands. *affected takes the rows of each. */
int copyout_script(struct session *s, const char *what, const char *script, uint64_t *affected,
                   size_t counts_max, struct err *err) MUST_CHECK;

#endif
