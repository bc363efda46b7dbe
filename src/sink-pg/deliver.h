/* deliver.h: applies a batch and handles failures of the target. It waits, connects again, and
 * finds out whether a commit whose answer was lost was carried out. */
#ifndef SINK_PG_DELIVER_H
#define SINK_PG_DELIVER_H

#include "lib/intake.h"
#include "sink-pg/apply.h"
#include "sink-pg/copynotes.h"
#include "sink-pg/origin.h"

/* Zero-initialise, then set applier's session and progress, origin, log and intake. */
struct deliver {
    struct applier applier;
    struct origin origin;
    struct differences differences;
    const struct log *log;
    struct intake *intake; /* polled during a wait for the target, and told about the target */
    bool noted_alone;      /* a note was committed outside of a batch, and no batch since */
};

/* Connects to the target, waits for it without a limit, and takes over the progress row. */
int deliver_start(struct deliver *d, struct err *err) MUST_CHECK;

/* Applies the first `to` ops of the batch. With commit it is durable afterwards, with that
 * progress. The caller drops ops and descriptions. */
int deliver_batch(struct deliver *d, struct batch *batch, uint32_t to,
                  const struct position *commit, struct err *err) MUST_CHECK;

/* Runs copytarget_check, and waits for the target where it must. */
int deliver_check_name(struct deliver *d, const struct copynotes *notes, struct copying *copying,
                       const struct relation *relation, struct err *err) MUST_CHECK;

/* Runs copynotes_leave_out, and waits for the target where it must. Inside the target's open
 * transaction the note is durable with that one. */
int deliver_left_out(struct deliver *d, const struct copynotes *notes, uint32_t relid,
                     struct err *err) MUST_CHECK;

/* Call it when the idle connection has become readable. Usually the server is gone, and it connects
 * again. */
int deliver_look(struct deliver *d, struct err *err) MUST_CHECK;

void deliver_free(struct deliver *d);

#endif
