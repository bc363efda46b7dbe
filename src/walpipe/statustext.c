/* statustext.c: see statustext.h. */
#include "walpipe/statustext.h"

#include <inttypes.h>
#include <string.h>

#include "lib/ackjson.h"
#include "lib/lsn.h"
#include "lib/utctime.h"
#include "walpipe/amount.h"
#include "walpipe/pausetext.h"
#include "walpipe/tablestext.h"

#define WHOLES_SHOWN 20

static bool
has_run(const struct ack_status *s)
{
    const struct run_id none = {0};

    return !run_id_equal(&s->run_id, &none);
}

static bool
same_run(const struct status_samples *s)
{
    return run_id_equal(&s->before.run_id, &s->now.run_id);
}

static const struct ack_worker_status *
worker_before(const struct status_samples *s, const struct ack_worker_status *now)
{
    for (uint32_t i = 0; i < s->before.workers_count; i++) {
        const struct ack_worker_status *w = &s->before.workers[i];

        if (w->shard == now->shard && strcmp(w->sink, now->sink) == 0)
            return w;
    }
    return NULL;
}

/* Events per second between the samples, negative if not known. */
static double
rate(const struct status_samples *s, const struct ack_worker_status *now)
{
    const struct ack_worker_status *before = worker_before(s, now);

    if (!same_run(s) || before == NULL || before->events > now->events || s->micros == 0)
        return -1;
    return (double)(now->events - before->events) * 1e6 / (double)s->micros;
}

/* "-" if not known. */
static struct amount_text
lsn_text(uint64_t lsn)
{
    struct amount_text out;

    snprintf(out.text, sizeof out.text, "%s", lsn == 0 ? "-" : lsn_format(lsn).text);
    return out;
}

static struct amount_text
lag_text(const struct ack_status *s, uint64_t bytes)
{
    return s->lag_known ? amount_bytes(bytes) : (struct amount_text){"-"};
}

/* The event that the worker waits for. */
static const char *
worker_state(const struct ack_status *s, const struct ack_worker_status *w)
{
    if (w->paused_since != 0)
        return w->detached ? "detached" : "paused";
    if (!w->registered)
        return "not connected";
    if (!w->target_alive)
        return "target down";
    return s->received_lsn > w->reached_lsn && w->silent_millis >= ACK_SILENT_MILLIS
               ? "busy or stuck"
               : "ok";
}

/* ---- table ---- */

static void
print_connection(const struct ack_status *s, FILE *out)
{
    if (s->waiting.message[0] != '\0')
        fprintf(out, "source      %s%s\n",
                s->waiting.standby ? "STANDBY: " : "WAITING: ", s->waiting.message);
    else if (s->source.server_version == 0)
        fputs("source      NOT CONNECTED\n", out);
    else
        fprintf(out, "source      %s: database %s, slot %s, PostgreSQL %" PRIu32 ".%" PRIu32 "\n",
                s->source_alive ? "connected" : "NOT CONNECTED", s->source.database, s->source.slot,
                s->source.server_version / 10000, s->source.server_version % 10000);
    if (s->slot.output_full)
        fputs("reader      waits for the pipeline, not for the source\n", out);
}

static void
print_confirmed(const struct ack_status *s, FILE *out)
{
    fprintf(out, "confirmed   %s", lsn_text(s->safe_lsn).text);
    if (s->lag_known)
        fprintf(out, ", %s behind %s", amount_bytes(s->lag_bytes).text,
                s->source_alive ? "the source" : "what was last seen of the source");
    if (s->lag_micros >= 0)
        fprintf(out, ", %.1f s old", (double)s->lag_micros / 1e6);
    fputc('\n', out);
}

static void
print_slot(const struct ack_status *s, FILE *out)
{
    if (s->slot.current_lsn == 0) {
        fputs("slot        -\n", out);
        return;
    }
    fprintf(out, "slot        keeps %s of WAL on the source%s%s",
            amount_bytes(s->slot.retained_bytes).text,
            s->slot.wal_status[0] == '\0' ? "" : ", wal_status ", s->slot.wal_status);
    if (s->slot.safe_wal_size >= 0)
        fprintf(out, ", lost after %s more", amount_bytes((uint64_t)s->slot.safe_wal_size).text);
    if (s->slot.xmin_age > 0)
        fprintf(out, ", catalog_xmin %" PRIu64 " transactions old", s->slot.xmin_age);
    fputc('\n', out);
}

static void
print_source(const struct ack_status *s, FILE *out)
{
    print_connection(s, out);
    fprintf(out, "received    %s\n", lsn_text(s->received_lsn).text);
    print_confirmed(s, out);
    print_slot(s, out);
}

static void
print_worker(const struct status_samples *s, const struct ack_worker_status *w, FILE *out)
{
    double per_second = rate(s, w);
    char name[NAME_MAX_BYTES + 16], speed[32] = "-";
    struct amount_text silent =
        w->registered ? amount_millis(w->silent_millis) : (struct amount_text){"-"};

    snprintf(name, sizeof name, "%s/%" PRIu32, w->sink, w->shard);
    if (per_second >= 0)
        snprintf(speed, sizeof speed, "%.0f", per_second);
    fprintf(out, "%-20s  %-17s  %10s  %12" PRIu64 "  %9s  %9" PRIu64 "  %8s  %s%s%s\n", name,
            lsn_text(w->reached_lsn).text, lag_text(&s->now, w->lag_bytes).text, w->events, speed,
            w->batches, silent.text, worker_state(&s->now, w),
            w->target_message[0] == '\0' ? "" : ": ", w->target_message);
}

