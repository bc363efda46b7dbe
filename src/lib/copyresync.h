/* copyresync.h: rules for a table that is copied again, which all sinks follow (docs/copy.md,
 * "Copying again"). Knows no target. */
#ifndef WALPIPE_COPYRESYNC_H
#define WALPIPE_COPYRESYNC_H

#include "lib/copying.h"
#include "lib/intake.h"
#include "lib/names.h"

/* ---- whether it can be copied again ---- */

/* The target's table `label` cannot be. Returns -1. */
int copyresync_refuse(const char *label, const char *why, const char *hint, struct err *err);

/* EXIT_REFUSED for a table whose rows no key tells apart. */
int copyresync_require_key(const char *label, const struct relation *relation,
                           struct err *err) MUST_CHECK;

/* EXIT_REFUSED: its rows share the target's table with those of other source tables, which would be
 * taken for surplus. */
int copyresync_refuse_shared(const char *label, struct err *err);

/* ---- the end ---- */

/* Of the table with this first part: a part that has just ended, where all have. NULL: some are not
 * read. */
const struct copypart *copyresync_last_ended(const struct copypart *first);

/* The table is streaming, or (not done) in resync as before, because keys are missing. The caller
 * then sets the missing keys of the parts that have ended. */
void copyresync_set(struct copypart *first, bool done);

/* ---- a pipeline that does not run ---- */

/* Gives copying the source's tables that the sink takes, from a stream that describes them as for
 * --check, when its hello was read. *relation, to be freed, is that of the table. EXIT_REFUSED if
 * it is not among them. */
int copyresync_read(struct copying *c, struct relation *relation, struct intake *in,
                    const char *sink, const struct table_name *table, struct err *err) MUST_CHECK;

/* The sink has no notes yet. Returns -1. */
int copyresync_refuse_new(const char *sink, struct err *err);

#endif
