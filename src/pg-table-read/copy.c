/* copy.c: see copy.h. */
#include "pg-table-read/copy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"

#define LOOK_MICROS UINT64_C(100000)
/* Tables that are copied at a time: while one is waited for others are read. */
#define LIVES_ACTIVE_MAX 16

/* For the estimate of a table's size; few servers are built otherwise. */
#define BLOCK_BYTES UINT64_C(8192)

#define HORIZON_MICROS UINT64_C(1000000)
#define LIST_MICROS    UINT64_C(10000000)

/* A lock that does not come, and what else heals by waiting. */
#define BACKOFF_FIRST_MILLIS 200
#define BACKOFF_MOST_MILLIS  10000

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for the tables that are copied");
}

/* ---- the beginning ---- */

static int
put_hello(struct copy *copy, struct err *err)
{
    const struct options *o = copy->options;
    struct hello hello = {.version = STREAM_VERSION_COPY,
                          .stream = "event",
                          .program = "pg-table-read",
                          .system_identifier = copy->server.system_identifier,
                          .timeline = copy->server.timeline,
                          .publications_count = o->publications_count,
                          .server_version = (uint32_t)PQserverVersion(copy->conn)};

    snprintf(hello.database, sizeof hello.database, "%s", copy->server.database);
    memcpy(hello.publications, o->publications, sizeof hello.publications);
    if (run_id_new(&hello.run_id, err) != 0)
        return -1;
    return hello_encode(&copy->out, &hello) == 0 ? 0 : out_of_memory(err);
}

/* Another server, which several hosts may lead to, or a promotion: its blocks are not ours. */
static int
check_server(const struct copy *copy, PGconn *conn, struct err *err)
{
    struct session_server server;

    if (session_identify(conn, &server, err) != 0)
        return -1;
    if (server.system_identifier != copy->server.system_identifier ||
        server.timeline != copy->server.timeline)
        return err_set(err, EXIT_PEER, "a connection leads to another server than the first one");
    return 0;
}

static int
open_reader(struct copy *copy, struct copy_reader *reader, struct err *err)
{
    reader->range.conn = session_open(copy->options->conninfo, err);
    return reader->range.conn != NULL ? check_server(copy, reader->range.conn, err) : -1;
}

static int
open_readers(struct copy *copy, struct err *err)
{
    while (copy->readers_count < copy->options->workers) {
        struct copy_reader *reader = &copy->readers[copy->readers_count++];

        reader->range.server = &copy->server;
        reader->backoff = (struct backoff){.first_millis = BACKOFF_FIRST_MILLIS,
                                           .most_millis = BACKOFF_MOST_MILLIS};
        if (open_reader(copy, reader, err) != 0)
            return -1;
    }
    return 0;
}

int
copy_open(struct copy *copy, const struct options *options, const struct log *log, struct err *err)
{
    *copy = (struct copy){.options = options, .log = log};
    copy->publications =
        pgrelations_publications(options->publications, options->publications_count, err);
    if (copy->publications == NULL)
        return -1;
    copy->conn = session_open(options->conninfo, err);
    if (copy->conn == NULL || session_identify(copy->conn, &copy->server, err) != 0 ||
        session_snapshot(copy->conn, &copy->latest, err) != 0)
        return -1;
    return open_readers(copy, err) == 0 ? put_hello(copy, err) : -1;
}

/* ---- lives ---- */

static int
list_tables(struct copy *copy, uint64_t now, struct err *err)
{
    struct catalog *catalog = catalog_read(copy->conn, copy->publications, err);
    int rc;

    if (catalog == NULL)
        return -1;
    rc = lives_list(&copy->lives, catalog);
    catalog_drop(catalog);
    if (rc != 0)
        return out_of_memory(err);
    if (copy->lives.first == NULL && copy->list_at == 0)
        log_write(copy->log, LOG_WARNING, "the publications publish no table that holds rows");
    copy->list_at = now + LIST_MICROS;
    return 0;
}

