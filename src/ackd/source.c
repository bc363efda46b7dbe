/* source.c: the messages of pg-wal-read. */
#include "ackd/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ackd/confirm.h"
#include "ackd/copier.h"
#include "ackd/detach.h"
#include "ackd/kept.h"
#include "lib/clock.h"
#include "lib/lsn.h"

/* A run that is killed has told this long before. */
#define REACHED_MICROS UINT64_C(10000000)

static int
accept_reader(struct ackd *a, struct conn *conn, const struct ack_message *message, struct err *err)
{
    struct ack_message answer = {.type = ACK_ACCEPTED, .run_id = message->run_id};

    a->reader = conn;
    a->waiting = (struct ack_waiting){0};
    conn->role = CONN_READER;
    return conn_send(conn, &answer, err);
}

/* Sends err to the peer. */
static int
send_refusal(struct conn *conn, const struct ack_message *message, const struct err *err)
{
    struct ack_message answer = {.type = ACK_REFUSED, .run_id = message->run_id};
    struct err ignored;

    snprintf(answer.refusal.message, sizeof answer.refusal.message, "%.*s",
             (int)sizeof answer.refusal.message - 1, err->message);
    snprintf(answer.refusal.hint, sizeof answer.refusal.hint, "%s", err->hint);
    return conn_send(conn, &answer, &ignored);
}

static int
begin_run(struct ackd *a, struct conn *conn, const struct ack_message *message, bool new_timeline,
          struct err *err)
{
    const struct ack_source *s = &message->source;
    struct run_id_text run = run_id_format(&message->run_id);
    struct lsn_text lsn = lsn_format(s->confirmed_lsn);
    const struct log_field fields[] = {{.name = "run", .text = run.text},
                                       {.name = "slot", .text = s->slot},
                                       {.name = "lsn", .text = lsn.text}};

    if (new_timeline)
        log_write(&a->log, LOG_WARNING,
                  "the source moved from timeline %" PRIu32 " to %" PRIu32 "; its slot is at %s, "
                  "the checkpoint at %s: continuing. If the old primary had sent changes that the "
                  "new one never received, the targets still have them",
                  a->checkpoint.timeline, s->timeline, lsn.text,
                  lsn_format(a->checkpoint.safe_lsn).text);
    if (a->checkpoint_known && admission_needs_proof(&a->checkpoint, s))
        log_write(&a->log, LOG_WARNING,
                  "the slot is at %s, ahead of the checkpoint at %s: either another walpipe "
                  "confirmed that, or changes are missing; each target must prove that it has them",
                  lsn.text, lsn_format(a->checkpoint.safe_lsn).text);
    a->source = *s;
    a->run_id = message->run_id;
    if (confirm_begin(a, new_timeline, err) != 0)
        return -1;
    a->running = true;
    a->began_at = clock_micros();
    a->freshness = (struct freshness){0};
    log_write_fields(&a->log, LOG_INFO, fields, sizeof fields / sizeof *fields,
                     "the source is accepted, its slot is at %s", lsn.text);
    return accept_reader(a, conn, message, err);
}

static void
refuse_second(struct ackd *a, struct conn *conn, const struct ack_message *message)
{
    struct err why = {0};

    err_set(&why, EXIT_REFUSED, "another pg-wal-read is connected to this ackd");
    err_hint(&why, "a pipeline has one; a second pipeline needs a state_dir of its own");
    log_write(&a->log, LOG_WARNING, "refused a second pg-wal-read");
    if (send_refusal(conn, message, &why) != 0)
        conn->eof = true;
    conn->closing = true;
}

/* Another walpipe was faster. The slot was free before, and was taken when replication was to
 * start. No changes have been read yet, so the run begins again. */
static int
begin_again(struct ackd *a, struct err *err)
{
    if (a->running && (a->ledger.registered_count > 0 || a->ledger.received > a->ledger.start))
        return err_set(err, EXIT_BUG,
                       "pg-wal-read described its source again in the middle of its run");
    a->running = false;
    return 0;
}

int
source_waiting(struct ackd *a, struct conn *conn, const struct ack_message *message,
               struct err *err)
{
    if (a->reader != NULL && a->reader != conn) {
        refuse_second(a, conn, message);
        return 0;
    }
    if (begin_again(a, err) != 0)
        return -1;
    a->reader = conn;
    if (!message->waiting.standby && strcmp(a->waiting.message, message->waiting.message) != 0)
        troubles_add(&a->troubles, "pg-wal-read", message->waiting.message);
    a->waiting = message->waiting;
    conn->role = CONN_READER;
    return 0;
}

