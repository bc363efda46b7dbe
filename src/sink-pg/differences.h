/* differences.h: counts, per table, the changes that did not find the expected row in the target.
 * ackd gets the counts once they are durable. The log gets the first one of a table at once, later
 * ones summed up, and the rest at the end. */
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

/* Adds the differences that a batch found in the table of that label, "schema.name". Returns -1
 * with err when memory is out. */
int differences_note(struct differences *all, const char *label, const struct found *found,
                     struct err *err) MUST_CHECK;

/* Everything that was noted is durable. Tells ackd, and logs the counts that are due. */
int differences_report(struct differences *all, struct ackconn *ack, const struct log *log,
                       struct err *err) MUST_CHECK;

/* Logs the counts that are not in the log yet. */
void differences_end(struct differences *all, const struct log *log);

void differences_free(struct differences *all);

#endif
