/* intake.h: the input of every sink. It owns the input's descriptor, hello, the link to ackd and
 * the state of the open transaction. It hands out one item after the other, which grammar.h has
 * checked:
 *
 *     intake_init, intake_hello, intake_connect, (the target) and intake_register; then
 *     while ((rc = intake_next(intake, deadline, &item, err)) == 0)
 *         switch (item.kind) ...
 *
 * A stream that breaks the grammar ends the program with EXIT_BUG ("the event stream is not in
 * order"), bytes that cannot be decoded with EXIT_REFUSED. Nothing is allocated per row. It knows
 * no target. */
#ifndef WALPIPE_INTAKE_H
#define WALPIPE_INTAKE_H

#include "lib/intakestate.h"

/* fd is the input. The struct may hold anything before. */
void intake_init(struct intake *in, int fd);
void intake_free(struct intake *in);

/* Reads the first frame, and the layout behind it if there are several workers. Enough for a
 * program that has no ackd (--check). */
int intake_hello(struct intake *in, struct err *err) MUST_CHECK;

/* Connects to ackd. EXIT_REFUSED when the stream is not for a sink's worker. program is the
 * sink's own name. */
int intake_connect(struct intake *in, const char *program, const char *ackd,
                   struct err *err) MUST_CHECK;

/* Registers with ackd. durable_lsn, timeline and position as in ackclient.h. From then on ackd
 * hears about the target, which is alive at first. */
int intake_register(struct intake *in, const char *program, uint64_t durable_lsn, uint32_t timeline,
                    enum ack_position position, struct err *err) MUST_CHECK;

/* Returns the next item with 0, or 1 after INTAKE_END was handed out, or -1 with err. deadline is
 * of clock_micros, or 0 for none. */
int intake_next(struct intake *in, uint64_t deadline, struct intake_item *item,
                struct err *err) MUST_CHECK;

/* For --check, whose input is hello, relation events and end. Returns the next relation, which the
 * caller frees, with 0. Returns 1 at the end, or -1 with err. */
int intake_next_relation(struct intake *in, struct relation *relation, struct err *err) MUST_CHECK;

/* Tells ackd that everything up to the LSN is durable, with the counts of each table. */
int intake_reached(struct intake *in, const struct ack_reached *reached,
                   struct err *err) MUST_CHECK;

/* Everything that came was reported. */
int intake_finished(struct intake *in, struct err *err) MUST_CHECK;

/* The item is not needed any more. Frees the memory of a large one. */
void intake_release(struct intake *in);

/* Whether the caller should come back for the next item, because the stream goes on: something else
 * than a copy waits, or too much of a copy to look behind it. Reads the input that waits. Call it
 * after intake_release only. */
bool intake_stream_waits(struct intake *in);

/* The time of the last commit, if everything up to lsn has it, and otherwise 0. */
int64_t intake_commit_time(const struct intake *in, uint64_t lsn);

/* The error for a change whose relation has not come. Always -1. */
int intake_unknown_relation(const struct intake *in, uint32_t relid, struct err *err);

/* ---- barriers ---- */

/* Everything before the item's barrier is durable. Reports that, and waits until ackd lets this
 * worker continue. */
int intake_barrier_wait(struct intake *in, const struct intake_item *item,
                        struct err *err) MUST_CHECK;

/* The change behind the open barrier is durable. */
int intake_barrier_done(struct intake *in, struct err *err) MUST_CHECK;

/* ---- a target that is down ---- */

/* Reports that an attempt to reach the target has failed and why, to ackd each time, and through
 * say once until it is back. */
int intake_target_down(struct intake *in, const char *why, struct err *err) MUST_CHECK;

/* Reports that it is back, if it was down, and resets the backoff. */
int intake_target_up(struct intake *in, struct err *err) MUST_CHECK;

/* Waits for the next step of the backoff. Returns -1 with err if a longer wait is pointless,
 * because ackd is gone, or because the input was closed and the rest has no `end`. The current item
 * stays valid. */
int intake_wait(struct intake *in, struct err *err) MUST_CHECK;

#endif
