/* outcome.h: how an attempt to apply changes ended. */
#ifndef SINK_PG_OUTCOME_H
#define SINK_PG_OUTCOME_H

#include "sink-pg/session.h"

enum outcome {
    OUTCOME_DONE,
    OUTCOME_NOT, /* not possible in this way, and the transaction is as it was before the attempt */
    OUTCOME_RETRY, /* err is set, because the connection is lost, or the server's error is temporary
                    */
    OUTCOME_REFUSED, /* err is set, because of the data, the target's tables or rights */
    OUTCOME_FAILED   /* err is set, because another worker took over, or by a bug */
};

/* The outcome of a command that failed with err, which is RETRY, REFUSED or FAILED. */
enum outcome outcome_of(const struct session *s, const struct err *err);

#endif
