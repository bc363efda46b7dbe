/* statustext.c: see statustext.h. */
#include "walpipe/statustext.h"

#include <inttypes.h>
#include <string.h>

#include "lib/lsn.h"

/* A sink's flush interval is a second or less. */

/* ---- numbers ---- */

struct text {
    char text[32];
};

/* "0 B", "12.3 MB" */
static struct text
bytes_text(uint64_t n)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    struct text out;
    double value = (double)n;
    size_t unit = 0;

    while (value >= 10000 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    snprintf(out.text, sizeof out.text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

/* "5 s", "3 min", "2.1 h" */
static struct text
duration_text(uint64_t millis)
{
    struct text out;

    if (millis < 120000)
        snprintf(out.text, sizeof out.text, "%.1f s", (double)millis / 1000);
    else if (millis < 7200000)
        snprintf(out.text, sizeof out.text, "%" PRIu64 " min", millis / 60000);
    else
        snprintf(out.text, sizeof out.text, "%.1f h", (double)millis / 3600000);
    return out;
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

/* Events a second between the samples; negative: not known. */
static double
rate(const struct status_samples *s, const struct ack_worker_status *now)
{
    const struct ack_worker_status *before = worker_before(s, now);

    if (!same_run(s) || before == NULL || before->events > now->events || s->micros == 0)
        return -1;
    return (double)(now->events - before->events) * 1e6 / (double)s->micros;
}

static uint64_t
worker_lag(const struct ack_status *s, const struct ack_worker_status *w)
{
    return s->received_lsn > w->reached_lsn ? s->received_lsn - w->reached_lsn : 0;
}

/* What the worker waits for. */
static const char *
worker_state(const struct ack_status *s, const struct ack_worker_status *w)
{
    if (!w->registered)
        return "not connected";
    if (!w->target_alive)
        return "target down";
    return worker_lag(s, w) > 0 && w->silent_millis >= ACK_SILENT_MILLIS ? "busy or stuck" : "ok";
}

/* ---- table ---- */

static void
print_connection(const struct ack_status *s, FILE *out)
{
    if (s->waiting.message[0] != '\0')
        fprintf(out, "source      %s%s\n", s->waiting.standby ? "STANDBY: " : "",
                s->waiting.message);
    else
        fprintf(out, "source      %s: database %s, slot %s, PostgreSQL %" PRIu32 ".%" PRIu32 "\n",
                s->source_alive ? "connected" : "NOT CONNECTED", s->source.database, s->source.slot,
                s->source.server_version / 10000, s->source.server_version % 10000);
    if (s->slot.output_full)
        fputs("reader      waits for the pipeline, not for the source\n", out);
}

static void
print_source(const struct ack_status *s, FILE *out)
{
    print_connection(s, out);
    fprintf(out, "received    %s\n", lsn_format(s->received_lsn).text);
    fprintf(out, "confirmed   %s, %s behind what was received\n", lsn_format(s->safe_lsn).text,
            bytes_text(s->lag_bytes).text);
    fprintf(out, "slot        keeps %s of WAL on the source%s%s",
            bytes_text(s->slot.retained_bytes).text,
            s->slot.wal_status[0] == '\0' ? "" : ", wal_status ", s->slot.wal_status);
    if (s->slot.safe_wal_size >= 0)
        fprintf(out, ", lost after %s more", bytes_text((uint64_t)s->slot.safe_wal_size).text);
    if (s->slot.xmin_age > 0)
        fprintf(out, ", catalog_xmin %" PRIu64 " transactions old", s->slot.xmin_age);
    fputc('\n', out);
}

static void
print_worker(const struct status_samples *s, const struct ack_worker_status *w, FILE *out)
{
    double per_second = rate(s, w);
    char name[NAME_MAX_BYTES + 16], speed[32] = "-";

    snprintf(name, sizeof name, "%s/%" PRIu32, w->sink, w->shard);
    if (per_second >= 0)
        snprintf(speed, sizeof speed, "%.0f", per_second);
    fprintf(out, "%-20s  %-17s  %10s  %12" PRIu64 "  %9s  %9" PRIu64 "  %8s  %s%s%s\n", name,
            lsn_format(w->reached_lsn).text, bytes_text(worker_lag(&s->now, w)).text, w->events,
            speed, w->batches, duration_text(w->silent_millis).text, worker_state(&s->now, w),
            w->target_message[0] == '\0' ? "" : ": ", w->target_message);
}

void
statustext_table(const char *pipeline, const struct status_samples *s, FILE *out)
{
    const struct ack_status *now = &s->now;

    fprintf(out, "pipeline    %s, run %s, up %s, restarts %" PRIu64 "\n", pipeline,
            run_id_format(&now->run_id).text, duration_text(now->uptime_millis).text,
            now->restarts);
    print_source(now, out);
    fprintf(out, "\n%-20s  %-17s  %10s  %12s  %9s  %9s  %8s  %s\n", "worker", "reached", "lag",
            "events", "events/s", "batches", "silent", "state");
    for (uint32_t i = 0; i < now->workers_count; i++)
        print_worker(s, &now->workers[i], out);
}

/* ---- json ---- */

static void
json_text(const char *text, FILE *out)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < 0x20)
            fprintf(out, "\\u%04x", *c);
        else if (*c >= 0x7f)
            fputc('?', out); /* a server's message may be in any encoding, JSON may not */
        else
            fputc(*c, out);
    fputc('"', out);
}

static void
json_member(const char *name, const char *text, FILE *out)
{
    fprintf(out, "\"%s\":", name);
    json_text(text, out);
}

static void
json_source(const struct ack_status *s, FILE *out)
{
    fprintf(out, "\"source\":{\"alive\":%s,\"standby\":%s,", s->source_alive ? "true" : "false",
            s->waiting.standby ? "true" : "false");
    json_member("waits_for", s->waiting.message, out);
    fputc(',', out);
    json_member("database", s->source.database, out);
    fputc(',', out);
    json_member("slot", s->source.slot, out);
    /* A system identifier has 64 bits, more than a JSON reader's numbers need to have. */
    fprintf(out,
            ",\"system_identifier\":\"%" PRIu64 "\",\"timeline\":%" PRIu32
            ",\"server_version\":%" PRIu32 "},",
            s->source.system_identifier, s->source.timeline, s->source.server_version);
}

static void
json_slot(const struct ack_slot *slot, FILE *out)
{
    fprintf(out,
            "\"slot\":{\"current_lsn\":\"%s\",\"restart_lsn\":\"%s\",\"retained_bytes\":%" PRIu64
            ",",
            lsn_format(slot->current_lsn).text, lsn_format(slot->restart_lsn).text,
            slot->retained_bytes);
    fprintf(out, "\"xmin_age\":%" PRIu64 ",\"output_full\":%s,", slot->xmin_age,
            slot->output_full ? "true" : "false");
    json_member("wal_status", slot->wal_status, out);
    if (slot->safe_wal_size >= 0)
        fprintf(out, ",\"safe_wal_size\":%" PRId64 "},", slot->safe_wal_size);
    else
        fputs(",\"safe_wal_size\":null},", out);
}

static void
json_worker(const struct status_samples *s, const struct ack_worker_status *w, FILE *out)
{
    double per_second = rate(s, w);

    fputc('{', out);
    json_member("sink", w->sink, out);
    fprintf(out,
            ",\"shard\":%" PRIu32 ",\"registered\":%s,\"target_alive\":%s,\"reached_lsn\":\"%s\","
            "\"lag_bytes\":%" PRIu64 ",\"events\":%" PRIu64 ",\"batches\":%" PRIu64
            ",\"silent_millis\":%" PRIu64 ",",
            w->shard, w->registered ? "true" : "false", w->target_alive ? "true" : "false",
            lsn_format(w->reached_lsn).text, worker_lag(&s->now, w), w->events, w->batches,
            w->silent_millis);
    if (per_second >= 0)
        fprintf(out, "\"events_per_second\":%.1f,", per_second);
    else
        fputs("\"events_per_second\":null,", out);
    json_member("state", worker_state(&s->now, w), out);
    fputc(',', out);
    json_member("target_message", w->target_message, out);
    fputc('}', out);
}

void
statustext_json(const char *pipeline, const struct status_samples *s, FILE *out)
{
    const struct ack_status *now = &s->now;

    fputc('{', out);
    json_member("pipeline", pipeline, out);
    fputc(',', out);
    json_member("run_id", run_id_format(&now->run_id).text, out);
    fprintf(out, ",\"uptime_millis\":%" PRIu64 ",\"restarts\":%" PRIu64 ",", now->uptime_millis,
            now->restarts);
    json_source(now, out);
    json_slot(&now->slot, out);
    fprintf(out,
            "\"received_lsn\":\"%s\",\"safe_lsn\":\"%s\",\"lag_bytes\":%" PRIu64 ",\"workers\":[",
            lsn_format(now->received_lsn).text, lsn_format(now->safe_lsn).text, now->lag_bytes);
    for (uint32_t i = 0; i < now->workers_count; i++) {
        if (i > 0)
            fputc(',', out);
        json_worker(s, &now->workers[i], out);
    }
    fputs("]}\n", out);
}
