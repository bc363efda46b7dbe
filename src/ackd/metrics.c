/* metrics.c: see metrics.h. The page is Prometheus' text format, version 0.0.4. A family whose
 * value is not known yet is left out, because an invented 0 would silence alarms. */
#include "ackd/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ackd/ackd.h"
#include "ackd/comparemetrics.h"
#include "ackd/partmetrics.h"
#include "ackd/promtext.h"
#include "ackd/report.h"
#include "lib/clock.h"

static void
info_family(struct buf *page)
{
    promtext_family(page, "replicator_info", "gauge",
                    "Always 1; its label names walpipe's version.");
    promtext_add(page, "replicator_info{version=\"" WALPIPE_VERSION "\"} 1\n");
}

/* As Unix time. */
static double
unix_seconds(int64_t moment)
{
    return (double)moment / 1e6 + POSTGRES_EPOCH;
}

static void
lag_seconds_families(const struct ackd *a, struct buf *page)
{
    const struct freshness *f = &a->freshness;
    int64_t durable = freshness_moment(f, a->workers_count, report_confirmed(a));
    uint64_t micros;

    if (report_lag_micros(a, &micros))
        promtext_seconds(page, "replicator_lag_seconds",
                         "How long ago the source was in the state that every sink has reached.",
                         (double)micros / 1e6);
    if (a->running && durable != 0)
        promtext_seconds(page, "replicator_durable_commit_timestamp_seconds",
                         "Time of the source's last commit that every sink has.",
                         unix_seconds(durable));
    if (a->running && f->received.moment != 0)
        promtext_seconds(page, "replicator_received_commit_timestamp_seconds",
                         "Time of the last commit that was received from the source.",
                         unix_seconds(f->received.moment));
}

static void
source_families(const struct ackd *a, struct buf *page)
{
    uint64_t lag;

    promtext_single(page, "replicator_source_up", "gauge",
                    "Whether pg-wal-read is connected and accepted.",
                    a->running && a->reader != NULL);
    promtext_single(page, "replicator_standby", "gauge",
                    "Whether this walpipe waits because another one uses the slot.",
                    a->waiting.standby);
    promtext_single(page, "replicator_restarts_total", "counter",
                    "Restarts of the whole pipeline since its supervisor started.", a->restarts);
    promtext_single(page, "replicator_checkpoint_up", "gauge",
                    "Whether the last write of the checkpoint file succeeded.",
                    !a->checkpoint_failing);
    if (report_lag(a, &lag))
        promtext_single(page, "replicator_lag_bytes", "gauge",
                        "WAL of the source that is not yet confirmed to be in every sink; while "
                        "the source does not answer, as of its last known position.",
                        lag);
    lag_seconds_families(a, page);
    if (a->running)
        promtext_single(page, "replicator_received_lsn", "gauge",
                        "Highest LSN received from the source.", a->ledger.received);
    if (report_confirmed(a) != 0)
        promtext_single(page, "replicator_safe_lsn", "gauge",
                        "LSN up to which every sink has everything; confirmed to the source.",
                        report_confirmed(a));
}

static void
slot_families(const struct ackd *a, struct buf *page)
{
    static const char *const statuses[] = {"reserved", "extended", "unreserved", "lost"};
    double left;

    if (!a->slot_known)
        return;
    promtext_single(page, "replicator_slot_retained_bytes", "gauge",
                    "WAL that the source keeps for the replication slot.", a->slot.retained_bytes);
    promtext_single(page, "replicator_slot_xmin_age", "gauge",
                    "Transactions since the slot's catalog_xmin: VACUUM keeps catalog rows that "
                    "died since then.",
                    a->slot.xmin_age);
    promtext_single(page, "replicator_reader_output_full", "gauge",
                    "Whether the reader waits for the pipeline, not for the source.",
                    a->slot.output_full);
    promtext_family(
        page, "replicator_slot_safe_wal_size_bytes", "gauge",
        "WAL that may still be written before the source invalidates the slot; +Inf: no limit.");
    if (a->slot.safe_wal_size < 0)
        promtext_add(page, "replicator_slot_safe_wal_size_bytes +Inf\n");
    else
        promtext_add(page, "replicator_slot_safe_wal_size_bytes %" PRId64 "\n",
                     a->slot.safe_wal_size);
    if (history_slot_seconds(&a->history, &left))
        promtext_seconds(page, "replicator_slot_seconds_until_lost",
                         "Time until the source invalidates the slot, at the rate of the last ten "
                         "minutes; +Inf: never.",
                         left);
    promtext_family(page, "replicator_slot_wal_status", "gauge",
                    "1 for the slot's wal_status as in pg_replication_slots, 0 for the others.");
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        promtext_add(page, "replicator_slot_wal_status{status=\"%s\"} %d\n", statuses[i],
                     strcmp(statuses[i], a->slot.wal_status) == 0);
}

