/* copyin.c: see copyin.h. docs/events.7 has the grammar. */
#include "route/copyin.h"

#include <inttypes.h>
#include <stdio.h>

static int
malformed(uint8_t type, struct err *err)
{
    return err_set(err, EXIT_REFUSED, "malformed frame of type %u in the copy's stream", type);
}

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for the rows of a copy");
}

/* pg-table-read broke a promise. */
static int
not_in_order(const char *what, struct err *err)
{
    return err_set(err, EXIT_BUG, "the copy's stream is not in order: %s", what);
}

/* ---- hello ---- */

static int
check_source(const struct router *r, const struct hello *hello, struct err *err)
{
    if (hello->version != STREAM_VERSION_COPY)
        return err_set(err, EXIT_REFUSED,
                       "the copy's stream has format version %" PRIu32 ", not %d: it has no rows "
                       "that exist already",
                       hello->version, STREAM_VERSION_COPY);
    if (hello->system_identifier != r->system_identifier) {
        err_set(err, EXIT_REFUSED,
                "the copy is read from another cluster than the stream: system identifier %" PRIu64
                ", not %" PRIu64,
                hello->system_identifier, r->system_identifier);
        return err_hint(err, "pg-table-read and pg-wal-read need the same source");
    }
    if (hello->timeline == r->timeline)
        return 0;
    err_set(err, EXIT_PEER, "the copy is read from timeline %" PRIu32 ", the stream from %" PRIu32,
            hello->timeline, r->timeline);
    return err_hint(err, "one server was promoted: the next run asks both again");
}

/* A decoder's message does not name the input, of which there are two. */
static int
name_input(struct err *err)
{
    char was[sizeof err->message];

    snprintf(was, sizeof was, "%s", err->message);
    snprintf(err->message, sizeof err->message, "the copy's stream: %.900s", was);
    return -1;
}

static int
take_hello(struct copyin *c, const struct frame *frame, struct err *err)
{
    struct hello hello;

    if (hello_decode_copy(frame, &hello, err) != 0)
        return name_input(err);
    if (check_source(c->router, &hello, err) != 0)
        return -1;
    if (!run_id_equal(&hello.run_id, &c->router->run_id)) {
        err_set(err, EXIT_PEER, "the copy belongs to run %s, the stream to run %s",
                run_id_format(&hello.run_id).text, run_id_format(&c->router->run_id).text);
        return err_hint(err, "pg-table-read learns the run from ackd; all start again together");
    }
    c->greeted = true;
    return 0;
}

/* ---- whom it is for ---- */

static int
find_sink(const struct router *r, struct bytes name, size_t *index, struct err *err)
{
    for (*index = 0; *index < r->sinks_count; ++*index) {
        const struct sink *sink = &r->sinks[*index];

        if (strlen(sink->name) != name.len || memcmp(sink->name, name.data, name.len) != 0)
            continue;
        if (sink->version == STREAM_VERSION_COPY)
            return 0;
        err_set(err, EXIT_REFUSED, "the copy is for sink \"%s\", which does not read copies",
                sink->name);
        return err_hint(err, "give route --stream 2 for this sink if it reads copies, or leave the "
                             "sink out of the copy");
    }
    return err_set(err, EXIT_REFUSED, "the copy is for sink \"%.*s\", which does not exist",
                   (int)name.len, (const char *)name.data);
}

static void
choose_all(const struct router *r, bool sinks[WORKERS_MAX])
{
    for (size_t i = 0; i < r->sinks_count; i++)
        sinks[i] = r->sinks[i].version == STREAM_VERSION_COPY;
}

/* The sinks in the list, or all if it is empty. */
static int
choose(const struct router *r, const struct sinklist *named, bool sinks[WORKERS_MAX],
       struct err *err)
{
    memset(sinks, 0, WORKERS_MAX * sizeof *sinks);
    if (named->count == 0)
        choose_all(r, sinks);
    for (uint32_t i = 0; i < named->count; i++) {
        size_t index;

        if (find_sink(r, named->names[i], &index, err) != 0)
            return -1;
        sinks[index] = true;
    }
    return 0;
}

