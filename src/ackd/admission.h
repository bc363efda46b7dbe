/* admission.h: decides whether a run may begin. Compares the state that pg-wal-read found at the
 * source with the checkpoint, and with the progress that a worker found in its target. Pure. Every
 * refusal names the difference and the remedy. A wrong "yes" loses data silently. */
#ifndef WALPIPE_ACKD_ADMISSION_H
#define WALPIPE_ACKD_ADMISSION_H

#include "ackd/checkpoint.h"
#include "lib/ackmsg.h"

enum admission {
    ADMISSION_RUN,          /* start */
    ADMISSION_NEW_TIMELINE, /* start, and warn that the source was promoted since the checkpoint */
    ADMISSION_NO_SLOT, /* there is no slot and there never was one, so pg-wal-read may create it */
    ADMISSION_REFUSED  /* err is set (EXIT_REFUSED) */
};

/* checkpoint is NULL if there is none. dir_path is for messages. */
enum admission admission_source(const struct checkpoint *checkpoint, const char *dir_path,
                                const struct ack_source *source, struct err *err) MUST_CHECK;

/* True for an admitted source whose slot is ahead of the checkpoint. Then either another walpipe,
 * with a state directory of its own, has confirmed that LSN, or changes are missing. Each worker
 * must find in its own target that it has everything up to the slot's LSN. No checkpoint is written
 * before that. */
bool admission_needs_proof(const struct checkpoint *checkpoint, const struct ack_source *source);

/* Returns 0, or -1 with err if the slot is ahead of the worker's target. If unproven is not NULL,
 * it is the checkpoint that the slot is ahead of. Then a worker without progress fails too, because
 * nobody knows the content of its target. */
int admission_worker(const struct checkpoint *unproven, const struct ack_source *source,
                     const struct ack_register *worker, struct err *err) MUST_CHECK;

/* Returns 0, or -1 with err if the target has lost the worker's position. kept is the one that an
 * earlier run noted for its sink, 0 if none. */
int admission_position(const struct ack_register *worker, uint64_t kept, const char *dir_path,
                       struct err *err) MUST_CHECK;

/* Whether the source has removed changes that the worker's target lacks, and that the target could
 * have got: it is of this source's history. */
bool admission_is_behind(const struct ack_source *source, const struct ack_register *worker);

/* Returns 0, or -1 with err if the source's WAL ends before lsn, which `who` already has. */
int admission_wal_end(uint64_t current_lsn, uint64_t lsn, const char *who,
                      struct err *err) MUST_CHECK;

#endif