/* The labels {sink="...",shard="..."}. Sink names need no escapes (see main.c). */
struct labels {
    char text[NAME_MAX_BYTES + 48];
};

static struct labels
labels_of(const struct ackd *a, uint32_t worker)
{
    const struct worker *w = &a->workers[worker];
    struct labels l;

    snprintf(l.text, sizeof l.text, "sink=\"%s\",shard=\"%" PRIu32 "\"", a->sinks[w->sink].name,
             w->shard);
    return l;
}

static void
worker_family(const struct ackd *a, struct buf *page, const char *name, const char *type,
              const char *help, uint64_t (*value)(const struct ackd *, uint32_t))
{
    promtext_family(page, name, type, help);
    for (uint32_t i = 0; i < a->workers_count; i++)
        promtext_add(page, "%s{%s} %" PRIu64 "\n", name, labels_of(a, i).text, value(a, i));
}

static uint64_t
events_of(const struct ackd *a, uint32_t worker)
{
    return a->workers[worker].metrics.events;
}

static uint64_t
reconnects_of(const struct ackd *a, uint32_t worker)
{
    return a->workers[worker].metrics.reconnects;
}

static uint64_t
retries_of(const struct ackd *a, uint32_t worker)
{
    return a->workers[worker].metrics.retries;
}

static bool
target_up(const struct ackd *a, uint32_t worker)
{
    return a->workers[worker].registered && a->workers[worker].target_alive;
}

static uint64_t
reached_of(const struct ackd *a, uint32_t worker)
{
    const struct ledger_worker *w = &a->ledger.workers[worker];

    return w->registered ? w->reached : a->ledger.start;
}

static uint64_t
lag_of(const struct ackd *a, uint32_t worker)
{
    uint64_t lag;

    (void)report_worker_lag(a, worker, &lag);
    return lag;
}

/* The unit is divisor times the stored one. */
static void
histogram_family(const struct ackd *a, struct buf *page, const char *name, const char *help,
                 const struct counters_buckets *b, uint64_t divisor, size_t offset)
{
    promtext_family(page, name, "histogram", help);
    for (uint32_t i = 0; i < a->workers_count; i++) {
        const struct histogram *h =
            (const struct histogram *)((const char *)&a->workers[i].metrics + offset);
        struct labels labels = labels_of(a, i);
        uint64_t below = 0;

        for (size_t k = 0; k < b->count; k++) {
            below += h->counts[k];
            promtext_add(page, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels.text,
                         (double)b->bounds[k] / (double)divisor, below);
        }
        below += h->counts[b->count];
        promtext_add(page, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels.text, below);
        promtext_add(page, "%s_sum{%s} %.15g\n", name, labels.text,
                     (double)h->sum / (double)divisor);
        promtext_add(page, "%s_count{%s} %" PRIu64 "\n", name, labels.text, below);
    }
}

static void
worker_seconds_family(const struct ackd *a, struct buf *page)
{
    static const char name[] = "replicator_worker_lag_seconds";
    bool any = false;
    uint64_t micros;

    for (uint32_t i = 0; i < a->workers_count; i++) {
        if (!report_worker_lag_micros(a, i, &micros))
            continue;
        if (!any)
            promtext_family(
                page, name, "gauge",
                "How long ago the source was in the state that the worker's target has.");
        any = true;
        promtext_add(page, "%s{%s} %.6f\n", name, labels_of(a, i).text, (double)micros / 1e6);
    }
}