static int
gather(struct copyin *c, const bool sinks[WORKERS_MAX], struct bytes raw, struct err *err)
{
    for (size_t i = 0; i < c->router->sinks_count; i++) {
        struct sink *sink = &c->router->sinks[i];

        for (uint32_t w = 0; sinks[i] && w < sink->tables.layout.shards; w++) {
            struct buf *frames = &sink->workers[w].share.frames;

            buf_append(frames, raw.data, raw.len);
            if (frames->failed)
                return out_of_memory(err);
        }
    }
    c->ready = true;
    return 0;
}

/* One worker ends the resync while the others wait. */
static int
put_barrier(struct sink *sink)
{
    const struct barrier_event barrier = {.id = sink->barrier_id + 1};

    if (sink->tables.layout.shards < 2 || buf_len(&sink->workers[0].share.frames) == 0)
        return 0;
    sink->barrier_id++;
    for (uint32_t w = 0; w < sink->tables.layout.shards; w++)
        if (barrier_encode(&sink->workers[w].out, &barrier) != 0)
            return -1;
    return 0;
}

/* An empty queue takes over the memory, because a row may be large. */
static bool
append_share(struct worker *worker)
{
    struct buf *frames = &worker->share.frames;
    struct buf queue = worker->out;

    if (worker->copied == 0)
        worker->ahead = buf_len(&queue);
    worker->copied += buf_len(frames);
    if (buf_len(&queue) == 0) {
        worker->out = *frames;
        *frames = queue;
    } else {
        buf_append(&worker->out, frames->data, buf_len(frames));
    }
    buf_reset(frames, COPYIN_RANGE_MAX);
    return !worker->out.failed;
}

int
copyin_pass_on(struct copyin *c, struct err *err)
{
    for (size_t i = 0; i < c->router->sinks_count; i++) {
        struct sink *sink = &c->router->sinks[i];

        if (c->barrier && put_barrier(sink) != 0)
            return out_of_memory(err);
        for (uint32_t w = 0; w < sink->tables.layout.shards; w++)
            if (!append_share(&sink->workers[w]))
                return out_of_memory(err);
    }
    c->ready = c->barrier = false;
    c->bytes = 0;
    return 0;
}

/* ---- lives ---- */

static struct copyin_life *
find_life(struct copyin *c, uint64_t number)
{
    for (size_t i = 0; i < c->lives_count; i++)
        if (c->lives[i].number == number)
            return &c->lives[i];
    return NULL;
}

/* Keeps only those of these sinks that take the table. */
static int
keep_takers(const struct router *r, const struct copytable_event *table, bool sinks[WORKERS_MAX],
            struct err *err)
{
    for (size_t i = 0; i < r->sinks_count; i++) {
        const struct sink *sink = &r->sinks[i];

        if (!sinks[i] || tables_take(&sink->tables, &table->relation))
            continue;
        sinks[i] = false;
        /* pg-table-read would wait for its answer for ever. */
        if (table->life > 0 && table->sinks.count > 0)
            return err_set(err, EXIT_PEER,
                           "sink \"%s\" is to get table %s.%s, which it does not take", sink->name,
                           table->relation.schema, table->relation.name);
    }
    return 0;
}

static int
begin_life(struct copyin *c, const struct copytable_event *table, const bool sinks[WORKERS_MAX],
           struct err *err)
{
    struct copyin_life *life = &c->lives[c->lives_count];

