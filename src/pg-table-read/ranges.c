/* ranges.c: see ranges.h. */
#include "pg-table-read/ranges.h"

#include <inttypes.h>

#include "lib/clock.h"
#include "pg-table-read/horizon.h"

/* The wait after a lock timeout, and after other temporary errors. */
#define BACKOFF_FIRST_MILLIS 200
#define BACKOFF_MOST_MILLIS  10000

/* The ranges that workers may hold, besides those that are being read. */
#define RANGES_BEYOND 2

/* ---- connections ---- */

static int
open_reader(struct copy *copy, struct copy_reader *reader, struct err *err)
{
    reader->range.conn =
        session_open_same(copy->options->conninfo, copy->options->login_note, &copy->server, err);
    return reader->range.conn != NULL ? 0 : -1;
}

int
ranges_open(struct copy *copy, struct err *err)
{
    while (copy->readers_count < copy->workers) {
        struct copy_reader *reader = &copy->readers[copy->readers_count++];

        reader->range.server = &copy->server;
        reader->backoff = (struct backoff){.first_millis = BACKOFF_FIRST_MILLIS,
                                           .most_millis = BACKOFF_MOST_MILLIS};
        if (open_reader(copy, reader, err) != 0)
            return -1;
    }
    return 0;
}

/* Closes the connections with the highest numbers first, when they have nothing to read. */
static void
close_surplus(struct copy *copy)
{
    while (copy->readers_count > copy->workers &&
           copy->readers[copy->readers_count - 1].range.state == RANGEREAD_IDLE) {
        struct copy_reader *reader = &copy->readers[--copy->readers_count];

        rangeread_free(&reader->range);
        *reader = (struct copy_reader){0};
    }
}

/* ---- ranges that were read ---- */

/* The next range must wait for the time in which the rate allows the bytes that were read. */
static void
keep_rate(struct copy *copy, uint64_t bytes)
{
    uint64_t now = clock_micros();

    if (copy->rate == 0)
        return;
    if (copy->rate_until < now)
        copy->rate_until = now;
    copy->rate_until += bytes * 1000000 / copy->rate;
}

/* The workers have it now, until all of them have reported it. */
static int
await_report(struct copy *copy, struct range_order *order, uint64_t bytes, struct err *err)
{
    if (!state_has_ackd(copy)) {
        life_reported(order);
        return 0;
    }
    return flights_add(&copy->flights, order, bytes) == 0 ? 0 : state_out_of_memory(err);
}

static int
send_range(struct copy *copy, struct rangeread *r, struct err *err)
{
    buf_append(&copy->out, r->frames.data + r->frames.start, buf_len(&r->frames));
    if (copy->out.failed)
        return state_out_of_memory(err);
    for (size_t i = 0; i < r->pieces_count; i++) {
        struct range_order piece;

        life_split(&r->order, &r->pieces[i].to, &piece);
        piece.number -= r->pieces_count - i;
        if (await_report(copy, &piece, r->pieces[i].bytes, err) != 0)
            return -1;
    }
    return await_report(copy, &r->order, r->piece_bytes, err);
}

static int
take_range(struct copy *copy, struct copy_reader *reader, bool cut, struct err *err)
{
    struct rangeread *r = &reader->range;
    struct keybatch keys = {0};
    struct range_left left = {.next = &r->next, .keys = &keys};
    struct range_found found = {
        .file = r->event.file, .blocks = r->blocks, .rows = r->rows, .bytes = r->bytes};
    int counts;

    backoff_forget(&reader->backoff);
    keep_rate(copy, r->bytes);
    counts = keyrows_left(&r->keyrows, &r->order, &keys) != 0
                 ? -1
                 : life_read(&r->order, cut ? &left : NULL, &found);
    keybatch_free(&keys);
    if (counts < 0)
        return state_out_of_memory(err);
    if (counts == 1 && send_range(copy, r, err) != 0)
        return -1;
    return horizon_note(copy, &r->event.snapshot, err);
}

/* ---- failures ---- */

