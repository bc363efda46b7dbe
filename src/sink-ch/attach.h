/* attach.h: a detached sink comes back. Its target lacks changes that the source has removed, so
 * all its tables are copied again, and the sink begins anew, at any position of the slot. */
#ifndef WALPIPE_SINKCH_ATTACH_H
#define WALPIPE_SINKCH_ATTACH_H

#include "sink-ch/state.h"

/* `sink-ch --attach`, behind hello. The notes of all tables say that they are copied again before
 * the progress is forgotten, so a sink that was killed between the two has its old progress. A
 * table that cannot be copied again, since it has no key, must be empty. Tables that are not in the
 * stream are out. EXIT_REFUSED if a table cannot be copied. */
int attach_note(struct worker *worker, struct err *err) MUST_CHECK;

#endif
