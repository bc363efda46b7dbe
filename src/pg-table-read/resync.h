/* resync.h: tables that are copied again because a command wants it (docs/copy.md, "Copying
 * again"). The life of one part begins first. When its workers have noted that, the command is
 * answered, and the other parts follow. */
#ifndef WALPIPE_PGTABLEREAD_RESYNC_H
#define WALPIPE_PGTABLEREAD_RESYNC_H

#include "pg-table-read/state.h"

/* A command's request. It is refused here, or answered when the workers have. At the beginning of a
 * run it is kept until they have reported their notes. */
int resync_request(struct copy *copy, const struct copy_control *control,
                   struct err *err) MUST_CHECK;

/* They have. Takes the requests that were kept. */
int resync_kept_requests(struct copy *copy, struct err *err) MUST_CHECK;

/* A worker does not take it, for the reason in detail. Returns -1 with err if that is malformed. */
int resync_kept(struct life *life, struct bytes detail, const char *sink,
                struct err *err) MUST_CHECK;

/* All workers have answered the life. *goes is false if some kept the table as it was. Then the
 * life has ended. */
int resync_answered(struct copy *copy, struct life *life, bool *goes, struct err *err) MUST_CHECK;

/* The table left the publication. */
int resync_gone(struct copy *copy, struct life *life, struct err *err) MUST_CHECK;

/* The workers of this sink still want the table after its life has ended: the next one is for them
 * alone, since others are done. */
void resync_wanted_by(const struct copy *copy, struct life *life, const char *sink);

#endif
