/* pausetrial.h: a sink that was resumed while walpipe runs is on trial at first. If the programs
 * refuse to go on, the sink is paused again, and the others continue without it. */
#ifndef WALPIPE_PAUSETRIAL_H
#define WALPIPE_PAUSETRIAL_H

#include "lib/log.h"
#include "walpipe/config.h"
#include "walpipe/unit.h"

struct pausetrial {
    struct pool pool;
    struct trial_sink *paused;  /* in the last life of the programs */
    struct trial_sink *resumed; /* since then */
    uint64_t began_at;          /* clock_micros(), 0 if nothing is on trial */
};

/* When a life of the programs has ended, before the config changes and before anybody has the time
 * to resume a sink that ackd has just detached. */
void pausetrial_note(struct pausetrial *trial, const struct config *config);

/* Before the next life, when config has its pauses. Returns whether a sink is on trial. */
bool pausetrial_begin(struct pausetrial *trial, const struct config *config);

/* The programs did not start, or refused to go on. Pauses the sink whose fault this is again, and
 * returns true, if it is on trial. Where no worker of a sink has failed, it may be the fault of
 * each that is on trial. */
bool pausetrial_undo(struct pausetrial *trial, const struct config *config,
                     const struct unit_end *end, const struct log *log);

void pausetrial_free(struct pausetrial *trial);

#endif
