/* signature.h: whether what decides how a table's rows are applied is still what it was when its
 * plan was made. Exact, and not cheap: see watch.h. */
#ifndef SINK_PG_SIGNATURE_H
#define SINK_PG_SIGNATURE_H

#include "lib/buf.h"
#include "sink-pg/pipe.h"

/* Of what a name means in the target, its columns, triggers, rules and unique indexes, and of what
 * its rows are handed on to. */
struct signature {
    bool tree; /* it has partitions, or is a view */
    int64_t hash;
    char *oids;   /* '1','2': the table's, and those of what its rows are handed on to */
    bool watched; /* by the watch, since it was reset */
};

/* Before anything else is read of the table's catalog, so that no change falls between. 0, also
 * when there is no such table; -1 with err. */
int signature_read(struct session *s, const char *schema, const char *name, struct signature *out,
                   struct err *err) MUST_CHECK;
void signature_free(struct signature *signature);

/* The question for several tables. Zero-initialise; reused for the process's life. */
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

/* target: the name, quoted as in SQL. */
void signatures_add(struct signatures *q, const char *target, const struct signature *signature);

/* Queues it as STEP_SIGNATURE, which fails with a division by zero when a signature differs. Behind
 * the changes, which have locked the tables: a change of a table comes before this look, or after
 * the transaction. */
int signatures_queue(struct signatures *q, struct pipe *pipe, struct err *err) MUST_CHECK;

/* Asks at once. once: in a session that is not the one of signatures_queue. */
int signatures_ask(struct signatures *q, struct session *s, bool once, bool *same,
                   struct err *err) MUST_CHECK;

/* After the pipe failed: whether because a signature differs. */
bool signatures_differ(const struct pipe_failure *f);

void signatures_free(struct signatures *q);

#endif
