/* confirm.c: confirms LSNs to the source. The checkpoint is on disk before an LSN is sent. So the
 * next start can tell a slot that walpipe moved from one that somebody else moved. */
#include "ackd/confirm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ackd/kept.h"
#include "lib/clock.h"
#include "lib/detachnote.h"
#include "lib/feedback.h"
#include "lib/lsn.h"

#define CHECKPOINT_RETRY_MICROS UINT64_C(1000000)

static void
note_sink_changes(const struct ackd *a)
{
    const char *before = a->checkpoint.sinks;

    for (uint32_t i = 0; i < a->sinks_count; i++) {
        const struct sink *s = &a->sinks[i];
        uint32_t shards = checkpoint_shards(before, s->name);

        if (shards == 0)
            log_write(&a->log, LOG_WARNING,
                      "sink \"%s\" is new to this pipeline: it gets the changes after %s, and "
                      "older rows only if they are copied",
                      s->name, lsn_format(a->source.confirmed_lsn).text);
        else if (shards != s->shards)
            log_write(&a->log, LOG_WARNING,
                      "sink \"%s\" had %" PRIu32 " shards and has %" PRIu32
                      " now: keys move between its workers",
                      s->name, shards, s->shards);
    }
}

/* Makes the checkpoint for this run's source, including the safe LSN. */
static void
make_checkpoint(const struct ackd *a, uint64_t safe_lsn, struct checkpoint *c)
{
    *c = (struct checkpoint){.system_identifier = a->source.system_identifier,
                             .timeline = a->source.timeline,
                             .safe_lsn = safe_lsn,
                             .switch_lsn = a->source.switch_lsn};
    memcpy(c->pipeline, a->pipeline, sizeof c->pipeline);
    memcpy(c->database, a->source.database, sizeof c->database);
    memcpy(c->slot, a->source.slot, sizeof c->slot);
    memcpy(c->sinks, a->sinks_line, sizeof c->sinks);
}

/* The file decides nothing here: the sink's LSN is for people. */
static void
detach_workers(struct ackd *a, struct sink *s)
{
    struct detachnote note;
    struct err ignored = {0};

    if (detachnote_read(a->dir_path, s->name, &note, &ignored) == 0)
        s->lacks_from = note.lsn;
    for (uint32_t shard = 0; shard < s->shards; shard++)
        ledger_detach(&a->ledger, s->first_worker + shard);
    log_write(&a->log, LOG_WARNING,
              "sink %s is detached: changes are confirmed that its target does not get", s->name);
}

static void
set_aside(struct ackd *a)
{
    for (uint32_t i = 0; i < a->sinks_count; i++) {
        struct sink *s = &a->sinks[i];

        if (s->detached)
            detach_workers(a, s);
        if (!s->paused || s->detached)
            continue;
        s->reached = reached_find(a->reached, a->source.system_identifier, s->name);
        for (uint32_t shard = 0; shard < s->shards; shard++)
            ledger_pause(&a->ledger, s->first_worker + shard);
        log_write(&a->log, LOG_INFO, "sink %s is paused: nothing beyond %s is confirmed", s->name,
                  lsn_format(a->source.confirmed_lsn).text);
    }
}

int
confirm_begin(struct ackd *a, bool new_timeline, struct err *err)
{
    struct checkpoint c;
    uint64_t safe = a->checkpoint_known ? a->checkpoint.safe_lsn : 0;

    a->proving = admission_needs_proof(a->checkpoint_known ? &a->checkpoint : NULL, &a->source);
    /* On a new timeline, positions of the old one beyond the slot's LSN are meaningless. Otherwise
     * the checkpoint never goes down. */
    if (!a->proving && (new_timeline || safe < a->source.confirmed_lsn))
        safe = a->source.confirmed_lsn;
    kept_begin(a);
    if (a->checkpoint_known)
        note_sink_changes(a);
    make_checkpoint(a, safe, &c);
    /* As long as a proof is missing nothing is written, so that the next start asks for it
     * again. */
    if (!a->proving &&
        (!a->checkpoint_known || new_timeline || strcmp(c.sinks, a->checkpoint.sinks) != 0) &&
        checkpoint_write(a->dir, a->dir_path, &c, err) != 0)
        return -1;
    a->checkpoint = c;
    a->checkpoint_known = true;
    ledger_begin(&a->ledger, a->workers_count, a->source.confirmed_lsn);
    set_aside(a);
    pace_begin(&a->pace, clock_micros(), a->source.wal_sender_timeout_ms, a->source.confirmed_lsn);
    return 0;
}

void
confirm_proved(struct ackd *a)
{
    if (!a->proving || a->ledger.paused_count > 0)
        return;
    a->proving = false;
    log_write(&a->log, LOG_INFO,
              "every target has all changes up to the slot's position %s: another walpipe "
              "confirmed them",
              lsn_format(a->ledger.start).text);
}

