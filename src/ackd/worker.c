/* worker.c: the messages of the sinks' workers. */
#include "ackd/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ackd/confirm.h"
#include "ackd/copier.h"
#include "ackd/detach.h"
#include "ackd/kept.h"
#include "lib/clock.h"
#include "lib/lasterror.h"
#include "lib/lsn.h"

/* ---- register ---- */

/* Returns the worker that registers, or NULL with err if it is refused. */
static struct worker *
admit(struct ackd *a, const struct ack_register *r, struct err *err)
{
    struct sink *s = ackd_find_sink(a, r->sink);
    struct worker *w;

    if (s == NULL || r->shards != s->shards || r->shard >= s->shards) {
        if (s == NULL)
            err_set(err, EXIT_REFUSED, "there is no sink \"%s\" in this pipeline", r->sink);
        else
            err_set(err, EXIT_REFUSED,
                    "sink \"%s\" has %" PRIu32 " shards, not shard %" PRIu32 " of %" PRIu32,
                    r->sink, s->shards, r->shard, r->shards);
        err_hint(err, "name the same sinks and numbers of workers in route's --sink and --to and "
                      "in ackd's --sink");
        return NULL;
    }
    if (s->paused) {
        err_set(err, EXIT_REFUSED, "sink \"%s\" is %s, but its worker %" PRIu32 " was started",
                r->sink, s->detached ? "detached" : "paused", r->shard);
        err_hint(err, "start no worker of it, or leave out ackd's --%s",
                 s->detached ? "detached" : "paused");
        return NULL;
    }
    w = &a->workers[s->first_worker + r->shard];
    if (w->registered) {
        err_set(err, EXIT_REFUSED, "worker %s/%" PRIu32 " is registered already", r->sink,
                r->shard);
        err_hint(err, "the same worker was started twice: stop one of the two");
        return NULL;
    }
    if (admission_worker(a->proving ? &a->checkpoint : NULL, &a->source, r, err) != 0 ||
        admission_position(r, s->kept, a->dir_path, err) != 0)
        return NULL;
    return w;
}

static int
refuse(struct ackd *a, struct conn *conn, const struct err *why, struct err *err)
{
    struct ack_message answer = {.type = ACK_REFUSED, .run_id = a->run_id};

    log_write(&a->log, LOG_ERROR, "refused a worker: %s", why->message);
    snprintf(answer.refusal.message, sizeof answer.refusal.message, "%.*s",
             (int)sizeof answer.refusal.message - 1, why->message);
    snprintf(answer.refusal.hint, sizeof answer.refusal.hint, "%s", why->hint);
    conn->closing = true;
    return conn_send(conn, &answer, err);
}

static int
welcome(struct ackd *a, struct conn *conn, struct worker *w, const struct ack_register *r,
        struct err *err)
{
    struct ack_message answer = {.type = ACK_ACCEPTED, .run_id = a->run_id};
    uint32_t index = (uint32_t)(w - a->workers);

    conn->role = CONN_WORKER;
    conn->worker = index;
    w->conn = conn;
    w->registered = true;
    memcpy(w->program, r->program, sizeof w->program);
    w->reads_copies = r->version >= STREAM_VERSION_COPY;
    w->target_alive = true; /* until it reports otherwise */
    w->heard_at = clock_micros();
    kept_register(w, r);
    ledger_register(&a->ledger, index, r->durable_lsn);
    log_write(&a->log, LOG_INFO, "worker %s (%s) is registered, progress %s",
              ackd_worker_name(a, w).text, r->program,
              r->durable_lsn == 0 ? "not kept" : lsn_format(r->durable_lsn).text);
    if (ledger_complete(&a->ledger)) {
        log_write(&a->log, LOG_INFO, "all %" PRIu32 " workers are registered", a->workers_count);
        kept_note_first(a);
        confirm_proved(a);
        copier_run(a);
    }
    return conn_send(conn, &answer, err);
}

/* A worker is refused. If its target lacks changes that the source has removed, and the sink may be
 * detached, only the sink is given up: it was detached by another walpipe, or left out of the
 * config. */
static int
give_up(struct ackd *a, const struct ack_register *r, struct err *err)
{
    struct sink *s = ackd_find_sink(a, r->sink);

    if (s == NULL || !detach_may(a, s) || !admission_is_behind(&a->source, r))
        return 0;
    return detach_sink(a, s, r->durable_lsn, "the source has removed changes that its target lacks",
                       err);
}

int
worker_register(struct ackd *a, struct conn *conn, const struct ack_message *message,
                struct err *err)
{
    const struct ack_register *r = &message->registration;
    struct err why = {0};
    struct worker *w;

    if (!a->running || !run_id_equal(&message->run_id, &a->run_id)) {
        log_write(&a->log, LOG_WARNING, "refused worker %s/%" PRIu32 " of another run (%s)",
                  r->sink, r->shard, run_id_format(&message->run_id).text);
        conn->closing = true;
        return 0;
    }
    w = admit(a, r, &why);
    if (w == NULL && give_up(a, r, err) != 0)
        return -1;
    if (w == NULL)
        return refuse(a, conn, &why, err);
    return welcome(a, conn, w, r, err);
}

/* ---- progress ---- */