struct aside_family {
    const char *name, *help, *seconds, *seconds_help;
    bool detached;
};

static bool
is_of(const struct aside_family *f, const struct sink *s)
{
    return s->paused && s->detached == f->detached;
}

static void
aside_family(const struct ackd *a, const struct aside_family *f, struct buf *page)
{
    time_t now = time(NULL);
    bool any = false;

    promtext_family(page, f->name, "gauge", f->help);
    for (uint32_t i = 0; i < a->sinks_count; i++) {
        any = any || is_of(f, &a->sinks[i]);
        promtext_add(page, "%s{sink=\"%s\"} %d\n", f->name, a->sinks[i].name,
                     is_of(f, &a->sinks[i]));
    }
    if (any)
        promtext_family(page, f->seconds, "gauge", f->seconds_help);
    for (uint32_t i = 0; i < a->sinks_count; i++)
        if (is_of(f, &a->sinks[i]))
            promtext_add(page, "%s{sink=\"%s\"} %.0f\n", f->seconds, a->sinks[i].name,
                         difftime(now, (time_t)a->sinks[i].paused_since));
}

static void
aside_families(const struct ackd *a, struct buf *page)
{
    static const struct aside_family families[] = {
        {"replicator_sink_paused", "Whether walpipe pause has set the sink aside.",
         "replicator_sink_paused_seconds", "For how long the sink is paused.", false},
        {"replicator_sink_detached",
         "Whether the sink was given up, so that its target lacks changes.",
         "replicator_sink_detached_seconds", "For how long the sink is detached.", true}};

    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        aside_family(a, &families[i], page);
}

static void
lacks_families(const struct ackd *a, struct buf *page)
{
    static const char tables[] = "replicator_sink_lacking_tables",
                      changes[] = "replicator_sink_lacking_changes";

    promtext_family(page, tables, "gauge",
                    "Tables that lack changes in the target because they were skipped.");
    for (uint32_t i = 0; i < a->sinks_count; i++)
        promtext_add(page, "%s{sink=\"%s\"} %" PRIu64 "\n", tables, a->sinks[i].name,
                     a->sinks[i].lacks.tables);
    promtext_family(page, changes, "gauge", "These changes.");
    for (uint32_t i = 0; i < a->sinks_count; i++)
        promtext_add(page, "%s{sink=\"%s\"} %" PRIu64 "\n", changes, a->sinks[i].name,
                     a->sinks[i].lacks.changes);
}

/* An alert on 0 is for targets that should answer. */
static void
target_family(const struct ackd *a, struct buf *page)
{
    static const char name[] = "replicator_target_up";

    promtext_family(page, name, "gauge",
                    "Whether the worker is registered and its target answers.");
    for (uint32_t i = 0; i < a->workers_count; i++)
        if (!a->sinks[a->workers[i].sink].paused)
            promtext_add(page, "%s{%s} %d\n", name, labels_of(a, i).text, target_up(a, i));
}

static void
worker_families(const struct ackd *a, struct buf *page)
{
    uint64_t lag;

    target_family(a, page);
    worker_family(a, page, "replicator_target_reconnects_total", "counter",
                  "How often the target answered again after it was down.", reconnects_of);
    worker_family(a, page, "replicator_target_retries_total", "counter",
                  "Attempts to reach the target that failed.", retries_of);
    worker_family(a, page, "replicator_events_processed_total", "counter",
                  "Changes made durable in the target by this run.", events_of);
    histogram_family(a, page, "replicator_batch_size", "Rows written in one batch.",
                     &counters_rows_buckets, 1, offsetof(struct worker_metrics, batch_rows));
    histogram_family(a, page, "replicator_sink_latency_seconds",
                     "Time that the target took to make one batch durable.",
                     &counters_micros_buckets, 1000000,
                     offsetof(struct worker_metrics, flush_micros));
    if (a->running)
        worker_family(a, page, "replicator_worker_reached_lsn", "gauge",
                      "LSN up to which the worker has everything in its target.", reached_of);
    if (report_lag(a, &lag))
        worker_family(a, page, "replicator_worker_lag_bytes", "gauge",
                      "WAL of the source that the worker does not have in its target yet.", lag_of);
    worker_seconds_family(a, page);
}

