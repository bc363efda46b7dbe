/* copynote.h: what a sink's program prints with --tables, for walpipe tables: its notes in the
 * target about the tables that it copies. Each is a line, with a tab between two fields:
 *
 *     sink     STATE POSITION WORKERS
 *     part     RELID PART SHARD STATE L0 FILE ROWS UPDATED DONE SCHEMA NAME
 *     missing  RELID KEYS
 *     error    MESSAGE
 *
 * In texts a tab, a line's end and a backslash are written as \t, \n, \r and \\. */
#ifndef WALPIPE_COPYNOTE_H
#define WALPIPE_COPYNOTE_H

#include "lib/buf.h"

enum copynote_kind { COPYNOTE_SINK, COPYNOTE_PART, COPYNOTE_MISSING, COPYNOTE_ERROR };

/* Unused fields are 0 and NULL. Texts are the caller's, or point into the line that was read. */
struct copynote {
    enum copynote_kind kind;
    const char *state;  /* waiting, copying, streaming; sink: of tables that have no note */
    uint64_t lsn;       /* sink: its position, 0: none; part: where its first life began, 0: none
                           did */
    uint32_t workers;   /* of the sink, as its position has it; 0: not known */
    uint32_t relid;     /* of the published table */
    uint32_t part;      /* of the physical one; 0: it stands for all */
    uint32_t shard;     /* whose note it is */
    uint32_t file;      /* that `done` is of; 0: none */
    uint64_t count;     /* part: rows written; missing: keys */
    uint64_t updated;   /* microseconds since 1970 */
    const char *done;   /* as spans.h has it */
    const char *schema; /* of the published table */
    const char *name;
    const char *message; /* why the notes could not be read */
};

/* Appends the line; a failure sticks to out. */
void copynote_print(const struct copynote *note, struct buf *out);

/* Takes the line at *at, which moves behind it; the text, which a NUL ends, is changed. 1, or 0 at
 * its end, or -1: malformed. */
int copynote_next(char **at, struct copynote *note) MUST_CHECK;

#endif
