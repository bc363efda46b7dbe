/* skip.h: walpipe skip, by which one sink passes over one transaction that it cannot apply. The
 * sink's own program notes that in the target, and the workers read it at their start. */
#ifndef WALPIPE_SKIP_H
#define WALPIPE_SKIP_H

#include "walpipe/config.h"

struct skip_request {
    const char *sink;
    const char *lsn;   /* of the transaction's commit record, as the errors of the sink have it */
    const char *table; /* "schema.table" of the source, NULL for all */
    bool repaired;     /* its tables lack nothing any more, so the note of that goes */
};

/* Returns the exit code. */
int skip_transaction(const struct config *config, const struct log *log,
                     const struct skip_request *request);

#endif
