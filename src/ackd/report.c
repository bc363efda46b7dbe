/* report.c: ackd's reports about the pipeline to people. Health is text, status is a message. */
#include "ackd/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/lasterror.h"
#include "lib/utctime.h"

/* ---- lag ---- */

uint64_t
report_newest(const struct ackd *a)
{
    if (!a->running)
        return a->checkpoint_known && a->seen.system_identifier == a->checkpoint.system_identifier
                   ? a->seen.lsn
                   : 0;
    if (a->slot_known && a->slot.current_lsn > a->ledger.received)
        return a->slot.current_lsn;
    return a->ledger.received;
}

uint64_t
report_confirmed(const struct ackd *a)
{
    if (a->running)
        return a->ledger.safe;
    return a->checkpoint_known ? a->checkpoint.safe_lsn : 0;
}

static bool
distance(const struct ackd *a, uint64_t reached, uint64_t *bytes)
{
    uint64_t end = report_newest(a);

    *bytes = end > reached ? end - reached : 0;
    return end != 0;
}

bool
report_lag(const struct ackd *a, uint64_t *bytes)
{
    return distance(a, report_confirmed(a), bytes);
}

bool
report_worker_lag(const struct ackd *a, uint32_t worker, uint64_t *bytes)
{
    const struct ledger_worker *w = &a->ledger.workers[worker];

    if (a->sinks[a->workers[worker].sink].detached)
        return distance(a, a->sinks[a->workers[worker].sink].lacks_from, bytes) &&
               a->sinks[a->workers[worker].sink].lacks_from != 0;
    /* Every other target has the confirmed LSN. */
    if (a->running && w->registered)
        return distance(a, w->reached, bytes);
    return distance(a, a->proving ? a->checkpoint.safe_lsn : report_confirmed(a), bytes);
}

static bool
age(const struct ackd *a, uint64_t reached, uint64_t *micros)
{
    int64_t moment, now = clock_postgres_now();

    *micros = 0;
    if (!a->running)
        return false;
    if (report_newest(a) <= reached)
        return true;
    moment = freshness_moment(&a->freshness, a->workers_count, reached);
    /* The source's clock may be ahead of ours. */
    if (moment != 0 && moment < now)
        *micros = (uint64_t)(now - moment);
    return moment != 0;
}

bool
report_lag_micros(const struct ackd *a, uint64_t *micros)
{
    return age(a, report_confirmed(a), micros);
}

bool
report_worker_lag_micros(const struct ackd *a, uint32_t worker, uint64_t *micros)
{
    const struct ledger_worker *w = &a->ledger.workers[worker];

    if (a->sinks[a->workers[worker].sink].detached) {
        *micros = 0;
        return false;
    }
    return age(a, w->registered ? w->reached : report_confirmed(a), micros);
}

/* ---- health ---- */

#define HEALTH_LINE_SIZE 2048 /* an error with its hint fits in */

static void PRINTF_LIKE(2, 3) add_line(struct buf *page, const char *fmt, ...)
{
    char line[HEALTH_LINE_SIZE];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    /* A server's error text may have several lines. Here each part has one. */
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    buf_append(page, line, strlen(line));
    buf_append(page, "\n", 1);
}

static uint64_t
silent_millis(const struct worker *w)
{
    return (clock_micros() - w->heard_at) / 1000;
}

/* The worker is well as far as anybody can tell, because a large transaction may take its time. */
static void
add_silence(const struct ackd *a, uint32_t index, struct buf *page)
{
    const struct worker *w = &a->workers[index];
    uint64_t received = a->ledger.received, reached = a->ledger.workers[index].reached;
    uint64_t silent = silent_millis(w);

    if (received > reached && silent >= ACK_SILENT_MILLIS)
        add_line(page,
                 "sink %s/%" PRIu32 ": busy or stuck: silent for %" PRIu64 " s, %" PRIu64
                 " bytes of WAL behind",
                 a->sinks[w->sink].name, w->shard, silent / 1000, received - reached);
    else
        add_line(page, "sink %s/%" PRIu32 ": ok", a->sinks[w->sink].name, w->shard);
}

