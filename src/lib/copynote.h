/* copynote.h: the output of a sink's program with --tables, for walpipe tables. It has the sink's
 * notes in the target about the tables that it copies. Each is a line, with a tab between two
 * fields:
 *
 *     sink     STATE POSITION WORKERS NOTED SETTLED SYSTEM TIMELINE
 *     part     RELID PART SHARD STATE L0 FILE ROWS UPDATED BEHIND DONE SCHEMA NAME
 *     missing  RELID KEYS
 *     lacks    RELID LSN COUNT SCHEMA NAME
 *     skip     LSN SCHEMA NAME
 *     parked   RELID SINCE LSN REASON HINT
 *     error    MESSAGE
 *
 * In texts a tab, a line's end and a backslash are written as \t, \n, \r and \\. */
#ifndef WALPIPE_COPYNOTE_H
#define WALPIPE_COPYNOTE_H

#include <stdio.h>

#include "lib/buf.h"

/* A lack is of changes that were skipped, and a skip is of a transaction that is not passed yet. */
enum copynote_kind {
    COPYNOTE_SINK,
    COPYNOTE_PART,
    COPYNOTE_MISSING,
    COPYNOTE_ERROR,
    COPYNOTE_LACKS,
    COPYNOTE_SKIP,
    COPYNOTE_PARKED /* the state of its parts is resync */
};

/* Unused fields are 0 and NULL. Texts belong to the caller, or point into the line that was
 * read. */
struct copynote {
    enum copynote_kind kind;
    const char *state; /* waiting, copying or streaming; for a sink that of tables without a note */
    uint64_t lsn;      /* a sink's position, or where a part's first life began, 0 if none,
                          or the commit LSN of a transaction that is skipped, or that
                          parked a table */
    uint32_t workers;  /* of the sink, from its position, 0 if not known */
    bool noted;        /* 1 or 0: the sink took copies in its last run */
    bool settled;      /* 1 or 0: all workers stopped at the position, and nobody was beyond it */
    uint64_t system;   /* the cluster of the position, 0 if none */
    uint32_t timeline; /* the earliest one of the workers' positions, 0 if none */
    uint32_t relid;    /* of the published table */
    uint32_t part;     /* of the physical one, 0 if it represents all */
    uint32_t shard;    /* the worker of the note */
    uint32_t file;     /* the file that `done` is about, 0 if none */
    uint64_t count;    /* a part's rows written, or the number of missing keys or changes */
    uint64_t updated;  /* or parked: microseconds since 1970 */
    bool behind;       /* 1 or 0: rows of the target are in the way of the table's changes */
    const char *done;  /* in the form of spans.h */
    const char *schema; /* of the published table, empty in a skip of all tables */
    const char *name;
    const char *message; /* the reason why the notes could not be read, or the table is parked */
    const char *hint;    /* how to mend that, "" if it is not known */
};

/* Appends the line. If memory runs out, out remembers it. */
void copynote_print(const struct copynote *note, struct buf *out);

/* Prints the lines of a program that returned rc, and instead of them err's message if it has
 * failed. Returns 0, or -1 with err. */
int copynote_answer(struct buf *lines, int rc, FILE *out, struct err *err) MUST_CHECK;

/* Takes the line at *at, and moves *at behind it. The text, which a NUL ends, is changed. Returns
 * 1, 0 at its end, or -1 if it is malformed. */
int copynote_next(char **at, struct copynote *note) MUST_CHECK;

#endif
