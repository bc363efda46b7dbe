/* statustext.h: a status as a table or as one JSON object. Knows no socket. */
#ifndef WALPIPE_STATUSTEXT_H
#define WALPIPE_STATUSTEXT_H

#include <stdio.h>

#include "lib/ackmsg.h"
#include "lib/lasterror.h"
#include "walpipe/tablelist.h"
#include "walpipe/wholelist.h"

struct status_samples {
    const struct config *config; /* with the pauses of the next start */
    struct ack_status before;
    struct ack_status now;
    uint64_t micros; /* between them */
    struct wholelist wholes;
    /* Of sinks that copy: sink NULL in the others. */
    struct tablelist *copies;
    size_t copies_count;
    bool failed; /* ever, as far as the state directory tells; then */
    struct lasterror last_error;
};

void statustext_table(const char *pipeline, const struct status_samples *samples, FILE *out);
void statustext_json(const char *pipeline, const struct status_samples *samples, FILE *out);

#endif