/* Without this wait, a table that changes all the time would occupy the connections. */
static void
rest(struct copy_reader *reader, uint64_t *millis)
{
    *millis = backoff_next(&reader->backoff, backoff_random());
    reader->rest_until = clock_micros() + *millis * 1000;
}

/* The table's published rows, columns or name have changed. A new life follows, if it is still
 * published. */
static void
begin_anew(struct copy *copy, struct copy_reader *reader)
{
    const struct range_order *order = &reader->range.order;
    struct life *life = order->owner;
    uint64_t millis;

    life->in_flight--;
    rest(reader, &millis);
    if (life->number != order->life)
        return;
    life->state = LIFE_CHANGED;
    copy->list_at = 0;
}

static int
try_again(struct copy *copy, struct copy_reader *reader, struct err *err)
{
    uint64_t millis;

    rest(reader, &millis);
    log_write(copy->log, LOG_WARNING, "%s; the range is tried again in %" PRIu64 " ms",
              err->message, millis);
    return life_again(&reader->range.order) == 0 ? 0 : state_out_of_memory(err);
}

/* Replaces a connection that broke. Its range is read again. */
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

/* ---- orders ---- */

static int
start_range(struct copy *copy, struct copy_reader *reader, uint64_t now, struct err *err)
{
    struct range_order order;
    struct snapshot base = {0};
    int rc = lives_next(&copy->lives, now, &order);

    if (rc <= 0)
        return rc == 0 ? 0 : state_out_of_memory(err);
    rc = snapshot_copy(&base, &copy->latest, err);
    if (rc == 0)
        rc = rangeread_start(&reader->range, copy->publications, &order, &base, err);
    snapshot_free(&base);
    return rc == 0 ? 0 : reconnect(copy, reader, err);
}

/* Whether the workers have room for one more. A full pipe may block the very mark that would empty
 * it. A range that is cut has a row more than RANGE_BYTES_MAX, and most rows are small. */
static bool
has_room(const struct copy *copy)
{
    uint64_t bytes = copy->flights.bytes + RANGE_BYTES_MAX / 2;

    for (size_t i = 0; i < copy->readers_count; i++)
        if (copy->readers[i].range.state != RANGEREAD_IDLE)
            bytes += RANGE_BYTES_MAX;
    return bytes <= (copy->workers + RANGES_BEYOND) * RANGE_BYTES_MAX;
}

int
ranges_start(struct copy *copy, uint64_t now, struct err *err)
{
    if (ranges_open(copy, err) != 0)
        return -1;
    close_surplus(copy);
    for (size_t i = 0; i < copy->readers_count && i < copy->workers; i++) {
        struct copy_reader *reader = &copy->readers[i];

        if (now >= copy->rate_until && buf_len(&copy->out) < COPY_OUT_LIMIT && has_room(copy) &&
            reader->range.state == RANGEREAD_IDLE && now >= reader->rest_until &&
            start_range(copy, reader, now, err) != 0)
            return -1;
    }
    return 0;
}

int
ranges_read(struct copy *copy, struct copy_reader *reader, struct err *err)
{
    struct rangeread *r = &reader->range;

    switch (rangeread_step(r, err)) {
    case RANGEREAD_GOING:
        return 0;
    case RANGEREAD_DONE:
        return take_range(copy, reader, false, err);
    case RANGEREAD_CUT:
        return take_range(copy, reader, true, err);
    case RANGEREAD_DENSE:
        return life_dense(&r->order) == 0 ? 0 : state_out_of_memory(err);
    case RANGEREAD_MOVED:
        return life_moved(&r->order) == 0 ? 0 : state_out_of_memory(err);
    case RANGEREAD_CHANGED:
        begin_anew(copy, reader);
        return 0;
    case RANGEREAD_AGAIN:
        return try_again(copy, reader, err);
    case RANGEREAD_FAILED:
        return reconnect(copy, reader, err);
    }
    return -1;
}

int
ranges_fd(const struct copy_reader *reader)
{
    return reader->range.state == RANGEREAD_IDLE ? -1 : PQsocket(reader->range.conn);
}
