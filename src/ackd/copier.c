/* copier.c: see copier.h. */
#include "ackd/copier.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ackd/control.h"

/* Sends without waiting. A peer that does not read is closed. */
static void
tell(struct ackd *a, struct conn *conn, struct ack_message *message)
{
    struct err why = {0};

    message->run_id = a->run_id;
    if (conn == NULL || conn->closing || conn_send(conn, message, &why) == 0)
        return;
    log_write(&a->log, LOG_WARNING, "closed the connection of pg-table-read: %s", why.message);
    conn->closing = conn->eof = true;
}

static void
refuse(struct ackd *a, struct conn *conn, const struct err *why)
{
    struct ack_message answer = {.type = ACK_REFUSED};

    log_write(&a->log, LOG_WARNING, "refused pg-table-read: %s", why->message);
    snprintf(answer.refusal.message, sizeof answer.refusal.message, "%.*s",
             (int)sizeof answer.refusal.message - 1, why->message);
    snprintf(answer.refusal.hint, sizeof answer.refusal.hint, "%s", why->hint);
    tell(a, conn, &answer);
    conn->closing = true;
}

/* ---- the run ---- */

void
copier_run(struct ackd *a)
{
    struct ack_message m = {.type = ACK_RUN, .source = a->source};

    if (a->copier == NULL)
        return;
    a->copier_served = true;
    tell(a, a->copier, &m);
    control_copier_served(a);
}

void
copier_draining(struct ackd *a)
{
    struct ack_message m = {.type = ACK_DRAINING};

    tell(a, a->copier, &m);
}

void
copier_hello(struct ackd *a, struct conn *conn, const struct ack_message *m)
{
    struct err why = {0};

    if (a->copier != NULL || a->copier_served) {
        err_set(&why, EXIT_REFUSED, "this run has or had another pg-table-read");
        err_hint(
            &why,
            "do not start pg-table-read by hand: walpipe run starts the only one of a pipeline");
        refuse(a, conn, &why);
        return;
    }
    a->copier = conn;
    conn->role = CONN_COPIER;
    conn->out_max = COPIER_OUT_MAX;
    log_write(&a->log, LOG_INFO, "%s is connected", m->copier.program);
    if (a->running && ledger_complete(&a->ledger))
        copier_run(a);
    if (a->draining)
        copier_draining(a);
}

void
copier_gone(struct ackd *a)
{
    a->copier = NULL;
    memset(&a->asks, 0, sizeof a->asks);
    log_write(&a->log, LOG_INFO, "pg-table-read is gone");
}

/* ---- questions and answers ---- */

static void
tell_answered(struct ackd *a, uint64_t life, uint32_t workers)
{
    struct ack_message m = {.type = ACK_ANSWERED, .answered = {.life = life, .workers = workers}};

    tell(a, a->copier, &m);
}

static bool
reads_copies(const struct ackd *a, const struct sink *s)
{
    for (uint32_t i = 0; i < s->shards; i++)
        if (!a->workers[s->first_worker + i].reads_copies)
            return false;
    return true;
}

/* Returns -1 with err if there is no such sink, or if it cannot take part. */
static int
check_sinks(struct ackd *a, const struct sinklist *asked, struct err *err)
{
    for (uint32_t i = 0; i < asked->count; i++) {
        char name[NAME_MAX_BYTES + 1] = "";
        const struct sink *s;

        memcpy(name, asked->names[i].data, asked->names[i].len);
        s = ackd_find_sink(a, name);
        if (s == NULL)
            return err_set(err, EXIT_REFUSED, "there is no sink \"%s\" in this pipeline", name);
        if (!reads_copies(a, s))
            return err_set(err, EXIT_REFUSED, "sink \"%s\" does not read copies", name);
    }
    return 0;
}

static void
choose_workers(const struct ackd *a, const struct sinklist *asked, bool workers[WORKERS_MAX])
{
    for (uint32_t i = 0; i < a->workers_count; i++)
        workers[i] = a->workers[i].reads_copies &&
                     (asked->count == 0 || sinklist_has(asked, a->sinks[a->workers[i].sink].name));
}

void
copier_ask(struct ackd *a, const struct copy_ask *ask)
{
    bool workers[WORKERS_MAX] = {0};
    struct err why = {0};
    uint32_t asked;

    if (check_sinks(a, &ask->sinks, &why) != 0) {
        refuse(a, a->copier, &why);
        return;
    }
    choose_workers(a, &ask->sinks, workers);
    switch (asks_add(&a->asks, ask->life, workers, &asked)) {
    case ASKS_OPEN:
    case ASKS_UNKNOWN:
        return;
    case ASKS_ANSWERED:
        tell_answered(a, ask->life, asked);
        return;
    case ASKS_TWICE:
        err_set(&why, EXIT_BUG, "life %" PRIu64 " is asked of twice", ask->life);
        break;
    case ASKS_FULL:
        err_set(&why, EXIT_BUG, "more than %u lives are asked of", ASKS_MAX);
        break;
    }
    refuse(a, a->copier, &why);
}

static void
count_answer(struct ackd *a, const struct worker *w, uint64_t life)
{
    uint32_t asked;

    if (asks_answer(&a->asks, life, (uint32_t)(w - a->workers), &asked) == ASKS_ANSWERED)
        tell_answered(a, life, asked);
}

void
copier_relay(struct ackd *a, const struct worker *w, const struct ack_message *m)
{
    struct ack_message out = {.type = ACK_RELAYED,
                              .relayed = {.shard = w->shard, .message = m->body}};

    if (a->copier == NULL)
        return;
    snprintf(out.relayed.sink, sizeof out.relayed.sink, "%s", a->sinks[w->sink].name);
    tell(a, a->copier, &out);
    if (m->type == ACK_TABLE_STATE && m->table_state.last)
        count_answer(a, w, m->table_state.life);
}
