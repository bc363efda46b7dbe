/* copylist.c: see copylist.h. ClickHouse has no transactions. If a worker writes between two of
 * these queries, only the later one has it. */
#include "sink-ch/copylist.h"

#include <stdio.h>

#include "lib/copynote.h"
#include "sink-ch/notetable.h"
#include "sink-ch/park.h"
#include "sink-ch/positions.h"
#include "sink-ch/skipnotes.h"

static const char columns[] =
    "SELECT relid, part, shard, state, l0, file, rows, toUInt64(updated_at), done, schema, name";

/* Microseconds in one of updated_at's seconds. */
#define MICROS 1000000

/* The texts of one row. */
struct texts {
    char state[16], schema[NAME_MAX_BYTES + 1], name[NAME_MAX_BYTES + 1];
    struct buf done;
};

static int
malformed(const char *table, struct err *err)
{
    return err_set(err, EXIT_REFUSED, "cannot read the rows of %s", table);
}

static bool
take_done(struct cursor *c, struct buf *done)
{
    struct bytes text;

    if (!server_read_string(c, &text))
        return false;
    buf_reset(done, 1u << 16);
    buf_append(done, text.data, text.len);
    buf_append(done, "", 1);
    return !done->failed;
}

static bool
take_part(struct cursor *c, struct copynote *part, struct texts *t)
{
    uint64_t seconds;

    if (!notetable_take_uint32(c, &part->relid) || !notetable_take_uint32(c, &part->part) ||
        !notetable_take_uint32(c, &part->shard) ||
        !notetable_take_text(c, t->state, sizeof t->state) ||
        !notetable_take_number(c, 8, &part->lsn) || !notetable_take_uint32(c, &part->file) ||
        !notetable_take_number(c, 8, &part->count) || !notetable_take_number(c, 8, &seconds) ||
        !take_done(c, &t->done) || !notetable_take_text(c, t->schema, sizeof t->schema) ||
        !notetable_take_text(c, t->name, sizeof t->name))
        return false;
    part->updated = seconds * MICROS;
    part->state = t->state;
    part->done = (const char *)t->done.data + t->done.start;
    part->schema = t->schema;
    part->name = t->name;
    return true;
}

static struct cursor
answer_of(const struct notetable *n)
{
    const struct buf *body = &n->server->answer.body;

    return cursor_over(body->data + body->start, buf_len(body));
}

/* ---- rows ---- */

/* Sends "SELECT ... FROM table ... AND more" if the table exists. Otherwise the answer is empty. */
static int
ask(const struct notetable *n, const char *select, const char *table, const char *more,
    struct cursor *rows, struct err *err)
{
    struct buf sql = {0};
    bool exists;

    *rows = (struct cursor){0};
    if (notetable_exists(n, table, &exists, err) != 0)
        return -1;
    if (!exists)
        return 0;
    server_put_text(&sql, select);
    notetable_put_from(n, table, &sql);
    server_put_text(&sql, more);
    server_put_text(&sql, " FORMAT RowBinary");
    if (server_query(n->server, "read walpipe's notes", &sql, err) != 0)
        return -1;
    *rows = answer_of(n);
    return 0;
}

/* The row of relid 0 has the state of tables without a row. */
static int
read_parts(const struct notetable *n, struct copynote *sink, char state[16], struct buf *lines,
           struct err *err)
{
    struct texts texts = {.done = {0}};
    struct cursor c;
    int rc = ask(n, columns, NOTETABLE_TABLES, " AND state <> 'gone' ORDER BY relid, part, shard",
                 &c, err);

    while (rc == 0 && c.left > 0) {
        struct copynote part = {.kind = COPYNOTE_PART};

        if (!take_part(&c, &part, &texts)) {
            rc = malformed(NOTETABLE_TABLES, err);
        } else if (part.relid != 0) {
            copynote_print(&part, lines);
        } else {
            memcpy(state, texts.state, sizeof texts.state);
            sink->state = state;
            sink->noted = true;
        }
    }
    buf_free(&texts.done);
    return rc;
}

static int
read_missing(const struct notetable *n, struct buf *lines, struct err *err)
{
    struct cursor c;
    int rc = ask(n, "SELECT relid, toUInt64(count())", NOTETABLE_MISSING,
                 " AND missing = 1 GROUP BY relid ORDER BY relid", &c, err);

    while (rc == 0 && c.left > 0) {
        struct copynote missing = {.kind = COPYNOTE_MISSING};

        if (!notetable_take_uint32(&c, &missing.relid) ||
            !notetable_take_number(&c, 8, &missing.count))
            return malformed(NOTETABLE_MISSING, err);
        copynote_print(&missing, lines);
    }
    return rc;
}

/* ---- the sink ---- */

static int
read_notes(const struct notetable *n, const struct positions_summary *progress, struct buf *lines,
           struct err *err)
{
    struct copynote sink = {.kind = COPYNOTE_SINK,
                            .state = progress->any ? "streaming" : "waiting",
                            .lsn = progress->durable,
                            .workers = progress->workers,
                            .settled = progress->settled,
                            .system = progress->system_identifier,
                            .timeline = progress->timeline};
    char state[16];

    if (read_parts(n, &sink, state, lines, err) != 0)
        return -1;
    copynote_print(&sink, lines);
    return read_missing(n, lines, err) == 0 ? park_list(n, lines, err) : -1;
}

/* A sink whose user may not write walpipe_progress has notes of its tables only. */
static int
find_source(const struct notetable *n, const struct positions_summary *progress, uint64_t *system,
            struct err *err)
{
    bool exists;

    *system = progress->system_identifier;
    if (*system != 0)
        return 0;
    if (notetable_exists(n, NOTETABLE_TABLES, &exists, err) != 0)
        return -1;
    return exists ? notetable_last_source(n, NOTETABLE_TABLES, system, err) : 0;
}

int
copylist_read(struct server *server, const struct options *options, struct buf *lines,
              struct err *err)
{
    struct hello hello = {0};
    struct notetable table = {server, options->database, options->pipeline, &hello};
    struct journal journal = {.server = server,
                              .hello = &hello,
                              .pipeline = options->pipeline,
                              .database = options->database};
    struct positions_summary progress;

    snprintf(hello.sink, sizeof hello.sink, "%s", options->sink);
    if (server_probe(server, options->database, err) != 0 ||
        positions_sum_up(&journal, &progress, err) != 0 ||
        find_source(&table, &progress, &hello.system_identifier, err) != 0)
        return -1;
    return read_notes(&table, &progress, lines, err) != 0 ? -1 : skipnotes_list(&table, lines, err);
}