static size_t
count_active(const struct copy *copy)
{
    size_t count = 0;

    for (const struct life *life = copy->lives.first; life != NULL; life = life->next)
        count += life_is_active(life);
    return count;
}

static int
begin_life(struct copy *copy, struct life *life, struct err *err)
{
    struct copytable_event table = {.part = life->part->oid,
                                    .rows = life->part->rows,
                                    .bytes = life->part->blocks * BLOCK_BYTES,
                                    .relation = *life->relation};

    if (lives_begin(&copy->lives, life) != 0)
        return out_of_memory(err);
    table.life = life->number;
    snprintf(table.definition, sizeof table.definition, "%s", life->part->digest);
    if (copytable_encode(&copy->out, &table) != 0)
        return out_of_memory(err);
    log_write(copy->log, LOG_DEBUG, "%s: life %" PRIu64 " begins", life->part->name, life->number);
    return 0;
}

/* Every worker tracks: now those are listed whose changes some worker may have seen before that. */
static int
list_transactions(struct copy *copy, struct life *life, struct err *err)
{
    char oids[64];

    snprintf(oids, sizeof oids, "ARRAY[%" PRIu32 ",%" PRIu32 "]::pg_catalog.oid[]", life->part->oid,
             life->part->relid);
    if (session_insert_lsn(copy->conn, &life->floor, err) != 0 ||
        waiting_begin(&life->waiting, copy->conn, oids, true, err) != 0)
        return -1;
    life->state = LIFE_WAITING;
    return 0;
}

static int
wait_for_transactions(struct copy *copy, struct life *life, struct err *err)
{
    if (waiting_look(&life->waiting, copy->conn, err) != 0)
        return -1;
    if (life->waiting.left > 0)
        return 0;
    waiting_free(&life->waiting);
    life->state = LIFE_READING;
    return 0;
}

static int
end_life(struct copy *copy, struct life *life, enum life_end how, struct err *err)
{
    if (table_end_encode(&copy->out, life->number, how) != 0)
        return out_of_memory(err);
    if (how == LIFE_DONE)
        log_write(copy->log, LOG_INFO, "%s: %" PRIu64 " rows", life->part->name, life->rows);
    else
        log_write(copy->log, LOG_INFO, "%s %s", life->part->name,
                  how == LIFE_GONE ? "is no longer published" : "has changed: it is read again");
    life_end(life, how == LIFE_DONE    ? LIFE_COPIED
                   : how == LIFE_AGAIN ? LIFE_NEW
                                       : LIFE_UNPUBLISHED);
    return 0;
}

/* A life begins when nothing of an earlier one is in flight, with what the catalog says now. */
static void
look_at_new(struct copy *copy, struct life *life)
{
    if (life->in_flight > 0)
        return;
    if (!life->listed)
        life->state = LIFE_UNPUBLISHED;
    else if (life->stale)
        copy->list_at = 0;
    else
        life->state = LIFE_WANTED;
}

/* One step of a life. ask: the source may be asked again whether transactions have ended. */
static int
look_at_life(struct copy *copy, struct life *life, bool ask, struct err *err)
{
    if (life_is_active(life) && !life->listed)
        return end_life(copy, life, LIFE_GONE, err);
    switch (life->state) {
    case LIFE_NEW:
        look_at_new(copy, life);
        return 0;
    case LIFE_WANTED:
        return count_active(copy) < LIVES_ACTIVE_MAX ? begin_life(copy, life, err) : 0;
    case LIFE_BEGUN:
        return list_transactions(copy, life, err);
    case LIFE_WAITING:
        return ask || life->waiting.left == 0 ? wait_for_transactions(copy, life, err) : 0;
    case LIFE_UNPUBLISHED:
        life->state = life->listed ? LIFE_NEW : LIFE_UNPUBLISHED;
        return 0;
    case LIFE_READ:
        return end_life(copy, life, LIFE_DONE, err);
    default:
        return 0;
    }
}