static void
print_differences(const struct ack_status *s, FILE *out)
{
    if (s->tables_count == 0)
        return;
    fprintf(out,
            "\nchanges for which the target had another row than expected:\n%-40s  %14s  %14s  %s  "
            "%s\n",
            "table", "updates of no", "deletes of no", "inserts over a row", "schema changes");
    for (uint32_t i = 0; i < s->tables_count; i++) {
        const struct ack_differences *d = &s->tables[i].differences;
        char name[sizeof s->tables[i].sink + sizeof d->relation + 2];

        snprintf(name, sizeof name, "%s %s", s->tables[i].sink,
                 d->relation[0] == '\0' ? "(other tables)" : d->relation);
        fprintf(out, "%-40s  %14" PRIu64 "  %14" PRIu64 "  %18" PRIu64 "  %14" PRIu64 "\n", name,
                d->updates_missing, d->deletes_missing, d->inserts_existing, d->schema_changes);
    }
}

/* Partitions may be many. All of them are in the state directory's layout.SINK, and in JSON. */
static void
print_wholes(const struct wholelist *list, FILE *out)
{
    char name[400];

    if (list->count > 0)
        fprintf(out, "\ntables that go to one worker as a whole:\n");
    for (size_t i = 0; i < list->count && i < WHOLES_SHOWN; i++) {
        snprintf(name, sizeof name, "%s %s", list->tables[i].sink, list->tables[i].table);
        fprintf(out, "%-40s  %s\n", name, list->tables[i].reason);
    }
    if (list->count > WHOLES_SHOWN)
        fprintf(out, "and %zu more\n", list->count - WHOLES_SHOWN);
}

/* The counts that the workers report, for a sink whose target was not asked. */
static void
print_streaming(const struct ack_status *s, uint32_t first, FILE *out)
{
    const struct ack_worker_status *w = &s->workers[first];
    uint64_t streaming = UINT64_MAX, all = 0;

    for (uint32_t i = first; i < s->workers_count; i++) {
        const struct copy_counts *n = &s->workers[i].copies;

        if (strcmp(s->workers[i].sink, w->sink) != 0 || !s->workers[i].copies_known)
            continue;
        if (n->streaming < streaming)
            streaming = n->streaming;
        if (n->waiting + n->copying + n->resync + n->parked + n->streaming > all)
            all = n->waiting + n->copying + n->resync + n->parked + n->streaming;
    }
    if (all > 0)
        fprintf(out, "\nsink %s: %" PRIu64 " of %" PRIu64 " tables streaming\n", w->sink, streaming,
                all);
}

static const struct tablelist *
copies_of(const struct status_samples *s, const char *sink)
{
    for (size_t i = 0; i < s->copies_count; i++)
        if (s->copies[i].sink != NULL && strcmp(s->copies[i].sink->name, sink) == 0)
            return &s->copies[i];
    return NULL;
}

static void
print_copies(const struct status_samples *s, FILE *out)
{
    const struct tablestext_how how = {.unfinished_only = true};

    for (uint32_t i = 0; i < s->now.workers_count; i++) {
        const struct tablelist *list = copies_of(s, s->now.workers[i].sink);

        if (s->now.workers[i].shard != 0)
            continue;
        if (list == NULL) {
            print_streaming(&s->now, i, out);
        } else {
            fputc('\n', out);
            tablestext_sink(list, how, out);
        }
    }
}

static void
print_last_error(const struct lasterror *e, FILE *out)
{
    fprintf(out, "\nlast error  %s, %s: %s\n", e->time, e->program, e->message);
    if (e->hint[0] != '\0')
        fprintf(out, "            %s\n", e->hint);
}

void
statustext_table(const char *pipeline, const struct status_samples *s, FILE *out)
{
    const struct ack_status *now = &s->now;

    fprintf(out, "pipeline    %s, %s%s, up %s, restarts %" PRIu64 "\n", pipeline,
            has_run(now) ? "run " : "no run yet",
            has_run(now) ? run_id_format(&now->run_id).text : "",
            amount_millis(now->uptime_millis).text, now->restarts);
    print_source(now, out);
    fprintf(out, "\n%-20s  %-17s  %10s  %12s  %9s  %9s  %8s  %s\n", "worker", "reached", "lag",
            "events", "events/s", "batches", "silent", "state");
    for (uint32_t i = 0; i < now->workers_count; i++)
        print_worker(s, &now->workers[i], out);
    pausetext_status(s->config, now, out);
    print_copies(s, out);
    print_differences(now, out);
    print_wholes(&s->wholes, out);
    if (s->failed)
        print_last_error(&s->last_error, out);
}

/* ---- json, where null means not known ---- */