static int
take_reached(struct ackd *a, struct worker *w, const struct ack_reached *r, struct err *err)
{
    uint32_t index = (uint32_t)(w - a->workers);
    enum ledger_verdict verdict = ledger_reached(&a->ledger, index, r->lsn);

    switch (verdict) {
    case LEDGER_OK:
        kept_report(w, r);
        counters_report(&w->metrics, r);
        freshness_commit(&a->freshness.commits[index], r->lsn, r->commit_time);
        return 0;
    case LEDGER_BACKWARDS:
        return err_set(err, EXIT_BUG, "worker %s went back: it reported %s after %s",
                       ackd_worker_name(a, w).text, lsn_format(r->lsn).text,
                       lsn_format(a->ledger.workers[index].reached).text);
    case LEDGER_BEYOND_RECEIVED:
        break;
    }
    return err_set(err, EXIT_BUG, "worker %s reported %s as durable, but only %s was received",
                   ackd_worker_name(a, w).text, lsn_format(r->lsn).text,
                   lsn_format(a->ledger.received).text);
}

static void
keep_target_error(struct ackd *a, const struct worker *w, const char *message)
{
    char who[sizeof(struct worker_name) + 8];
    struct err err;

    snprintf(who, sizeof who, "sink %s", ackd_worker_name(a, w).text);
    err_set(&err, EXIT_DONE, "%s", message);
    err_hint(&err, "the sink waits for its target and continues by itself");
    lasterror_write(a->dir_path, who, &err);
    troubles_add(&a->troubles, who, message);
}

static void
take_target(struct ackd *a, struct worker *w, const struct ack_target *t)
{
    w->metrics.retries += !t->alive;
    if (!t->alive && strcmp(w->target_message, t->message) != 0)
        keep_target_error(a, w, t->message);
    if (w->target_alive && !t->alive)
        log_write(&a->log, LOG_WARNING, "target of %s is down: %s", ackd_worker_name(a, w).text,
                  t->message);
    if (w->target_alive && !t->alive)
        w->down_since = clock_micros();
    if (!w->target_alive && t->alive) {
        w->metrics.reconnects++;
        log_write(&a->log, LOG_INFO, "target of %s is back", ackd_worker_name(a, w).text);
    }
    w->target_alive = t->alive;
    memcpy(w->target_message, t->message, sizeof w->target_message);
}

/* ---- copies ---- */

static int
take_copy(struct ackd *a, struct worker *w, const struct ack_message *m, struct err *err)
{
    if (!w->reads_copies)
        return err_set(err, EXIT_BUG, "worker %s spoke of a copy, but does not read copies",
                       ackd_worker_name(a, w).text);
    if (m->type == ACK_COPIED)
        counters_range(&w->metrics, &m->copied);
    if (m->type == ACK_COPY_COUNTS)
        counters_copies(&w->metrics, &m->copy_counts);
    else
        copier_relay(a, w, m);
    return 0;
}

/* ---- barriers ---- */

static int
let_go(struct ackd *a, struct worker *w, uint64_t id, struct err *err)
{
    struct ack_message m = {.type = ACK_GO, .run_id = a->run_id, .barrier_id = id};

    return w->conn == NULL ? 0 : conn_send(w->conn, &m, err);
}

static int
step_barrier(struct ackd *a, const struct sink *s, enum barrier_step step, struct err *err)
{
    const struct barrier *b = &s->barrier;

    switch (step) {
    case BARRIER_BROKEN:
        return -1;
    case BARRIER_WAIT:
        return 0;
    case BARRIER_LET_APPLIER_GO:
        return let_go(a, &a->workers[s->first_worker + b->applier], b->last_id, err);
    case BARRIER_LET_OTHERS_GO:
        break;
    }
    for (uint32_t i = 0; i < s->shards; i++)
        if (i != b->applier && let_go(a, &a->workers[s->first_worker + i], b->last_id, err) != 0)
            return -1;
    return 0;
}

int
worker_message(struct ackd *a, struct worker *w, const struct ack_message *m, struct err *err)
{
    struct sink *s = &a->sinks[w->sink];

    w->heard_at = clock_micros();
    if (w->finished)
        return err_set(err, EXIT_BUG, "worker %s sent a message after it had finished",
                       ackd_worker_name(a, w).text);
    switch (m->type) {
    case ACK_REACHED:
        return take_reached(a, w, &m->reached, err);
    case ACK_TARGET:
        take_target(a, w, &m->target);
        return 0;
    case ACK_DIFFERENCES:
        differences_add(&a->differences, w->sink, &m->differences);
        return 0;
    case ACK_TABLE_COUNTS:
        tablestats_add(&a->tablestats, w->sink, w->shard, &m->table_counts);
        return 0;
    case ACK_LACKS:
        s->lacks = m->lacks;
        return 0;
    case ACK_TABLE_STATE:
    case ACK_COPIED:
    case ACK_MISSING:
    case ACK_COPY_COUNTS:
        return take_copy(a, w, m, err);
    case ACK_BARRIER_REACHED:
        return step_barrier(
            a, s, barrier_reached(&s->barrier, s->shards, w->shard, &m->barrier, err), err);
    case ACK_BARRIER_DONE:
        return step_barrier(a, s, barrier_done(&s->barrier, w->shard, m->barrier_id, err), err);
    case ACK_FINISHED:
        w->finished = true;
        log_write(&a->log, LOG_DEBUG, "worker %s has finished", ackd_worker_name(a, w).text);
        return 0;
    default:
        return err_set(err, EXIT_BUG, "worker %s sent message type %d, which is not a worker's",
                       ackd_worker_name(a, w).text, (int)m->type);
    }
}

int
worker_gone(struct ackd *a, struct worker *w, struct err *err)
{
    w->conn = NULL;
    if (w->finished)
        return 0;
    err_set(err, EXIT_PEER, "worker %s disconnected before it finished",
            ackd_worker_name(a, w).text);
    return err_neighbour(err);
}
