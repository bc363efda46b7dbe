/* statusjson.c: see statusjson.h. A value that is not known is null. */
#include "ackd/statusjson.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ackd/programs.h"
#include "ackd/report.h"
#include "ackd/waits.h"
#include "lib/ackjson.h"
#include "lib/clock.h"
#include "lib/lasterror.h"

/* A longer time until the slot is lost is not shown. */
#define SLOT_SECONDS_MAX 1e9

static void
put_lag(struct json *j, bool known, uint64_t bytes, bool time_known, uint64_t micros)
{
    ackjson_lag(j, known, bytes, time_known ? (int64_t)micros : -1);
}

static void
put_source(const struct ackd *a, struct json *j)
{
    bool run = a->running;

    json_open_member(j, "source", '{');
    json_bool(j, "alive", run && a->reader != NULL);
    json_bool(j, "standby", a->waiting.standby);
    json_cstr(j, "waits_for", a->waiting.message);
    json_cstr(j, "waits", waits_word(waits_reader(a)));
    json_bool(j, "draining", a->draining);
    json_cstr(j, "database", run ? a->source.database : "");
    json_cstr(j, "slot", run ? a->source.slot : "");
    json_uint_or_null(j, "server_version", run, a->source.server_version);
    json_lsn_or_null(j, "received_lsn", run ? a->ledger.received : 0);
    json_lsn_or_null(j, "end_lsn", report_newest(a));
    json_close(j, '}');
}

static void
put_slot(const struct ackd *a, struct json *j)
{
    double seconds = INFINITY;

    if (!a->slot_known) {
        json_null(j, "slot");
        return;
    }
    json_open_member(j, "slot", '{');
    ackjson_slot(j, &a->slot);
    if (!history_slot_seconds(&a->history, &seconds) || seconds >= SLOT_SECONDS_MAX)
        json_null(j, "lost_in_seconds");
    else
        json_uint(j, "lost_in_seconds", (uint64_t)seconds);
    json_close(j, '}');
}

static const char *
worker_state(const struct ackd *a, uint32_t index)
{
    const struct worker *w = &a->workers[index];

    if (a->sinks[w->sink].paused)
        return a->sinks[w->sink].detached ? "detached" : "paused";
    if (w->finished)
        return "finished";
    if (!w->registered || w->conn == NULL)
        return "not connected";
    return w->target_alive ? "ok" : "target down";
}

static void
put_worker(const struct ackd *a, uint32_t index, struct json *j)
{
    const struct worker *w = &a->workers[index];
    bool known, time_known;
    uint64_t bytes, micros;

    known = report_worker_lag(a, index, &bytes);
    time_known = report_worker_lag_micros(a, index, &micros);
    json_open_member(j, NULL, '{');
    json_cstr(j, "sink", a->sinks[w->sink].name);
    json_uint(j, "shard", w->shard);
    json_cstr(j, "program", w->program);
    json_cstr(j, "state", worker_state(a, index));
    json_cstr(j, "target_message", w->target_message);
    json_cstr(j, "waits", waits_word(waits_worker(a, index)));
    json_lsn_or_null(j, "reached_lsn", w->registered ? a->ledger.workers[index].reached : 0);
    put_lag(j, known, bytes, time_known, micros);
    json_uint_or_null(j, "silent_millis", w->registered, (clock_micros() - w->heard_at) / 1000);
    json_uint(j, "events", w->metrics.events);
    json_uint(j, "batches", w->metrics.batches);
    json_uint(j, "batch_micros", w->metrics.flush_micros.sum);
    json_uint(j, "reconnects", w->metrics.reconnects);
    ackjson_copies(j, w->metrics.copies_known ? &w->metrics.copies : NULL);
    json_close(j, '}');
}

static void
put_workers(const struct ackd *a, struct json *j)
{
    json_open_member(j, "workers", '[');
    for (uint32_t i = 0; i < a->workers_count; i++)
        put_worker(a, i, j);
    json_close(j, ']');
}

static void
put_program(const struct ackd *a, const struct program *p, struct json *j)
{
    json_open_member(j, NULL, '{');
    json_cstr(j, "name", p->name);
    json_int(j, "pid", p->pid);
    if (p->is_worker) {
        json_cstr(j, "sink", a->sinks[a->workers[p->worker].sink].name);
        json_uint(j, "shard", a->workers[p->worker].shard);
    }
    json_uint(j, "cpu_millis", p->cpu_millis);
    json_uint(j, "resident_bytes", p->resident_bytes);
    json_close(j, '}');
}

static void
put_programs(const struct ackd *a, struct json *j)
{
    struct program programs[PROGRAMS_MAX];
    size_t count = programs_look(a, programs);

    json_open_member(j, "programs", '[');
    for (size_t i = 0; i < count; i++)
        put_program(a, &programs[i], j);
    json_close(j, ']');
}

static void
put_differences(const struct ackd *a, struct json *j)
{
    json_open_member(j, "differences", '[');
    for (uint32_t i = 0; i < a->differences.count; i++) {
        const struct counted_table *t = &a->differences.tables[i];

        ackjson_differences(j, a->sinks[t->sink].name, &t->differences);
    }
    json_close(j, ']');
}

