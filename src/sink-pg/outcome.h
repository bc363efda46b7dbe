/* outcome.h: how an attempt to apply changes ended. */
#ifndef SINK_PG_OUTCOME_H
#define SINK_PG_OUTCOME_H

#include "sink-pg/session.h"

enum outcome {
    OUTCOME_DONE,
    OUTCOME_NOT,     /* not by this way; the transaction is as it was before the attempt */
    OUTCOME_RETRY,   /* err is set: the connection is lost, or the server says that waiting helps */
    OUTCOME_REFUSED, /* err is set: by the data, the target's tables or rights */
    OUTCOME_FAILED   /* err is set: another worker took over, or a bug */
};

/* After a command that failed with err: RETRY, REFUSED or FAILED. */
enum outcome outcome_of(const struct session *s, const struct err *err);

#endif