static bool
worker_health(const struct ackd *a, uint32_t index, struct buf *page)
{
    const struct worker *w = &a->workers[index];
    const char *name = a->sinks[w->sink].name;

    if (a->sinks[w->sink].detached) {
        add_line(page, "sink %s/%" PRIu32 ": detached since %s: its tables lack changes", name,
                 w->shard, utctime_at(a->sinks[w->sink].paused_since).text);
        return true;
    }
    if (a->sinks[w->sink].paused) {
        add_line(page, "sink %s/%" PRIu32 ": paused since %s", name, w->shard,
                 utctime_at(a->sinks[w->sink].paused_since).text);
        return true;
    }
    if (!w->registered)
        add_line(page, "sink %s/%" PRIu32 ": not registered", name, w->shard);
    else if (w->conn == NULL && !w->finished)
        add_line(page, "sink %s/%" PRIu32 ": disconnected", name, w->shard);
    else if (!w->target_alive)
        add_line(page, "sink %s/%" PRIu32 ": target down: %s", name, w->shard, w->target_message);
    else {
        add_silence(a, index, page);
        return true;
    }
    return false;
}

static void
add_last_error(const struct ackd *a, struct buf *page)
{
    struct lasterror e;

    if (!lasterror_read(a->dir_path, &e))
        return;
    add_line(page, "last error: %s: %s: %s%s%s%s", e.time, e.program, e.message,
             e.hint[0] == '\0' ? "" : " (", e.hint, e.hint[0] == '\0' ? "" : ")");
}

/* Every worker of a sink has the same tables. */
static uint64_t
count_parked(const struct ackd *a, uint32_t sink)
{
    uint64_t most = 0;

    for (uint32_t i = 0; i < a->workers_count; i++) {
        const struct worker_metrics *m = &a->workers[i].metrics;

        if (a->workers[i].sink == sink && m->copies_known && m->copies.parked > most)
            most = m->copies.parked;
    }
    return most;
}

/* The others go on, so a supervisor must not take the pipeline for dead. */
static void
add_parked(const struct ackd *a, struct buf *page)
{
    for (uint32_t i = 0; i < a->sinks_count; i++)
        if (count_parked(a, i) > 0)
            add_line(page,
                     "degraded: sink %s: tables that are parked after an error: %" PRIu64
                     "; walpipe tables says why, and walpipe resume --table brings each back",
                     a->sinks[i].name, count_parked(a, i));
}

static void
add_lacks(const struct ackd *a, struct buf *page)
{
    for (uint32_t i = 0; i < a->sinks_count; i++)
        if (a->sinks[i].lacks.tables > 0)
            add_line(page,
                     "degraded: sink %s: tables that lack changes which were skipped: %" PRIu64
                     "; walpipe tables lists them, and walpipe resync copies each again",
                     a->sinks[i].name, a->sinks[i].lacks.tables);
}

static bool
health(const struct ackd *a, struct buf *page)
{
    bool source = a->running && a->reader != NULL;
    bool well = source && !a->checkpoint_failing;

    if (a->waiting.message[0] != '\0')
        add_line(page, "source: %s%s", a->waiting.standby ? "standby: " : "", a->waiting.message);
    else
        add_line(page, "source: %s",
                 source              ? "ok"
                 : a->reader == NULL ? "pg-wal-read is not connected"
                                     : "the slot is being created");
    for (uint32_t i = 0; i < a->workers_count; i++)
        if (!worker_health(a, i, page))
            well = false;
    add_line(page, "checkpoint: %s",
             a->checkpoint_failing ? "could not be written, see ackd's log" : "ok");
    add_last_error(a, page);
    return well;
}

