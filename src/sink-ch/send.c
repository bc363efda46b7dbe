/* send.c: sends the batch to ClickHouse. For each table it sends the read-backs, then the rows, in
 * as few requests as the server takes as one block each. Requests are strictly serial. A UInt64
 * version cannot tell the late changes of a very large transaction apart, so their order of arrival
 * decides (trap 111).
 *
 * A request keeps its query id over all its tries. It also keeps its token, by which engines that
 * look for repeated inserts recognize it, because two equal inserts are not one. While the server
 * is still busy with a try whose answer we lost, it refuses the same id, so a late first try cannot
 * overtake the next one. */
#include "sink-ch/send.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sink-ch/copydoubt.h"
#include "sink-ch/displaced.h"
#include "sink-ch/history.h"
#include "sink-ch/readback.h"
#include "sink-ch/repeated.h"
#include "sink-ch/schema.h"
#include "sink-ch/shape.h"

#define BODY_KEEP ((size_t)32 << 20)

/* max_partitions_per_insert_block of the servers that have it. This many rows touch no more. */
#define PARTITIONS_MAX 100

/* Rows of a refused request are sent again in so many requests. */
#define NARROWER 16

struct sending {
    struct worker *worker;
    const struct table *table;
    uint64_t rows_max; /* of one request */
    uint64_t lsn;      /* of the table's first row, then of the request's rows, 0 if they are of
                          several transactions */
};

/* The position up to which a table's rows are sent. Tombstones come last. A request that is cut
 * (trap 103) must not leave the tombstone of a moved row's old key without the row, which holds
 * values that nobody will send again. */
struct place {
    uint32_t entry;
    bool tombstones;
};

static void
step(const struct sending *sending, struct place *place)
{
    const struct batch *batch = &sending->worker->batch;

    place->entry = batch->entries[place->entry].next;
    if (place->entry == BATCH_NONE && !place->tombstones) {
        place->entry = batch->tables[sending->table->number].first;
        place->tombstones = true;
    }
}

/* Rows from *place on, up to rows_max. *place moves to the first one left out. */
static int
fill_body(struct sending *sending, struct place *place, struct err *err)
{
    const struct batch *batch = &sending->worker->batch;
    struct buf *body = &sending->worker->body;
    struct bytes header = shape_header(&sending->worker->server, sending->table);
    uint64_t rows = 0;

    buf_reset(body, BODY_KEEP);
    if (strlen(sending->table->insert_sql) > HTTP_QUERY_IN_URL_MAX) {
        server_put_text(body, sending->table->insert_sql);
        server_put_text(body, "\n");
    }
    buf_append(body, header.data, header.len);
    for (; place->entry != BATCH_NONE && rows < sending->rows_max; step(sending, place)) {
        const struct batch_entry *row = &batch->entries[place->entry];

        if (row->killed_by != BATCH_NONE || row->tombstone != place->tombstones)
            continue;
        buf_append(body, batch_bytes_at(batch, row->at), row->len);
        sending->lsn = rows == 0 || sending->lsn == row->lsn ? row->lsn : 0;
        rows++;
    }
    if (!body->failed)
        return 0;
    err_set(err, EXIT_PEER, "out of memory for a request");
    return table_error(sending->table, 0, err);
}

/* A restart reads the new columns and sends the rows again. */
static void
say_changed(const struct sending *sending, struct err *err)
{
    *err = (struct err){0};
    err_set(err, EXIT_PEER, "the columns of %s changed", sending->table->target_sql);
}

/* The data did not parse. Finds out whether the table was changed meanwhile. */
static int
explain_refusal(const struct sending *sending, struct err *err)
{
    if (schema_changed(&sending->worker->server, sending->table)) {
        say_changed(sending, err);
    } else if (err->hint[0] == '\0') {
        sending->worker->skips.helps = true;
        err_hint(err, "nothing was confirmed; correct the table in ClickHouse and start again");
    }
    return table_error(sending->table, sending->lsn, err);
}

/* After a refusal of rows of several transactions. Smaller requests find the one that is the cause.
 * Rows that are sent again replace themselves. */
static bool
narrow_down(struct sending *sending)
{
    if (sending->lsn != 0 || sending->rows_max == 1 || sending->table->filling)
        return false;
    if (sending->rows_max > sending->worker->batch.tables[sending->table->number].alive)
        sending->rows_max = sending->worker->batch.tables[sending->table->number].alive;
    sending->rows_max = (sending->rows_max + NARROWER - 1) / NARROWER;
    return true;
}

