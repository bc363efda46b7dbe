/* differences.h: changes that did not find in the target what they should have found, by table: for
 * ackd, once they are durable, and for the log, where they are said at once the first time, then
 * summed up, and at the end at the latest. */
#ifndef SINK_PG_DIFFERENCES_H
#define SINK_PG_DIFFERENCES_H

#include "lib/ackclient.h"
#include "lib/log.h"

struct found {
    uint64_t missing_updates; /* the row was inserted */
    uint64_t skipped_updates; /* it was not */
    uint64_t missing_deletes;
    uint64_t overwriting_inserts; /* of a row with other values */
    bool rules;                   /* they may have cancelled the change */
};

bool differences_found(const struct found *found);

/* Zero-initialise to use. */
struct differences {
    struct kept_differences *tables;
    size_t count;
};

/* What a batch found in the table of that label, "schema.name". -1 with err: out of memory. */
int differences_note(struct differences *all, const char *label, const struct found *found,
                     struct err *err) MUST_CHECK;

/* All that was noted is durable: tells ackd, and the log what is due. */
int differences_report(struct differences *all, struct ackconn *ack, const struct log *log,
                       struct err *err) MUST_CHECK;

/* Says what is not in the log yet. */
void differences_end(struct differences *all, const struct log *log);

void differences_free(struct differences *all);

#endif