/* Appends a line for each worker that has said how its tables are. extra is further labels. */
static void
copy_lines(const struct ackd *a, struct buf *page, const char *name, const char *extra,
           size_t offset)
{
    for (uint32_t i = 0; i < a->workers_count; i++) {
        const struct worker_metrics *m = &a->workers[i].metrics;

        if (m->copies_known)
            promtext_add(page, "%s{%s%s} %" PRIu64 "\n", name, labels_of(a, i).text, extra,
                         *(const uint64_t *)(const void *)((const char *)m + offset));
    }
}

static bool
any_copies(const struct ackd *a)
{
    for (uint32_t i = 0; i < a->workers_count; i++)
        if (a->workers[i].metrics.copies_known)
            return true;
    return false;
}

static void
copy_families(const struct ackd *a, struct buf *page)
{
    static const char tables[] = "replicator_copy_tables", rows[] = "replicator_copy_rows_total",
                      bytes[] = "replicator_copy_bytes_total",
                      ranges[] = "replicator_copy_ranges_total";

    if (!any_copies(a))
        return;
    promtext_family(page, tables, "gauge", "Tables by their state in the target.");
    copy_lines(a, page, tables, ",state=\"waiting\"",
               offsetof(struct worker_metrics, copies.waiting));
    copy_lines(a, page, tables, ",state=\"copying\"",
               offsetof(struct worker_metrics, copies.copying));
    copy_lines(a, page, tables, ",state=\"resync\"",
               offsetof(struct worker_metrics, copies.resync));
    copy_lines(a, page, tables, ",state=\"parked\"",
               offsetof(struct worker_metrics, copies.parked));
    copy_lines(a, page, tables, ",state=\"streaming\"",
               offsetof(struct worker_metrics, copies.streaming));
    promtext_family(page, rows, "counter", "Rows that the copy has written in this run.");
    copy_lines(a, page, rows, "", offsetof(struct worker_metrics, copies.rows));
    promtext_family(page, bytes, "counter", "Bytes of these rows in the event stream.");
    copy_lines(a, page, bytes, "", offsetof(struct worker_metrics, copies.bytes));
    promtext_family(page, ranges, "counter",
                    "Ranges of tables that were written, or dropped and read again, in this run.");
    copy_lines(a, page, ranges, ",result=\"written\"",
               offsetof(struct worker_metrics, ranges_written));
    copy_lines(a, page, ranges, ",result=\"dropped\"",
               offsetof(struct worker_metrics, ranges_dropped));
}

static void
add_difference(const struct ackd *a, struct buf *page, const struct counted_table *t,
               const char *kind, uint64_t n)
{
    if (n == 0)
        return;
    promtext_add(page, "replicator_differences_total{sink=\"%s\",table=\"", a->sinks[t->sink].name);
    promtext_label(page, t->differences.relation);
    promtext_add(page, "\",kind=\"%s\"} %" PRIu64 "\n", kind, n);
}

static void
difference_family(const struct ackd *a, struct buf *page)
{
    promtext_family(page, "replicator_differences_total", "counter",
                    "Changes for which the target had another row than expected; table \"\": those "
                    "beyond the first 200 tables.");
    for (uint32_t i = 0; i < a->differences.count; i++) {
        const struct counted_table *t = &a->differences.tables[i];

        add_difference(a, page, t, "update_missing", t->differences.updates_missing);
        add_difference(a, page, t, "delete_missing", t->differences.deletes_missing);
        add_difference(a, page, t, "insert_existing", t->differences.inserts_existing);
        add_difference(a, page, t, "schema_change", t->differences.schema_changes);
    }
}

void
metrics_render(const struct ackd *a, struct buf *page)
{
    struct buf lines = {0};

    info_family(&lines);
    source_families(a, &lines);
    slot_families(a, &lines);
    worker_families(a, &lines);
    aside_families(a, &lines);
    lacks_families(a, &lines);
    copy_families(a, &lines);
    difference_family(a, &lines);
    comparemetrics_render(a, &lines);
    partmetrics_render(a, &lines);
    promtext_label_all(page, &lines, a->pipeline);
    buf_free(&lines);
}