bool
report_health(const struct ackd *a, struct buf *page)
{
    struct buf lines = {0};
    bool well = health(a, &lines);

    for (uint32_t i = 0; i < a->sinks_count && well; i++)
        if (a->sinks[i].detached)
            add_line(page,
                     "degraded: sink %s is detached, and walpipe resume --sink %s brings it back",
                     a->sinks[i].name, a->sinks[i].name);
        else if (a->sinks[i].paused)
            add_line(page, "degraded: sink %s is paused, and walpipe resume --sink %s ends it",
                     a->sinks[i].name, a->sinks[i].name);
    if (well) {
        add_parked(a, page);
        add_lacks(a, page);
    }
    buf_append(page, lines.data + lines.start, buf_len(&lines));
    buf_free(&lines);
    return well;
}

bool
report_ready(const struct ackd *a, struct buf *page)
{
    bool active = a->running && a->reader != NULL;
    bool standby = !active && a->waiting.standby;

    if (!active && !standby && a->waiting.message[0] != '\0')
        add_line(page, "not ready: %s", a->waiting.message);
    else
        add_line(page, "%s", active ? "active" : standby ? "standby" : "not ready");
    return active || standby;
}

/* ---- status ---- */

static void
describe_worker(const struct ackd *a, uint32_t index, struct ack_worker_status *out)
{
    const struct worker *w = &a->workers[index];
    uint64_t micros;

    *out = (struct ack_worker_status){.shard = w->shard,
                                      .registered = w->registered,
                                      .target_alive = w->target_alive,
                                      .events = w->metrics.events,
                                      .batches = w->metrics.batches,
                                      .copies_known = w->metrics.copies_known,
                                      .copies = w->metrics.copies,
                                      .paused_since = a->sinks[w->sink].paused_since,
                                      .detached = a->sinks[w->sink].detached,
                                      .lacks = a->sinks[w->sink].lacks};
    memcpy(out->sink, a->sinks[w->sink].name, sizeof out->sink);
    memcpy(out->target_message, w->target_message, sizeof out->target_message);
    (void)report_worker_lag(a, index, &out->lag_bytes);
    out->lag_micros = report_worker_lag_micros(a, index, &micros) ? (int64_t)micros : -1;
    if (!w->registered)
        return;
    out->reached_lsn = a->ledger.workers[index].reached;
    out->silent_millis = silent_millis(w);
}

static void
describe_table(const struct ackd *a, uint32_t index, struct ack_table_status *out)
{
    const struct counted_table *t = &a->differences.tables[index];

    memcpy(out->sink, a->sinks[t->sink].name, sizeof out->sink);
    out->differences = t->differences;
}

int
report_status(const struct ackd *a, struct buf *out)
{
    struct ack_status *s = calloc(1, sizeof *s); /* 200 kB, too much for the stack */
    uint64_t now = clock_micros(), micros;
    int result;

    if (s == NULL)
        return -1;
    s->run_id = a->run_id;
    s->source_alive = a->running && a->reader != NULL;
    s->waiting = a->waiting;
    s->uptime_millis = (now - a->started_at) / 1000;
    s->source = a->source;
    s->slot = a->slot;
    s->received_lsn = a->running ? a->ledger.received : 0;
    s->safe_lsn = report_confirmed(a);
    s->lag_known = report_lag(a, &s->lag_bytes);
    s->lag_micros = report_lag_micros(a, &micros) ? (int64_t)micros : -1;
    s->restarts = a->restarts;
    s->workers_count = a->workers_count;
    for (uint32_t i = 0; i < a->workers_count; i++)
        describe_worker(a, i, &s->workers[i]);
    s->tables_count = a->differences.count;
    for (uint32_t i = 0; i < s->tables_count; i++)
        describe_table(a, i, &s->tables[i]);
    result = ackmsg_status_encode(out, s);
    free(s);
    return result;
}
