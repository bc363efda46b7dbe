/* attach.h: brings back a detached sink. Its target is told that every table is copied again and
 * that the sink begins anew, as one that has no position. So it may start at any position of the
 * slot. */
#ifndef WALPIPE_ATTACH_H
#define WALPIPE_ATTACH_H

#include "walpipe/config.h"

/* The sink of the config. Waits until no program of it runs. Returns 0 when the target's notes are
 * durable. Returns -1 with err if the sink cannot come back: EXIT_REFUSED if somebody must act
 * first. Then the target may know of a part of the tables, and the sink must stay detached. */
int attach_sink(const struct config *config, const struct sink_config *sink,
                struct err *err) MUST_CHECK;

#endif