/* Each life as far as it goes without waiting. */
static int
look_at_lives(struct copy *copy, uint64_t now, struct err *err)
{
    bool ask = now >= copy->look_at;

    for (struct life *life = copy->lives.first; life != NULL; life = life->next) {
        enum life_state before;

        do {
            before = life->state;
            if (look_at_life(copy, life, ask, err) != 0)
                return -1;
        } while (life->state != before);
    }
    if (ask)
        copy->look_at = now + LOOK_MICROS;
    return 0;
}

/* ---- the horizon ---- */

static int
note_snapshot(struct copy *copy, const struct snapshot *snapshot, struct err *err)
{
    return snapshot_within(&copy->latest, snapshot) ? snapshot_copy(&copy->latest, snapshot, err)
                                                    : 0;
}

/* The oldest snapshot that a range which is not sent yet may have. */
static const struct snapshot *
oldest(const struct copy *copy)
{
    const struct snapshot *found = &copy->latest;

    for (size_t i = 0; i < copy->readers_count; i++) {
        const struct rangeread *range = &copy->readers[i].range;

        if (range->state != RANGEREAD_IDLE && snapshot_within(&range->base, found))
            found = &range->base;
    }
    return found;
}

static int
put_horizon(struct copy *copy, struct err *err)
{
    const struct snapshot *now = oldest(copy);

    if (copy->horizon.running != NULL && snapshot_within(now, &copy->horizon))
        return 0;
    if (horizon_encode(&copy->out, now) != 0)
        return out_of_memory(err);
    return snapshot_copy(&copy->horizon, now, err);
}

static int
refresh_horizon(struct copy *copy, uint64_t now, struct err *err)
{
    struct snapshot fresh = {0};
    int rc;

    if (now < copy->horizon_at || count_active(copy) == 0)
        return 0;
    copy->horizon_at = now + HORIZON_MICROS;
    rc = session_snapshot(copy->conn, &fresh, err);
    if (rc == 0)
        rc = note_snapshot(copy, &fresh, err);
    snapshot_free(&fresh);
    return rc == 0 ? put_horizon(copy, err) : -1;
}

/* ---- ranges ---- */

/* What was read counts against the time in which the rate allows it. */
static void
keep_rate(struct copy *copy, uint64_t bytes)
{
    uint64_t now = clock_micros();

    if (copy->options->rate == 0)
        return;
    if (copy->rate_until < now)
        copy->rate_until = now;
    copy->rate_until += bytes * 1000000 / copy->options->rate;
}

static int
take_range(struct copy *copy, struct copy_reader *reader, bool cut, struct err *err)
{
    struct rangeread *r = &reader->range;
    struct range_found found = {
        .file = r->event.file, .blocks = r->blocks, .rows = r->rows, .bytes = r->bytes};

    buf_append(&copy->out, r->frames.data + r->frames.start, buf_len(&r->frames));
    backoff_forget(&reader->backoff);
    keep_rate(copy, r->bytes);
    if (copy->out.failed || life_read(&r->order, cut ? &r->next : NULL, &found) != 0)
        return out_of_memory(err);
    return note_snapshot(copy, &r->event.snapshot, err) == 0 ? put_horizon(copy, err) : -1;
}

/* The rest keeps a table that changes all the time from taking all of our time. */
static void
rest(struct copy_reader *reader, uint64_t *millis)
{
    *millis = backoff_next(&reader->backoff, backoff_random());
    reader->rest_until = clock_micros() + *millis * 1000;
}

/* What is published of the table, its columns or its name: a new life follows, if it is still
 * published. */
static int
begin_anew(struct copy *copy, struct copy_reader *reader, struct err *err)
{
    const struct range_order *order = &reader->range.order;
    struct life *life = order->owner;
    uint64_t millis;

    life->in_flight--;
    rest(reader, &millis);
    return life->number == order->life ? end_life(copy, life, LIFE_AGAIN, err) : 0;
}

static int
try_again(struct copy *copy, struct copy_reader *reader, struct err *err)
{
    uint64_t millis;

    rest(reader, &millis);
    log_write(copy->log, LOG_WARNING, "%s; the range is tried again in %" PRIu64 " ms",
              err->message, millis);
    return life_again(&reader->range.order) == 0 ? 0 : out_of_memory(err);
}