static void
put_tables(const struct ackd *a, struct json *j)
{
    json_open_member(j, "tables", '[');
    for (uint32_t i = 0; i < a->tablestats.count; i++) {
        const struct tablestat *t = &a->tablestats.tables[i];

        json_open_member(j, NULL, '{');
        json_cstr(j, "sink", a->sinks[t->sink].name);
        json_cstr(j, "table", t->counts.table);
        json_cstr(j, "state", tablestats_state(t));
        json_uint(j, "inserts", t->counts.inserts);
        json_uint(j, "updates", t->counts.updates);
        json_uint(j, "deletes", t->counts.deletes);
        json_uint(j, "truncates", t->counts.truncates);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void
put_trouble(struct json *j, const char *when, const char *who, const char *message,
            const char *hint)
{
    json_open_member(j, NULL, '{');
    json_cstr(j, "time", when);
    json_cstr(j, "program", who);
    json_cstr(j, "message", message);
    json_cstr(j, "hint", hint);
    json_close(j, '}');
}

/* The newest first. The file's error comes last, unless it is the newest one. */
static void
put_errors(const struct ackd *a, struct json *j)
{
    struct lasterror last;
    bool found = lasterror_read(a->dir_path, &last);

    json_open_member(j, "errors", '[');
    for (uint32_t i = 0; i < a->troubles.count; i++) {
        const struct trouble *t = troubles_at(&a->troubles, i);
        bool same = found && strncmp(t->message, last.message, sizeof t->message - 1) == 0;

        put_trouble(j, t->time, t->who, t->message, same ? last.hint : "");
        found = found && !same;
    }
    if (found)
        put_trouble(j, last.time, last.program, last.message, last.hint);
    json_close(j, ']');
}

static void
put_counts(struct json *j, const char *name, uint32_t sinks, const uint64_t *counts)
{
    json_open_member(j, name, '[');
    for (uint32_t i = 0; i < sinks && i < HISTORY_SINKS_MAX; i++)
        json_uint(j, NULL, counts[i]);
    json_close(j, ']');
}

static void
put_point(const struct ackd *a, const struct history_point *p, struct json *j)
{
    json_open_member(j, NULL, '{');
    json_int(j, "time", p->time);
    put_lag(j, p->lag_known, p->lag_bytes, p->lag_micros >= 0, (uint64_t)p->lag_micros);
    json_uint_or_null(j, "wal", p->wal_lsn != 0, p->wal_lsn);
    json_uint_or_null(j, "retained_bytes", p->slot_known, p->retained_bytes);
    put_counts(j, "changes", a->sinks_count, p->changes);
    put_counts(j, "copied", a->sinks_count, p->copied);
    json_close(j, '}');
}

static void
put_history(const struct ackd *a, int64_t since, struct json *j)
{
    json_open_member(j, "history", '[');
    for (uint32_t i = 0; i < a->history.count; i++) {
        const struct history_point *p = history_at(&a->history, i);

        if (p->time > since)
            put_point(a, p, j);
    }
    json_close(j, ']');
}

static void
put_sinks(const struct ackd *a, struct json *j)
{
    json_open_member(j, "sinks", '[');
    for (uint32_t i = 0; i < a->sinks_count; i++) {
        json_open_member(j, NULL, '{');
        json_cstr(j, "name", a->sinks[i].name);
        json_uint(j, "shards", a->sinks[i].shards);
        if (a->sinks[i].paused)
            json_uint(j, a->sinks[i].detached ? "detached_since" : "paused_since",
                      a->sinks[i].paused_since);
        if (a->sinks[i].lacks.tables > 0) {
            json_uint(j, "lacking_tables", a->sinks[i].lacks.tables);
            json_uint(j, "lacking_changes", a->sinks[i].lacks.changes);
        }
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void
put_pipeline(const struct ackd *a, struct json *j)
{
    struct buf ignored = {0};
    struct timespec now;
    bool known, time_known;
    uint64_t bytes, micros;

    clock_gettime(CLOCK_REALTIME, &now);
    json_cstr(j, "pipeline", a->pipeline);
    json_cstr(j, "version", WALPIPE_VERSION);
    json_int(j, "time", (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    json_uint(j, "uptime_millis", (clock_micros() - a->started_at) / 1000);
    json_uint(j, "restarts", a->restarts);
    json_bool(j, "healthy", report_health(a, &ignored));
    buf_free(&ignored);
    json_bool(j, "checkpoint_ok", !a->checkpoint_failing);
    json_lsn_or_null(j, "safe_lsn", report_confirmed(a));
    known = report_lag(a, &bytes);
    time_known = report_lag_micros(a, &micros);
    put_lag(j, known, bytes, time_known, micros);
}

static void
put_all(const struct ackd *a, int64_t since, struct json *j)
{
    json_open(j, '{');
    put_pipeline(a, j);
    put_source(a, j);
    put_slot(a, j);
    put_sinks(a, j);
    put_workers(a, j);
    put_programs(a, j);
    put_tables(a, j);
    put_differences(a, j);
    put_errors(a, j);
    put_history(a, since, j);
    json_close(j, '}');
}

void
statusjson_render(const struct ackd *a, int64_t since, struct buf *page)
{
    char *text = NULL;
    size_t size = 0;
    struct json j = {.out = open_memstream(&text, &size)};

    if (j.out == NULL) {
        page->failed = true;
        return;
    }
    put_all(a, since, &j);
    fputc('\n', j.out);
    if (ferror(j.out))
        page->failed = true;
    if (fclose(j.out) != 0)
        page->failed = true;
    else
        buf_append(page, text, size);
    free(text);
}
