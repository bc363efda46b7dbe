/* copydefault.h: decides for each sink that has no `copy` in the config file, and remembers the
 * choices of each run in the state directory. It asks the source for its slot, and the sinks'
 * programs for their notes in the targets. copychoice.h has the rules. */
#ifndef WALPIPE_COPYDEFAULT_H
#define WALPIPE_COPYDEFAULT_H

#include "lib/log.h"
#include "walpipe/config.h"
#include "walpipe/copychoice.h"

enum copydefault_result {
    COPYDEFAULT_DECIDED, /* sinks' copies are set */
    COPYDEFAULT_WAIT,    /* the source does not answer, or its slot is in use; err says which */
    COPYDEFAULT_FAILED   /* err */
};

/* For `walpipe run`, before each start of the programs. Logs each choice once. */
enum copydefault_result copydefault_decide(struct config *config, const char *programs,
                                           const struct log *log, struct err *err) MUST_CHECK;

/* The choice for one sink, for `walpipe check`. slot_exists and slot_active are the source's. */
struct copychoice copydefault_look(const struct config *config, const struct sink_config *sink,
                                   bool slot_exists, bool slot_active, const char *programs);

/* Sets the choices of the last run, without asking anybody. A sink without a choice copies nothing.
 */
void copydefault_recall(struct config *config);

#endif