/* A connection that broke is made anew, and its range is read again. */
static int
reconnect(struct copy *copy, struct copy_reader *reader, struct err *err)
{
    if (err->code != EXIT_PEER || PQstatus(reader->range.conn) != CONNECTION_BAD)
        return -1;
    if (try_again(copy, reader, err) != 0)
        return -1;
    PQfinish(reader->range.conn);
    reader->range.state = RANGEREAD_IDLE;
    return open_reader(copy, reader, err);
}

static int
start_range(struct copy *copy, struct copy_reader *reader, struct err *err)
{
    struct range_order order;
    struct snapshot base = {0};
    int rc;

    if (!lives_next(&copy->lives, &order))
        return 0;
    if (snapshot_copy(&base, &copy->latest, err) != 0)
        return -1;
    rc = rangeread_start(&reader->range, copy->publications, &order, &base, err);
    snapshot_free(&base);
    return rc == 0 ? 0 : reconnect(copy, reader, err);
}

static int
start_ranges(struct copy *copy, uint64_t now, struct err *err)
{
    for (size_t i = 0; i < copy->readers_count; i++) {
        struct copy_reader *reader = &copy->readers[i];

        if (now >= copy->rate_until && buf_len(&copy->out) < COPY_OUT_LIMIT &&
            reader->range.state == RANGEREAD_IDLE && now >= reader->rest_until &&
            start_range(copy, reader, err) != 0)
            return -1;
    }
    return 0;
}

int
copy_read(struct copy *copy, struct copy_reader *reader, struct err *err)
{
    struct rangeread *r = &reader->range;

    switch (rangeread_step(r, err)) {
    case RANGEREAD_GOING:
        return 0;
    case RANGEREAD_DONE:
        return take_range(copy, reader, false, err);
    case RANGEREAD_CUT:
        return take_range(copy, reader, true, err);
    case RANGEREAD_MOVED:
        return life_moved(&r->order) == 0 ? 0 : out_of_memory(err);
    case RANGEREAD_CHANGED:
        return begin_anew(copy, reader, err);
    case RANGEREAD_AGAIN:
        return try_again(copy, reader, err);
    case RANGEREAD_FAILED:
        return reconnect(copy, reader, err);
    }
    return -1;
}

/* ---- the steps ---- */

int
copy_reader_fd(const struct copy_reader *reader)
{
    return reader->range.state == RANGEREAD_IDLE ? -1 : PQsocket(reader->range.conn);
}

static bool
all_copied(const struct copy *copy)
{
    for (const struct life *life = copy->lives.first; life != NULL; life = life->next)
        if (life->state < LIFE_COPIED)
            return false;
    return true;
}

static int
put_end(struct copy *copy, const char *reason, struct err *err)
{
    copy->ended = true;
    return end_encode(&copy->out, reason) == 0 ? 0 : out_of_memory(err);
}

int
copy_stop(struct copy *copy, struct err *err)
{
    return copy->ended ? 0 : put_end(copy, "drain", err);
}

int
copy_step(struct copy *copy, uint64_t *deadline, struct err *err)
{
    uint64_t now = clock_micros();

    if (copy->ended)
        return 0;
    if ((now >= copy->list_at && list_tables(copy, now, err) != 0) ||
        look_at_lives(copy, now, err) != 0 || start_ranges(copy, now, err) != 0 ||
        refresh_horizon(copy, now, err) != 0)
        return -1;
    *deadline = copy->look_at;
    return all_copied(copy) ? put_end(copy, "copied", err) : 0;
}

void
copy_free(struct copy *copy)
{
    for (size_t i = 0; i < copy->readers_count; i++)
        rangeread_free(&copy->readers[i].range);
    lives_free(&copy->lives);
    snapshot_free(&copy->latest);
    snapshot_free(&copy->horizon);
    free(copy->publications);
    PQfinish(copy->conn);
    buf_free(&copy->out);
}
