/* repeated.c: see repeated.h. */
#include "sink-ch/repeated.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "lib/lsn.h"
#include "sink-ch/history.h"

#define WAIT_MILLIS 100

bool
repeated_is_known(const struct table *table)
{
    return !table->keyed && table->has_version;
}

/* ---- at the start ---- */

/* Inserts of this sink, but not those that other workers of this run have just sent. */
static void
put_left_behind(const struct worker *w, struct buf *sql)
{
    char text[sizeof w->server.query_id + 2];
    int sink = snprintf(text, sizeof text, "walpipe-%.63s-%s-", w->options->pipeline,
                        w->intake.hello.sink);

    server_put_text(sql, "SELECT count() FROM system.processes WHERE startsWith(query_id, ");
    server_put_literal(sql, sink < (int)sizeof text ? text : "walpipe-");
    server_put_text(sql, ") AND (startsWith(query_id, ");
    snprintf(text, sizeof text, "%s-", w->server.query_id);
    server_put_literal(sql, text);
    server_put_text(sql, ") OR position(query_id, ");
    snprintf(text, sizeof text, "-%.8s-", run_id_format(&w->intake.hello.run_id).text);
    server_put_literal(sql, text);
    server_put_text(sql, ") = 0) FORMAT TabSeparated");
}

/* A user without the right to look has nothing to wait for. */
int
repeated_wait(struct worker *w, struct err *err)
{
    const struct buf *answer = &w->server.answer.body;

    for (;;) {
        struct buf sql = {0};

        put_left_behind(w, &sql);
        if (server_query(&w->server, "look for inserts that still run", &sql, err) != 0) {
            if (err->code != EXIT_REFUSED)
                return -1;
            *err = (struct err){0};
            return 0;
        }
        if (buf_len(answer) == 0 || answer->data[answer->start] == '0')
            return 0;
        poll(NULL, 0, WAIT_MILLIS);
    }
}

/* Nothing tells these rows apart. */
static void
warn(const struct worker *w, const struct table *table)
{
    struct lsn_text to = lsn_format(w->journal.before);
    const struct log_field fields[] = {{.name = "relation", .text = table->source_name}};

    log_write_fields(w->log, LOG_WARNING, fields, 1,
                     "table \"%s\": its changes from %s up to %s come again, and may be in %s "
                     "twice now; with a column %s UInt64 or UInt128 there they could be told",
                     table->source_name, lsn_format(w->transaction.commit_lsn).text, to.text,
                     table->target_sql, w->options->version_column);
}

int
repeated_begin(struct worker *w, struct table *table, struct err *err)
{
    if (table->keyed)
        return 0;
    if (table->has_version)
        return repeated_wait(w, err) != 0 ? -1 : history_highest(w, table, &table->sent, err);
    if (w->transaction.commit_lsn < w->journal.before)
        warn(w, table);
    return 0;
}

/* ---- rows of the batch ---- */

/* Versions stand last in a row, as RowBinary has them. */
static struct version
take_version(uint32_t width, const uint8_t *end)
{
    struct version version = {0};

    for (uint32_t i = 0; i < width; i++) {
        uint64_t *half = width == 16 && i >= 8 ? &version.low : &version.high;

        *half = *half << 8 | *--end;
    }
    return version;
}

static bool
may_be_there(const struct table *table, const struct batch_entry *row, struct version version,
             bool all)
{
    uint32_t width = table->version_width;

    return row->killed_by == BATCH_NONE && !version_is_shared(width, version) &&
           (all || version_lsn(width, version) <= table->sent);
}

/* The versions between the two that are there, in their order. */
static int
ask(struct worker *w, const struct table *table, const struct version *ends, struct err *err)
{
    const char *name = w->options->version_column;
    struct buf sql = {0};

    server_put_text(&sql, "SELECT ");
    server_put_name(&sql, name);
    server_put_text(&sql, " FROM ");
    server_put_text(&sql, table->target_sql);
    for (int i = 0; i < 2; i++) {
        server_put_text(&sql, i == 0 ? " WHERE " : " AND ");
        server_put_name(&sql, name);
        server_put_text(&sql, i == 0 ? " >= " : " <= ");
        table_put_version(table->version_width, ends[i], &sql);
    }
    server_put_text(&sql, " GROUP BY ");
    server_put_name(&sql, name);
    server_put_text(&sql, " ORDER BY ");
    server_put_name(&sql, name);
    server_put_text(&sql, " FORMAT RowBinary");
    return server_query(&w->server, "look for rows that are there already", &sql, err);
}

/* The first and the last version of rows that may be there. Returns false if there are none. */
static bool
find_ends(const struct batch *batch, const struct table *table, uint32_t from, bool all,
          struct version *ends)
{
    bool any = false;

    for (uint32_t i = from; i != BATCH_NONE; i = batch->entries[i].next) {
        const struct batch_entry *row = &batch->entries[i];
        struct version version =
            take_version(table->version_width, batch_bytes_at(batch, row->at) + row->len);

        if (!may_be_there(table, row, version, all))
            continue;
        if (!any || version_compare(version, ends[0]) < 0)
            ends[0] = version;
        if (!any || version_compare(version, ends[1]) > 0)
            ends[1] = version;
        any = true;
    }
    return any;
}

/* Whether the sorted versions contain this one. */
static bool
holds(const struct buf *sorted, uint32_t width, struct version version)
{
    size_t low = 0, high = buf_len(sorted) / width;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const uint8_t *at = sorted->data + sorted->start + middle * width;
        int order = version_compare(take_version(width, at + width), version);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

int64_t
repeated_drop(struct worker *w, const struct table *table, uint32_t from, bool all, struct err *err)
{
    struct batch *batch = &w->batch;
    uint32_t width = table->version_width;
    struct version ends[2];
    int64_t dropped = 0;

    if (!repeated_is_known(table) || !find_ends(batch, table, from, all, ends))
        return 0;
    if ((all && repeated_wait(w, err) != 0) || ask(w, table, ends, err) != 0)
        return -1;
    if (buf_len(&w->server.answer.body) % width != 0)
        return err_set(err, EXIT_PEER, "could not look for rows: malformed answer");
    for (uint32_t i = from; i != BATCH_NONE; i = batch->entries[i].next) {
        const struct batch_entry *row = &batch->entries[i];
        struct version version = take_version(width, batch_bytes_at(batch, row->at) + row->len);

        if (may_be_there(table, row, version, all) &&
            holds(&w->server.answer.body, width, version)) {
            batch_drop(batch, i);
            dropped++;
        }
    }
    return dropped;
}
