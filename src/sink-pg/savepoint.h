/* savepoint.h: the savepoint of an attempt. There is at most one at a time. */
#ifndef SINK_PG_SAVEPOINT_H
#define SINK_PG_SAVEPOINT_H

#include "sink-pg/outcome.h"

/* For those that send it together with other commands. */
#define SAVEPOINT_SET  "SAVEPOINT walpipe"
#define SAVEPOINT_KEEP "RELEASE SAVEPOINT walpipe"

/* OUTCOME_DONE, or how the command failed. */
enum outcome savepoint_set(struct session *s, struct err *err) MUST_CHECK;

/* Keeps everything since the savepoint. */
enum outcome savepoint_keep(struct session *s, struct err *err) MUST_CHECK;

/* Undoes everything since the savepoint. */
enum outcome savepoint_undo(struct session *s, struct err *err) MUST_CHECK;

#endif