int
source_hello(struct ackd *a, struct conn *conn, const struct ack_message *message, struct err *err)
{
    const struct checkpoint *c = a->checkpoint_known ? &a->checkpoint : NULL;
    enum admission admission;

    if (a->reader != NULL && a->reader != conn) {
        refuse_second(a, conn, message);
        return 0;
    }
    if (begin_again(a, err) != 0)
        return -1;
    admission = admission_source(c, a->dir_path, &message->source, err);
    switch (admission) {
    case ADMISSION_NO_SLOT:
        return accept_reader(a, conn, message, err);
    case ADMISSION_RUN:
    case ADMISSION_NEW_TIMELINE:
        return begin_run(a, conn, message, admission == ADMISSION_NEW_TIMELINE, err);
    case ADMISSION_REFUSED:
        break;
    }
    /* Only a person can mend this. ackd tells the peer the reason and ends with it. */
    (void)!send_refusal(conn, message, err);
    return -1;
}

int
source_received(struct ackd *a, const struct ack_received *r, struct err *err)
{
    if (ledger_received(&a->ledger, r->lsn) != LEDGER_OK)
        return err_set(err, EXIT_BUG, "pg-wal-read received %s after %s", lsn_format(r->lsn).text,
                       lsn_format(a->ledger.received).text);
    a->pace.reply_requested |= r->reply_requested;
    freshness_commit(&a->freshness.received, r->lsn, r->commit_time);
    return 0;
}

/* Warns once each time the slot comes into danger, and not again while it stays there. */
static void
watch_slot(struct ackd *a, const struct ack_slot *s)
{
    uint64_t left = s->safe_wal_size < 0 ? UINT64_MAX : (uint64_t)s->safe_wal_size;
    bool near = left != UINT64_MAX && left < (s->retained_bytes + left) / 4;
    bool danger =
        near || strcmp(s->wal_status, "unreserved") == 0 || strcmp(s->wal_status, "lost") == 0;

    if (danger && !a->slot_warned)
        log_write(&a->log, LOG_WARNING,
                  "replication slot \"%s\" is %s: it keeps %" PRIu64 " bytes of WAL, %" PRId64
                  " bytes more and the source invalidates it; find the slow sink, or raise "
                  "max_slot_wal_keep_size",
                  a->source.slot, s->wal_status, s->retained_bytes, s->safe_wal_size);
    a->slot_warned = danger;
}

/* Checks whether the source has lost WAL that a target has. Only LSNs that were durable before this
 * run are compared. A report of this run may rightly be newer than the current LSN, which was asked
 * for earlier. */
static int
check_wal_end(const struct ackd *a, uint64_t current_lsn, struct err *err)
{
    if (a->checkpoint_safe_seen != 0 &&
        admission_wal_end(current_lsn, a->checkpoint_safe_seen, "the checkpoint", err) != 0)
        return -1;
    for (uint32_t i = 0; i < a->workers_count; i++) {
        char who[sizeof(struct worker_name) + 8];

        snprintf(who, sizeof who, "sink %s", ackd_worker_name(a, &a->workers[i]).text);
        if (a->workers[i].registered &&
            admission_wal_end(current_lsn, a->ledger.workers[i].floor, who, err) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < a->sinks_count; i++) {
        char who[sizeof a->sinks[i].name + 16];

        snprintf(who, sizeof who, "paused sink %s", a->sinks[i].name);
        if (admission_wal_end(current_lsn, a->sinks[i].reached, who, err) != 0)
            return -1;
    }
    return 0;
}

/* Notes it for the next ackd, in case that the source is away by then. */
static void
note_wal_end(struct ackd *a)
{
    struct walend end = {.system_identifier = a->source.system_identifier,
                         .lsn = a->ledger.received};

    if (a->slot_known && a->slot.current_lsn > end.lsn)
        end.lsn = a->slot.current_lsn;
    if (end.lsn == a->seen.lsn && end.system_identifier == a->seen.system_identifier)
        return;
    a->seen = end;
    walend_write(a->dir, &end);
}

int
source_slot(struct ackd *a, const struct ack_slot *s, struct err *err)
{
    /* Two failures in a row, because the first current LSN may be older than the worker's
     * registration. */
    if (check_wal_end(a, s->current_lsn, err) == 0)
        a->wal_end_short = false;
    else if (a->wal_end_short)
        return -1;
    else
        a->wal_end_short = true;
    a->slot = *s;
    a->slot_known = true;
    freshness_end(&a->freshness, s->current_lsn, clock_postgres_now());
    note_wal_end(a);
    if (clock_micros() - a->reached_at >= REACHED_MICROS)
        kept_note(a);
    watch_slot(a, s);
    return detach_look(a, err);
}

int
source_draining(struct ackd *a, struct err *err)
{
    if (a->draining)
        return err_set(err, EXIT_BUG, "pg-wal-read reported twice that it drains");
    a->draining = true;
    copier_draining(a);
    log_write(&a->log, LOG_INFO, "draining: the source's stream has ended");
    return 0;
}

int
source_gone(struct ackd *a, struct err *err)
{
    a->reader = NULL;
    if (a->running) {
        note_wal_end(a);
        kept_note(a);
    }
    if (a->drained) {
        a->done = true;
        return 0;
    }
    if (!a->running)
        err_set(err, EXIT_PEER, "pg-wal-read disconnected before a run began");
    else
        err_set(err, EXIT_PEER, "pg-wal-read disconnected before the pipeline was drained");
    return err_neighbour(err);
}