    if (table->life <= c->last_life)
        return not_in_order("the number of a life does not grow", err);
    if (c->lives_count == COPYIN_LIVES_MAX)
        return not_in_order("too many lives are open", err);
    c->last_life = table->life;
    c->lives_count++;
    life->number = table->life;
    life->relid = table->relation.relid;
    life->resync = table->resync;
    memcpy(life->sinks, sinks, sizeof life->sinks);
    for (size_t i = 0; i < c->router->sinks_count; i++)
        if (sinks[i] && tables_note_life(&c->router->sinks[i].tables, life->relid) != 0)
            return out_of_memory(err);
    return 0;
}

static int
take_table(struct copyin *c, const struct frame *frame, struct cursor *body, uint32_t elements,
           struct err *err)
{
    struct copytable_event table;
    bool sinks[WORKERS_MAX];
    int result = 0;

    if (copytable_decode(body, elements, &table, err) != 0)
        return name_input(err);
    if (choose(c->router, &table.sinks, sinks, err) != 0 ||
        keep_takers(c->router, &table, sinks, err) != 0 ||
        (table.life > 0 && begin_life(c, &table, sinks, err) != 0))
        result = -1;
    relation_free(&table.relation);
    return result == 0 ? gather(c, sinks, frame->raw, err) : -1;
}

static int
take_table_end(struct copyin *c, const struct frame *frame, struct cursor *body, uint32_t elements,
               struct err *err)
{
    bool sinks[WORKERS_MAX] = {0};
    struct copyin_life *life;
    enum life_end how;
    uint64_t number;

    if (!table_end_decode(body, elements, &number, &how) || (number == 0) != (how == LIFE_LISTED))
        return malformed(FRAME_TABLE_END, err);
    if (number == 0) {
        choose_all(c->router, sinks);
        return gather(c, sinks, frame->raw, err);
    }
    life = find_life(c, number);
    if (life == NULL)
        return not_in_order("the end of a life that is not open", err);
    memcpy(sinks, life->sinks, sizeof sinks);
    c->barrier = life->resync && (how == LIFE_DONE || how == LIFE_KEPT);
    *life = c->lives[--c->lives_count];
    return gather(c, sinks, frame->raw, err);
}

static int
take_horizon(struct copyin *c, const struct frame *frame, struct cursor *body, uint32_t elements,
             struct err *err)
{
    bool sinks[WORKERS_MAX] = {0};
    struct snapshot snapshot;

    if (horizon_decode(body, elements, &snapshot, err) != 0)
        return name_input(err);
    snapshot_free(&snapshot);
    choose_all(c->router, sinks);
    return gather(c, sinks, frame->raw, err);
}

/* ---- ranges ---- */

/* Its sinks, which are those in its own list, or those of its life. */
static int
choose_of_life(struct copyin *c, const struct range_event *range, const struct copyin_life *life,
               struct err *err)
{
    bool *sinks = c->spread.sinks;

    if (range->relation.relid != life->relid)
        return not_in_order("a range of another table than its life", err);
    memcpy(sinks, life->sinks, sizeof life->sinks);
    if (range->sinks.count == 0)
        return 0;
    if (choose(c->router, &range->sinks, sinks, err) != 0)
        return -1;
    for (size_t i = 0; i < c->router->sinks_count; i++)
        if (sinks[i] && !life->sinks[i])
            return not_in_order("a range for a sink that has no part in its life", err);
    return 0;
}

static int
begin_range(struct copyin *c, const struct range_event *range, struct bytes raw, struct err *err)
{
    const struct copyin_life *life = find_life(c, range->life);

    if (life == NULL && (range->life == 0 || range->life > c->last_life))
        return not_in_order("a range of a life that has not begun", err);
    c->range.open = true;
    c->range.ignored = life == NULL;
    c->range.life = range->life;
    c->range.number = range->number;
    c->range.rows = 0;
    if (life == NULL)
        return 0;
    c->spread.router = c->router;
    if (choose_of_life(c, range, life, err) != 0)
        return -1;
    return spread_begin(&c->spread, &range->relation, raw, err);
}

static int
take_range(struct copyin *c, const struct frame *frame, struct cursor *body, uint32_t elements,
           struct err *err)
{
    struct range_event range;
    int result;