static void
json_lag(struct json *j, const struct ack_status *s, uint64_t bytes, int64_t micros)
{
    ackjson_lag(j, s->lag_known, bytes, micros);
}

static void
json_source(struct json *j, const struct ack_status *s)
{
    json_open_member(j, "source", '{');
    json_bool(j, "alive", s->source_alive);
    json_bool(j, "standby", s->waiting.standby);
    json_cstr(j, "waits_for", s->waiting.message);
    json_cstr(j, "database", s->source.database);
    json_cstr(j, "slot", s->source.slot);
    json_uint_text(j, "system_identifier", s->source.system_identifier);
    json_uint(j, "timeline", s->source.timeline);
    json_uint(j, "server_version", s->source.server_version);
    json_close(j, '}');
}

static void
json_slot(struct json *j, const struct ack_slot *slot)
{
    if (slot->current_lsn == 0) {
        json_null(j, "slot");
        return;
    }
    json_open_member(j, "slot", '{');
    ackjson_slot(j, slot);
    json_close(j, '}');
}

static void
json_copies(struct json *j, const struct status_samples *s)
{
    json_open_member(j, "copies", '[');
    for (size_t i = 0; i < s->copies_count; i++)
        if (s->copies[i].sink != NULL) {
            json_open_member(j, NULL, '{');
            tablestext_json(j, &s->copies[i], true);
            json_close(j, '}');
        }
    json_close(j, ']');
}

static void
json_worker(struct json *j, const struct status_samples *s, const struct ack_worker_status *w)
{
    double per_second = rate(s, w);

    json_open_member(j, NULL, '{');
    json_cstr(j, "sink", w->sink);
    json_uint(j, "shard", w->shard);
    json_bool(j, "registered", w->registered);
    json_bool(j, "target_alive", w->target_alive);
    json_lsn_or_null(j, "reached_lsn", w->reached_lsn);
    json_lag(j, &s->now, w->lag_bytes, w->lag_micros);
    json_uint(j, "events", w->events);
    json_uint(j, "batches", w->batches);
    json_uint(j, "silent_millis", w->silent_millis);
    if (per_second >= 0)
        json_tenths(j, "events_per_second", per_second);
    else
        json_null(j, "events_per_second");
    json_cstr(j, "state", worker_state(&s->now, w));
    json_cstr(j, "paused_since",
              w->paused_since == 0 || w->detached ? "" : utctime_at(w->paused_since).text);
    json_cstr(j, "detached_since", w->detached ? utctime_at(w->paused_since).text : "");
    json_cstr(j, "target_message", w->target_message);
    json_uint(j, "lacking_tables", w->lacks.tables);
    json_uint(j, "lacking_changes", w->lacks.changes);
    ackjson_copies(j, w->copies_known ? &w->copies : NULL);
    json_close(j, '}');
}

static void
json_whole(struct json *j, const struct whole_table *w)
{
    json_open_member(j, NULL, '{');
    json_cstr(j, "sink", w->sink);
    json_cstr(j, "table", w->table);
    json_cstr(j, "reason", w->reason);
    json_close(j, '}');
}

static void
json_last_error(struct json *j, const struct status_samples *s)
{
    const struct lasterror *e = &s->last_error;

    if (!s->failed) {
        json_null(j, "last_error");
        return;
    }
    json_open_member(j, "last_error", '{');
    json_cstr(j, "time", e->time);
    json_cstr(j, "program", e->program);
    json_uint(j, "exit_code", e->exit_code);
    json_cstr(j, "message", e->message);
    json_cstr(j, "hint", e->hint);
    json_close(j, '}');
}

void
statustext_json(const char *pipeline, const struct status_samples *s, FILE *out)
{
    const struct ack_status *now = &s->now;
    struct json j = {.out = out};

    json_open(&j, '{');
    json_cstr(&j, "pipeline", pipeline);
    if (has_run(now))
        json_cstr(&j, "run_id", run_id_format(&now->run_id).text);
    else
        json_null(&j, "run_id");
    json_uint(&j, "uptime_millis", now->uptime_millis);
    json_uint(&j, "restarts", now->restarts);
    json_source(&j, now);
    json_slot(&j, &now->slot);
    json_lsn_or_null(&j, "received_lsn", now->received_lsn);
    json_lsn_or_null(&j, "safe_lsn", now->safe_lsn);
    json_lag(&j, now, now->lag_bytes, now->lag_micros);
    json_open_member(&j, "workers", '[');
    for (uint32_t i = 0; i < now->workers_count; i++)
        json_worker(&j, s, &now->workers[i]);
    json_close(&j, ']');
    json_copies(&j, s);
    json_open_member(&j, "differences", '[');
    for (uint32_t i = 0; i < now->tables_count; i++)
        ackjson_differences(&j, now->tables[i].sink, &now->tables[i].differences);
    json_close(&j, ']');
    json_open_member(&j, "wholes", '[');
    for (size_t i = 0; i < s->wholes.count; i++)
        json_whole(&j, &s->wholes.tables[i]);
    json_close(&j, ']');
    json_last_error(&j, s);
    json_close(&j, '}');
    fputc('\n', out);
}
