/* resync.h: a table that is copied again (docs/copy.md, "Copying again"): whether the target takes
 * that, and its end, when the staging table is merged into the target. */
#ifndef SINK_PG_RESYNC_H
#define SINK_PG_RESYNC_H

#include "sink-pg/copynotes.h"
#include "sink-pg/outcome.h"
#include "sink-pg/staging.h"

/* Zero-initialise to use, then set all. */
struct resync {
    const struct staging *staging;
    const struct copynotes *notes;
    const struct copying *copying;
    struct session *session;
};

/* Sets how copying asks, and the hints for it. */
void resync_serve(struct resync *r, struct copying *c);

/* For copying.check_resync; context is a struct resync. -1 with the reason, EXIT_REFUSED, or with a
 * failure to find out. */
int resync_check(void *context, const struct relation *relation, struct err *err) MUST_CHECK;

/* In the transaction of a commit, behind all changes and ranges. Of a table whose last part has
 * ended worker 0 merges, and sets the notes of all workers. The others, which stand still
 * meanwhile, look how it ended. Where keys are missing the state stays. Of a table
 * that some worker refused to copy again worker 0 drops the staging table. *merged is
 * set when a staging table is gone, so that plans of it are void. */
int resync_settle(const struct resync *r, struct copying *c, bool *merged,
                  struct err *err) MUST_CHECK;

#endif
