/* resync.h: tables that are copied again on request (docs/copy.md, "Copying again"). The life of
 * one part begins first. When its workers have recorded the resync, the command gets its answer,
 * and the other parts follow. */
#ifndef WALPIPE_PGTABLEREAD_RESYNC_H
#define WALPIPE_PGTABLEREAD_RESYNC_H

#include "pg-table-read/state.h"

/* Takes a command's request. It refuses the request at once, or answers it when the workers have
 * answered. At the beginning of a run it keeps the request until they have reported their notes. */
int resync_request(struct copy *copy, const struct copy_control *control,
                   struct err *err) MUST_CHECK;

/* The workers have reported their notes. Takes the requests that were kept. */
int resync_kept_requests(struct copy *copy, struct err *err) MUST_CHECK;

/* A worker refuses the resync, for the reason in detail. Returns -1 with err if that is malformed.
 */
int resync_kept(struct life *life, struct bytes detail, const char *sink,
                struct err *err) MUST_CHECK;

/* All workers have answered the life. *goes is false if some kept the table as it was. Then the
 * life has ended. */
int resync_answered(struct copy *copy, struct life *life, bool *goes, struct err *err) MUST_CHECK;

/* The table left the publication. */
int resync_gone(struct copy *copy, struct life *life, struct err *err) MUST_CHECK;

/* The workers of this sink still need the table after its life has ended. The next life is for them
 * alone, since the others have finished. */
void resync_wanted_by(const struct copy *copy, struct life *life, const char *sink);

#endif