    if (range_decode(body, elements, &range, err) != 0)
        return name_input(err);
    result = begin_range(c, &range, frame->raw, err);
    snapshot_free(&range.snapshot);
    relation_free(&range.relation);
    return result;
}

static int
check_range(const struct copyin *c, uint64_t life, uint64_t number, struct err *err)
{
    return life == c->range.life && number == c->range.number
               ? 0
               : not_in_order("rows or an end of another range", err);
}

static int
take_rows(struct copyin *c, uint8_t type, struct cursor *body, uint32_t elements, struct err *err)
{
    struct rows_event rows;

    if (!rows_decode(body, elements, &rows) || rows.hashes.len != (size_t)rows.count * 8)
        return malformed(type, err);
    if (check_range(c, rows.life, rows.number, err) != 0)
        return -1;
    c->range.rows += rows.count;
    return c->range.ignored ? 0 : spread_rows(&c->spread, type, &rows, err);
}

static int
take_range_end(struct copyin *c, struct cursor *body, uint32_t elements, struct err *err)
{
    struct range_end_event end;

    if (!range_end_decode(body, elements, &end))
        return malformed(FRAME_RANGE_END, err);
    if (check_range(c, end.life, end.number, err) != 0)
        return -1;
    if (end.rows != c->range.rows)
        return not_in_order("a range counts another number of rows than came", err);
    c->range.open = false;
    if (c->range.ignored) {
        c->bytes = 0;
        return 0;
    }
    c->ready = true;
    return spread_end(&c->spread, &end, err);
}

/* Between the first frame of a range and its last. */
static int
take_of_range(struct copyin *c, uint8_t type, struct cursor *body, uint32_t elements,
              struct err *err)
{
    switch (type) {
    case FRAME_ROWS:
    case FRAME_ABSENT:
        return take_rows(c, type, body, elements, err);
    case FRAME_RANGE_END:
        return take_range_end(c, body, elements, err);
    default:
        return not_in_order("a range is not followed by its end", err);
    }
}

/* ---- frames ---- */

static int
take_other(struct copyin *c, uint8_t type, const struct frame *frame, struct cursor *body,
           uint32_t elements, struct err *err)
{
    switch (type) {
    case FRAME_COPYTABLE:
        return take_table(c, frame, body, elements, err);
    case FRAME_RANGE:
        return take_range(c, frame, body, elements, err);
    case FRAME_HORIZON:
        return take_horizon(c, frame, body, elements, err);
    case FRAME_TABLE_END:
        return take_table_end(c, frame, body, elements, err);
    case FRAME_ROWS:
    case FRAME_ABSENT:
    case FRAME_RANGE_END:
        return not_in_order("rows or an end outside of a range", err);
    default:
        return err_set(err, EXIT_REFUSED, "unknown frame type %u in the copy's stream", type);
    }
}

static int
take_end(struct copyin *c, struct cursor *body, uint32_t elements, struct err *err)
{
    char reason[32];

    if (!end_decode(body, elements, reason))
        return malformed(FRAME_END, err);
    c->ended = true;
    return 0;
}

int
copyin_frame(struct copyin *c, const struct frame *frame, struct err *err)
{
    struct cursor body = frame->body;
    uint32_t elements;
    uint8_t type;

    if (!c->greeted)
        return take_hello(c, frame, err);
    if (!frame_type(&body, &type, &elements))
        return err_set(err, EXIT_REFUSED, "malformed frame in the copy's stream");
    if (type == FRAME_END)
        return take_end(c, &body, elements, err);
    if (c->range.open && type != FRAME_RANGE_END && c->bytes > COPYIN_RANGE_MAX)
        return not_in_order("a range that is too long", err);
    c->bytes += frame->raw.len;
    return c->range.open ? take_of_range(c, type, &body, elements, err)
                         : take_other(c, type, frame, &body, elements, err);
}