/* No LSN is confirmed before it is in the checkpoint. The checkpoint may be ahead at the start,
 * because a source that crashes forgets an unsaved confirmation. Sending an LSN that the slot has
 * already confirms nothing. */
static uint64_t
flush_lsn(const struct ackd *a)
{
    if (a->checkpoint.safe_lsn < a->ledger.start)
        return a->ledger.start;
    return a->ledger.safe < a->checkpoint.safe_lsn ? a->ledger.safe : a->checkpoint.safe_lsn;
}

static bool
checkpoint_behind(const struct ackd *a)
{
    return !a->proving && a->ledger.safe > a->checkpoint.safe_lsn;
}

static uint64_t
feedback_due(const struct ackd *a)
{
    uint64_t flush = checkpoint_behind(a) && !a->checkpoint_failing ? a->ledger.safe : flush_lsn(a);

    return pace_due(&a->pace, a->ledger.received, flush);
}

uint64_t
confirm_deadline(const struct ackd *a)
{
    uint64_t due;

    if (!a->running || a->reader == NULL || a->drained)
        return 0;
    due = feedback_due(a);
    if (a->checkpoint_failing && a->checkpoint_retry_at < due)
        due = a->checkpoint_retry_at;
    return due == 0 ? 1 : due;
}

static void
advance_checkpoint(struct ackd *a, uint64_t now)
{
    struct checkpoint c = a->checkpoint;
    struct err err = {0};

    kept_note_first(a);
    c.safe_lsn = a->ledger.safe;
    if (checkpoint_write(a->dir, a->dir_path, &c, &err) == 0) {
        if (a->checkpoint_failing)
            log_write(&a->log, LOG_INFO, "the checkpoint can be written again");
        a->checkpoint_failing = false;
        a->checkpoint = c;
        return;
    }
    if (!a->checkpoint_failing)
        troubles_add(&a->troubles, "ackd", err.message);
    a->checkpoint_failing = true;
    a->checkpoint_retry_at = now + CHECKPOINT_RETRY_MICROS;
    log_write(&a->log, LOG_ERROR, "%s; nothing is confirmed beyond %s until it can be", err.message,
              lsn_format(flush_lsn(a)).text);
}

static int
send_feedback(struct ackd *a, uint64_t now, struct err *err)
{
    struct feedback f = {.write_lsn = a->ledger.received, .flush_lsn = flush_lsn(a)};
    struct ack_message m = {.type = ACK_FEEDBACK, .run_id = a->run_id};
    uint8_t bytes[FEEDBACK_SIZE];

    if (f.flush_lsn < a->pace.sent_flush || f.flush_lsn > f.write_lsn)
        return err_set(err, EXIT_BUG, "refused to confirm %s: confirmed before %s, received %s",
                       lsn_format(f.flush_lsn).text, lsn_format(a->pace.sent_flush).text,
                       lsn_format(f.write_lsn).text);
    f.apply_lsn = f.flush_lsn;
    f.client_time = clock_postgres_now();
    f.reply_requested = pace_asks(&a->pace, now);
    feedback_encode(bytes, &f);
    m.feedback = (struct bytes){bytes, sizeof bytes};
    if (conn_send(a->reader, &m, err) != 0)
        return -1;
    if (!a->pace.first_sent)
        log_write(&a->log, LOG_INFO, "first feedback: received %s, confirmed %s",
                  lsn_format(f.write_lsn).text, lsn_format(f.flush_lsn).text);
    pace_sent(&a->pace, now, f.write_lsn, f.flush_lsn);
    return 0;
}

static bool
all_finished(const struct ackd *a)
{
    for (uint32_t i = 0; i < a->workers_count; i++)
        if (!a->workers[i].finished && !a->sinks[a->workers[i].sink].paused)
            return false;
    return true;
}

/* Every worker has sent its last report. The drain ends when the checkpoint is on disk. */
static int
end_drain(struct ackd *a, uint64_t now, struct err *err)
{
    struct ack_message m = {.type = ACK_DRAINED, .run_id = a->run_id};

    if (send_feedback(a, now, err) != 0 || conn_send(a->reader, &m, err) != 0)
        return -1;
    a->drained = true;
    log_write(&a->log, LOG_INFO, "drained: every worker has finished, confirmed %s",
              lsn_format(a->pace.sent_flush).text);
    return 0;
}

int
confirm_turn(struct ackd *a, uint64_t now, struct err *err)
{
    bool last, due;

    if (!a->running || a->reader == NULL || a->drained)
        return 0;
    last = a->draining && all_finished(a);
    due = last || feedback_due(a) <= now;
    if (checkpoint_behind(a) && (a->checkpoint_failing ? a->checkpoint_retry_at <= now : due))
        advance_checkpoint(a, now);
    if (last && !checkpoint_behind(a))
        return end_drain(a, now, err);
    return feedback_due(a) <= now ? send_feedback(a, now, err) : 0;
}
