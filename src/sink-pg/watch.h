/* watch.h: tells cheaply whether the target's server has noticed a change of a table since the last
 * exact comparison.
 *
 * A prepared statement that names a table is analysed again if anything in that table's description
 * has changed. That is a column, a trigger, a rule, an index, its name, or a partition, and also a
 * vacuum. 'now'::timestamptz in a statement is the time at which it was analysed (PostgreSQL's
 * manual, "Special Values"). So the update of the progress row, which each transaction runs, names
 * all tables ('1234'::regclass). It compares the time at which it was analysed with the time that
 * it had when the tables were compared exactly. */
#ifndef SINK_PG_WATCH_H
#define SINK_PG_WATCH_H

#include "lib/buf.h"
#include "sink-pg/signature.h"

/* Most bytes of the oids that are watched, enough for a thousand or more tables and partitions. The
 * list of their names is parsed again for each that is added. Tables beyond it are compared exactly
 * each time. */
#define WATCH_BYTES_MAX (256u << 10)

/* Zero-initialise to use. Reused for the process's life. */
struct watch {
    struct buf oids; /* '1','2' */
    uint64_t generation;
    char since[40];  /* when the statement was analysed, "" if that is unknown */
    uint64_t count;  /* of questions for signatures */
    uint64_t oldest; /* those from this one on were asked since then */
};

/* Drops everything of an earlier generation of the session. */
void watch_begin(struct watch *w, uint64_t generation);

/* For a table whose signature was last asked, and found the same, as question number `asked`. A
 * change would show in the statement's time. */
bool watch_covers(const struct watch *w, const struct signature *signature, uint64_t asked);

/* It is watched from the next analysis on. */
void watch_add(struct watch *w, struct signature *signature);

/* A transaction was committed in which the statement had this time, and behind it the last query
 * found all its tables the same. */
void watch_take(struct watch *w, const char *since);

/* Nothing is covered until signatures are asked again. */
void watch_forget(struct watch *w);

void watch_free(struct watch *w);

#endif
