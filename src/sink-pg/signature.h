/* signature.h: checks that everything that decides how a table's rows are applied is unchanged
 * since its plan was made. Exact, and not cheap (see watch.h). */
#ifndef SINK_PG_SIGNATURE_H
#define SINK_PG_SIGNATURE_H

#include "lib/buf.h"
#include "sink-pg/pipe.h"

/* Covers the relation of a name in the target, its columns, triggers, rules and unique indexes, and
 * the relations that its rows are passed on to. */
struct signature {
    bool tree; /* it has partitions, or is a view */
    int64_t hash;
    char *oids;   /* '1','2', which are the table's and those of the relations that its rows are
                     passed on to */
    bool watched; /* by the watch, since it was reset */
};

/* Call it before any other look at the table's catalog, so that no change falls between. Returns 0,
 * also if there is no such table, or -1 with err. */
int signature_read(struct session *s, const char *schema, const char *name, struct signature *out,
                   struct err *err) MUST_CHECK;
void signature_free(struct signature *signature);

/* The query for several tables. Zero-initialise to use. Reused for the process's life. */
struct signatures {
    struct signature_set {
        struct stmt stmt;
        struct buf names; /* array literals */
        struct buf hashes;
        uint32_t count;
        bool ended;
    } sets[2]; /* plain tables, and those of signature.tree */
    uint64_t generation;
};

void signatures_clear(struct signatures *q);

/* target is the name, quoted as in SQL. */
void signatures_add(struct signatures *q, const char *target, const struct signature *signature);

/* Queues it as STEP_SIGNATURE, which fails with a division by zero if a signature differs. Queue it
 * behind the changes, which have locked the tables. So a change of a table comes before this look,
 * or after the transaction. */
int signatures_queue(struct signatures *q, struct pipe *pipe, struct err *err) MUST_CHECK;

/* Asks at once. `once` is for a session that is not the one of signatures_queue. */
int signatures_ask(struct signatures *q, struct session *s, bool once, bool *same,
                   struct err *err) MUST_CHECK;

/* Whether the pipe failed because a signature differs. */
bool signatures_differ(const struct pipe_failure *f);

void signatures_free(struct signatures *q);

#endif
