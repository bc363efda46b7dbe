/* admission.h: may a run begin? Compares what pg-wal-read found at the source with the checkpoint
 * and with what a worker found in its target. Pure. Every refusal names what differs and what to
 * do; a wrong "yes" here is data lost without a word. */
#ifndef WALPIPE_ACKD_ADMISSION_H
#define WALPIPE_ACKD_ADMISSION_H

#include "ackd/checkpoint.h"
#include "lib/ackmsg.h"

enum admission {
    ADMISSION_RUN,          /* go */
    ADMISSION_NEW_TIMELINE, /* go, and warn: the source was promoted since the checkpoint */
    ADMISSION_NO_SLOT,      /* there is no slot and never was one: pg-wal-read may create it */
    ADMISSION_REFUSED       /* err is set (EXIT_REFUSED) */
};

/* checkpoint NULL: there is none. dir_path is for messages. */
enum admission admission_source(const struct checkpoint *checkpoint, const char *dir_path,
                                const struct ack_source *source, struct err *err) MUST_CHECK;

/* True for an admitted source whose slot is ahead of the checkpoint. Either another walpipe, with a
 * state directory of its own, has confirmed that, or changes are missing: each worker must find in
 * its own target that it has everything up to the slot's LSN, and nothing is noted before. */
bool admission_needs_proof(const struct checkpoint *checkpoint, const struct ack_source *source);

/* 0, or -1 with err: the slot is ahead of the worker's target; or, unproven not NULL (the
 * checkpoint that the slot is ahead of), the worker can't tell. */
int admission_worker(const struct checkpoint *unproven, const struct ack_source *source,
                     const struct ack_register *worker, struct err *err) MUST_CHECK;

/* 0, or -1 with err: the source's WAL ends before lsn, which `who` already has. */
int admission_wal_end(uint64_t current_lsn, uint64_t lsn, const char *who,
                      struct err *err) MUST_CHECK;

#endif
