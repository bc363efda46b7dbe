/* journal.c: see journal.h.
 *
 * A row says what one of `shards` workers has. Positions of another cluster, timeline or slot say
 * nothing about this one. With another number of workers than before, what all of those had is had
 * by each of these. */
#include "sink-ch/journal.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define TABLE "walpipe_progress"

/* Workers of a sink start at the same moment, and old servers answer the second CREATE TABLE IF NOT
 * EXISTS with an error while the first is carried out. */
#define OPEN_TRIES       3
#define OPEN_WAIT_MILLIS 200

static void
put_number(struct buf *sql, uint64_t n)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, n);
    server_put_text(sql, text);
}

static void
put_table(const struct journal *j, struct buf *sql)
{
    server_put_name(sql, j->database);
    server_put_text(sql, "." TABLE);
}

static int
make_table(struct journal *j, struct err *err)
{
    struct buf sql = {0};

    server_put_text(&sql, "CREATE TABLE IF NOT EXISTS ");
    put_table(j, &sql);
    server_put_text(&sql, " (pipeline String, sink String, shard UInt32, shards UInt32, "
                          "system_identifier UInt64, timeline UInt32, slot String, lsn UInt64, "
                          "updated_at DateTime DEFAULT now()) ENGINE = ReplacingMergeTree(lsn) "
                          "ORDER BY (pipeline, sink, system_identifier, timeline, slot, shards, "
                          "shard)");
    return server_statement(j->server, "create " TABLE, &sql, err);
}

static void
put_where(const struct journal *j, struct buf *sql)
{
    server_put_text(sql, " FROM ");
    put_table(j, sql);
    server_put_text(sql, " WHERE pipeline = ");
    server_put_literal(sql, j->pipeline);
    server_put_text(sql, " AND sink = ");
    server_put_literal(sql, j->hello->sink);
    server_put_text(sql, " AND system_identifier = ");
    put_number(sql, j->hello->system_identifier);
    server_put_text(sql, " AND timeline = ");
    put_number(sql, j->hello->timeline);
    server_put_text(sql, " AND slot = ");
    server_put_literal(sql, j->hello->slot);
}

static int
read_table(struct journal *j, uint64_t *lsn, struct err *err)
{
    struct buf sql = {0}, *answer = &j->server->answer.body;

    server_put_text(&sql, "SELECT max(x) FROM (SELECT min(l) AS x FROM "
                          "(SELECT shards, shard, max(lsn) AS l");
    put_where(j, &sql);
    server_put_text(&sql, " GROUP BY shards, shard) GROUP BY shards HAVING count() = shards "
                          "UNION ALL SELECT max(lsn) AS x");
    put_where(j, &sql);
    server_put_text(&sql, " AND shards = ");
    put_number(&sql, j->hello->shards);
    server_put_text(&sql, " AND shard = ");
    put_number(&sql, j->hello->shard);
    server_put_text(&sql, ") FORMAT TabSeparated");
    if (server_query(j->server, "read " TABLE, &sql, err) != 0)
        return -1;
    buf_append(answer, "", 1);
    if (answer->failed)
        return err_set(err, EXIT_PEER, "out of memory for an answer");
    *lsn = strtoull((const char *)answer->data + answer->start, NULL, 10);
    return 0;
}

int
journal_open(struct journal *j, uint64_t *durable, struct err *err)
{
    uint64_t lsn = 0;
    int rc = -1;

    *durable = 0;
    for (int i = 0; i < OPEN_TRIES && rc != 0; i++) {
        if (i > 0)
            poll(NULL, 0, OPEN_WAIT_MILLIS);
        rc = make_table(j, err);
        if (rc == 0)
            rc = read_table(j, &lsn, err);
        if (rc != 0 && err->code != EXIT_REFUSED)
            return -1;
    }
    if (rc != 0) {
        j->off = true;
        log_write(j->server->log, LOG_WARNING,
                  "%s; going on without: a second walpipe, on another machine, could not take over "
                  "from this one without its state directory",
                  err->message);
        *err = (struct err){0};
        return 0;
    }
    /* Less than what was confirmed is no proof of a loss: a node of a cluster may have missed the
     * last notes. */
    if (lsn >= j->hello->start_lsn)
        *durable = lsn;
    return 0;
}

int
journal_note(struct journal *j, uint64_t lsn, struct err *err)
{
    struct buf sql = {0};

    if (j->off)
        return 0;
    server_put_text(&sql, "INSERT INTO ");
    put_table(j, &sql);
    server_put_text(&sql, " (pipeline, sink, shard, shards, system_identifier, timeline, slot, lsn)"
                          " VALUES (");
    server_put_literal(&sql, j->pipeline);
    server_put_text(&sql, ", ");
    server_put_literal(&sql, j->hello->sink);
    server_put_text(&sql, ", ");
    put_number(&sql, j->hello->shard);
    server_put_text(&sql, ", ");
    put_number(&sql, j->hello->shards);
    server_put_text(&sql, ", ");
    put_number(&sql, j->hello->system_identifier);
    server_put_text(&sql, ", ");
    put_number(&sql, j->hello->timeline);
    server_put_text(&sql, ", ");
    server_put_literal(&sql, j->hello->slot);
    server_put_text(&sql, ", ");
    put_number(&sql, lsn);
    server_put_text(&sql, ")");
    if (server_statement(j->server, "note the progress in " TABLE, &sql, err) == 0)
        return 0;
    if (err->code != EXIT_REFUSED)
        return -1;
    log_write(j->server->log, LOG_WARNING, "%s; going on without", err->message);
    j->off = true;
    *err = (struct err){0};
    return 0;
}