static enum http_outcome
post_body(const struct sending *sending, struct err *err)
{
    struct worker *worker = sending->worker;
    char query_id[200], what[400], token[100];
    struct http_request request = {
        .query = sending->table->insert_sql,
        .query_id = query_id,
        .body = {.data = worker->body.data, .len = buf_len(&worker->body)},
        .once = repeated_is_known(sending->table) || sending->table->filling,
        .expect_empty = true,
    };

    snprintf(query_id, sizeof query_id, "%s-%" PRIu64, worker->server.query_id,
             ++worker->server.queries);
    snprintf(token, sizeof token, "walpipe-%s-%" PRIu32 "-%" PRIu64,
             run_id_format(&worker->intake.hello.run_id).text, worker->intake.hello.shard,
             worker->server.queries);
    if (worker->server.has_token)
        request.token = token;
    snprintf(what, sizeof what, "insert into %.300s", sending->table->target_sql);
    if (strlen(request.query) > HTTP_QUERY_IN_URL_MAX)
        request.query = NULL;
    return server_request(&worker->server, what, &request, err);
}

/* From *place on, rows that are there leave the batch, and *left. */
static int
leave_out(const struct sending *sending, const struct place *place, bool all, uint64_t *left,
          struct err *err)
{
    int64_t n = 0;

    if (!sending->table->filling)
        n = repeated_drop(sending->worker, sending->table, place->entry, all, err);
    if (n < 0)
        return table_error(sending->table, sending->lsn, err);
    *left -= (uint64_t)n;
    return 0;
}

static int
send_rows(struct sending *sending, struct err *err)
{
    const struct batch *batch = &sending->worker->batch;
    struct place place = {.entry = batch->tables[sending->table->number].first};
    uint64_t left = batch->tables[sending->table->number].alive;

    if (leave_out(sending, &place, false, &left, err) != 0)
        return -1;
    while (place.entry != BATCH_NONE && left > 0) {
        struct place next = place;

        if (fill_body(sending, &next, err) != 0)
            return -1;
        switch (post_body(sending, err)) {
        case HTTP_DONE:
            left -= left < sending->rows_max ? left : sending->rows_max;
            place = next;
            break;
        case HTTP_PARTITIONS:
            if (sending->rows_max <= PARTITIONS_MAX)
                return table_error(sending->table, sending->lsn, err);
            sending->rows_max = PARTITIONS_MAX;
            break;
        case HTTP_DATA:
        case HTTP_STOP:
            if (narrow_down(sending))
                break;
            return explain_refusal(sending, err);
        case HTTP_RETRY:
            if (sending->table->filling) {
                copydoubt_lost(sending->worker, sending->table);
                return 0;
            }
            if (leave_out(sending, &place, true, &left, err) != 0)
                return -1;
            break;
        case HTTP_GONE:
            return table_error(sending->table, 0, err);
        }
    }
    return 0;
}

/* Whether the rows may go, or have gone, by the types that they were encoded for. */
static int
look_at_types(const struct sending *sending, bool sent, struct err *err)
{
    struct worker *worker = sending->worker;

    switch (shape_look(&worker->server, sending->table, worker->options, err)) {
    case SHAPE_SAME:
        return 0;
    case SHAPE_CHANGED:
        say_changed(sending, err);
        break;
    case SHAPE_ERROR: /* a column or the table is gone, or the server does not answer */
        return err->code == EXIT_REFUSED ? explain_refusal(sending, err)
                                         : table_error(sending->table, 0, err);
    }
    if (sent) {
        err_set(err, EXIT_REFUSED,
                "the columns of %s changed while rows were written to it: they may have been "
                "misread",
                sending->table->target_sql);
        err_hint(
            err,
            "nothing was confirmed, and the rows are sent again; delete rows that the source does "
            "not have from the table, or let walpipe resync replace its rows, then start again");
    }
    return table_error(sending->table, sending->lsn, err);
}

static int
send_table(struct sending *sending, struct err *err)
{
    if (readback_fill(sending->worker, sending->table, err) != 0 ||
        look_at_types(sending, false, err) != 0 ||
        history_announce(sending->worker, sending->table, err) != 0 || send_rows(sending, err) != 0)
        return -1;
    return look_at_types(sending, true, err);
}

int
send_batch(struct worker *worker, struct err *err)
{
    uint32_t number = worker->batch.first_table;

    intake_release(&worker->intake);
    for (; number != BATCH_NONE; number = worker->batch.tables[number].next) {
        struct sending sending = {
            .worker = worker,
            .table = worker->by_number[number],
            .rows_max = worker->server.max_insert_rows,
            .lsn = worker->batch.entries[worker->batch.tables[number].first].lsn,
        };

        if (send_table(&sending, err) != 0)
            return -1;
    }
    if (worker->transaction.open)
        displaced_keep_written(worker);
    batch_reset(&worker->batch);
    buf_reset(&worker->body, BODY_KEEP);
    worker->transaction.mark = 0;
    return 0;
}
