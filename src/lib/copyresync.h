/* copyresync.h: rules for a table that is copied again, which all sinks follow (docs/copy.md,
 * "Copying again"). Knows no target. */
#ifndef WALPIPE_COPYRESYNC_H
#define WALPIPE_COPYRESYNC_H

#include "lib/copying.h"
#include "lib/intake.h"
#include "lib/names.h"

/* ---- whether it can be copied again ---- */

/* Sets err: the target's table `label` cannot be copied again. Returns -1. */
int copyresync_refuse(const char *label, const char *why, const char *hint, struct err *err);

/* EXIT_REFUSED for a table without a key that identifies its rows. */
int copyresync_require_key(const char *label, const struct relation *relation,
                           struct err *err) MUST_CHECK;

/* Refuses a table that shares its target table with other source tables (EXIT_REFUSED), because
 * their rows would be removed as surplus. */
int copyresync_refuse_shared(const char *label, struct err *err);

/* Sets err, EXIT_REFUSED, for a sink that does not copy any more, and whose note of this table says
 * that it is to be copied. The names are "*" in the note that an attach leaves for all tables that
 * have no other one. Returns -1. */
int copyresync_refuse_unfinished(const char *schema, const char *name, struct err *err);

/* ---- the end ---- */

/* Returns a part of the table (given by its first part) that has just ended, if all its parts have
 * ended, otherwise NULL. */
const struct copypart *copyresync_last_ended(const struct copypart *first);

/* Ends the resync. If done, the table is streaming, and parts that are out are gone, because their
 * rows were removed as surplus. Otherwise keys are missing, so it stays in resync, and the caller
 * sets the missing keys of the parts that have ended. */
void copyresync_set(struct copypart *first, bool done);

/* ---- a pipeline that does not run ---- */

/* Reads a stream that describes the source's tables as for --check, after its hello, and enters the
 * tables of the sink into copying. Sets *relation, which the caller frees, to that of the requested
 * table. EXIT_REFUSED if the stream does not have it. */
int copyresync_read(struct copying *c, struct relation *relation, struct intake *in,
                    const char *sink, const struct table_name *table, struct err *err) MUST_CHECK;

/* The sink has no notes yet. Returns -1. */
int copyresync_refuse_new(const char *sink, struct err *err);

#endif
