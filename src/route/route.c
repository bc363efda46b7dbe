/* route.c: see route.h. Row events are forwarded as they came: only their head is read, except by
 * sinks that shard by a column. Knows no pgoutput byte, no SQL, no HTTP. */
#include "route/route.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/hash.h"

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for a worker's queue");
}

static int
malformed(uint8_t type, struct err *err)
{
    return err_set(err, EXIT_REFUSED, "malformed frame of type %u in the event stream", type);
}

/* What the program before promised of its stream does not hold: an event was lost, or came twice.
 */
static int
out_of_place(const struct router *r, const char *what, struct err *err)
{
    err->lsn = r->commit_lsn;
    err_set(err, EXIT_BUG, "the event stream is not whole: %s", what);
    return err_hint(err, "is another program between pgout-decode and route?");
}

/* Counts one change of the open transaction. */
static int
count_change(struct router *r, struct err *err)
{
    r->changes++;
    return r->in_transaction ? 0 : out_of_place(r, "a change outside of a transaction", err);
}

static int
forward(struct worker *worker, struct bytes raw, struct err *err)
{
    buf_append(&worker->out, raw.data, raw.len);
    return worker->out.failed ? out_of_memory(err) : 0;
}

static int
forward_to_sink(struct sink *sink, struct bytes raw, struct err *err)
{
    for (uint32_t i = 0; i < sink->shards; i++)
        if (forward(&sink->workers[i], raw, err) != 0)
            return -1;
    return 0;
}

static int
forward_to_all(struct router *r, struct bytes raw, struct err *err)
{
    for (size_t i = 0; i < r->sinks_count; i++)
        if (forward_to_sink(&r->sinks[i], raw, err) != 0)
            return -1;
    return 0;
}

/* ---- hello ---- */

static int
route_hello(struct router *r, const struct frame *frame, struct err *err)
{
    struct hello hello;

    if (hello_decode(frame, "event", &hello, err) != 0)
        return -1;
    snprintf(hello.program, sizeof hello.program, "route");
    for (size_t i = 0; i < r->sinks_count; i++) {
        struct sink *sink = &r->sinks[i];

        snprintf(hello.sink, sizeof hello.sink, "%s", sink->name);
        hello.shards = sink->shards;
        for (hello.shard = 0; hello.shard < sink->shards; hello.shard++)
            if (hello_encode(&sink->workers[hello.shard].out, &hello) != 0)
                return out_of_memory(err);
    }
    r->greeted = true;
    return 0;
}

/* ---- relation ---- */

static int
route_relation_to_sink(struct sink *sink, const struct relation *relation, struct bytes raw,
                       struct err *err)
{
    bool taken;

    if (tables_learn(&sink->tables, sink->name, sink->shards, relation, &taken, err) != 0)
        return -1;
    return taken ? forward_to_sink(sink, raw, err) : 0;
}

static int
route_relation(struct router *r, struct bytes raw, struct cursor *body, uint32_t elements,
               struct err *err)
{
    struct relation relation;
    int result = 0;

    if (relation_decode(body, elements, &relation, err) != 0)
        return -1;
    for (size_t i = 0; i < r->sinks_count && result == 0; i++)
        result = route_relation_to_sink(&r->sinks[i], &relation, raw, err);
    relation_free(&relation);
    return result;
}

/* ---- barriers ---- */

/* The change `raw` concerns all workers of the sink: they stop at the barrier, the applier gets it.
 */
static int
send_behind_barrier(struct sink *sink, uint32_t applier, struct bytes raw, struct err *err)
{
    const struct barrier_event barrier = {.id = ++sink->barrier_id, .applier = applier};

    for (uint32_t i = 0; i < sink->shards; i++)
        if (barrier_encode(&sink->workers[i].out, &barrier) != 0)
            return out_of_memory(err);
    sink->workers[applier].events++;
    return forward(&sink->workers[applier], raw, err);
}

/* ---- rows ---- */

struct shards {
    uint32_t new_shard;
    uint32_t old_shard; /* the same unless the row moves */
};

/* False for a value that is none of the column's type. */
static bool
shard_of_value(const struct sink *sink, const struct routed_table *table, const struct value *value,
               uint32_t *shard)
{
    uint64_t h = HASH_SEED;

    if (!hash_value(&h, table->column_type, value))
        return false;
    *shard = (uint32_t)(hash_finish(h) % sink->shards);
    return true;
}

/* By the shard column: of the new row, and of the old one where it was sent (it was not when the
 * identity, and so the column, did not change). */
static bool
shards_by_column(struct router *r, const struct sink *sink, const struct routed_table *table,
                 uint8_t type, struct cursor body, uint32_t elements, struct shards *shards)
{
    const struct value *new_value = NULL, *old_value = NULL;

    if (!row_decode(&body, type, elements, &r->row, &r->values))
        return false;
    if (r->row.old_kind != OLD_NONE) {
        if (table->column >= r->row.old_row.count)
            return false;
        old_value = &r->row.old_row.values[table->column];
    }
    if (type != FRAME_DELETE) {
        if (table->column >= r->row.new_row.count)
            return false;
        new_value = &r->row.new_row.values[table->column];
    }
    if (new_value == NULL || (new_value->kind == VALUE_UNCHANGED && old_value != NULL))
        new_value = old_value;
    if (old_value == NULL)
        old_value = new_value;
    if (new_value->kind == VALUE_UNCHANGED || old_value->kind == VALUE_UNCHANGED)
        return false;
    return shard_of_value(sink, table, new_value, &shards->new_shard) &&
           shard_of_value(sink, table, old_value, &shards->old_shard);
}

static int
find_shards(struct router *r, const struct sink *sink, const struct routed_table *table,
            uint8_t type, const struct row_header *header, struct cursor body, uint32_t elements,
            struct shards *shards, struct err *err)
{
    if (table->by_column) {
        if (!shards_by_column(r, sink, table, type, body, elements, shards))
            return malformed(type, err);
    } else if (sink->tables.shard_key == SHARD_BY_TABLE) {
        shards->new_shard = shards->old_shard =
            (uint32_t)(hash_finish(header->relid) % sink->shards);
    } else {
        shards->new_shard = (uint32_t)(header->key_hash % sink->shards);
        shards->old_shard = (uint32_t)(header->old_key_hash % sink->shards);
    }
    return 0;
}

static int
route_row(struct router *r, uint8_t type, struct bytes raw, struct cursor body, uint32_t elements,
          struct err *err)
{
    struct cursor head = body;
    struct row_header header;

    if (!row_header_decode(&head, type, &header))
        return malformed(type, err);
    if (count_change(r, err) != 0)
        return -1;
    for (size_t i = 0; i < r->sinks_count; i++) {
        struct sink *sink = &r->sinks[i];
        struct routed_table *table = tables_find(&sink->tables, header.relid);
        struct shards shards = {0};

        if (table == NULL)
            return err_set(err, EXIT_REFUSED,
                           "a row event names table oid %" PRIu32 ", which was not announced",
                           header.relid);
        if (!table->taken)
            continue;
        if (sink->shards > 1 &&
            find_shards(r, sink, table, type, &header, body, elements, &shards, err) != 0)
            return -1;
        if (shards.new_shard != shards.old_shard || table->moved) {
            table->moved = false;
            if (send_behind_barrier(sink, shards.new_shard, raw, err) != 0)
                return -1;
            continue;
        }
        sink->workers[shards.new_shard].events++;
        if (forward(&sink->workers[shards.new_shard], raw, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- truncate ---- */

/* Keeps the tables that the sink takes. */
static int
filter_truncate(const struct sink *sink, const struct truncate_event *all,
                struct truncate_event *mine, struct err *err)
{
    for (uint32_t i = 0; i < all->count; i++) {
        const struct routed_table *table = tables_find(&sink->tables, all->relids[i]);

        if (table == NULL)
            return err_set(err, EXIT_REFUSED,
                           "a truncate names table oid %" PRIu32 ", which was not announced",
                           all->relids[i]);
        if (table->taken)
            mine->relids[mine->count++] = all->relids[i];
    }
    return 0;
}

static int
route_truncate_to_sink(struct sink *sink, const struct truncate_event *all,
                       struct truncate_event *mine, struct err *err)
{
    struct buf frame = {0};
    struct bytes raw;
    int result;

    mine->count = 0;
    if (filter_truncate(sink, all, mine, err) != 0)
        return -1;
    if (mine->count == 0)
        return 0;
    if (truncate_encode(&frame, mine) != 0) {
        buf_free(&frame);
        return out_of_memory(err);
    }
    raw = (struct bytes){.data = frame.data, .len = buf_len(&frame)};
    if (sink->shards > 1) {
        result = send_behind_barrier(sink, 0, raw, err);
    } else {
        sink->workers[0].events++;
        result = forward(&sink->workers[0], raw, err);
    }
    buf_free(&frame);
    return result;
}

static int
route_truncate(struct router *r, struct cursor *body, uint32_t elements, struct err *err)
{
    struct truncate_event all, mine;
    int result = 0;

    if (count_change(r, err) != 0 || truncate_decode(body, elements, &all, err) != 0)
        return -1;
    mine = all;
    mine.relids = malloc(all.count * sizeof *mine.relids);
    if (mine.relids == NULL)
        result = out_of_memory(err);
    for (size_t i = 0; i < r->sinks_count && result == 0; i++)
        result = route_truncate_to_sink(&r->sinks[i], &all, &mine, err);
    free(mine.relids);
    free(all.relids);
    return result;
}

/* ---- transactions ---- */

static int
route_begin(struct router *r, struct bytes raw, struct cursor *body, uint32_t elements,
            struct err *err)
{
    struct begin_event begin;

    if (!begin_decode(body, elements, &begin))
        return malformed(FRAME_BEGIN, err);
    if (r->in_transaction)
        return out_of_place(r, "a begin inside a transaction", err);
    r->in_transaction = true;
    r->commit_lsn = begin.commit_lsn;
    r->changes = 0;
    for (size_t i = 0; i < r->sinks_count; i++)
        for (uint32_t w = 0; w < r->sinks[i].shards; w++)
            r->sinks[i].workers[w].events = 0;
    return forward_to_all(r, raw, err);
}

static int
route_commit(struct router *r, struct cursor *body, uint32_t elements, struct err *err)
{
    struct commit_event commit;

    if (!commit_decode(body, elements, &commit))
        return malformed(FRAME_COMMIT, err);
    if (!r->in_transaction || commit.commit_lsn != r->commit_lsn)
        return out_of_place(r, "a commit without its begin", err);
    if (commit.events != r->changes)
        return out_of_place(r, "a commit that counts another number of changes", err);
    r->in_transaction = false;
    for (size_t i = 0; i < r->sinks_count; i++)
        for (uint32_t w = 0; w < r->sinks[i].shards; w++) {
            struct worker *worker = &r->sinks[i].workers[w];

            commit.events = worker->events;
            if (commit_encode(&worker->out, &commit) != 0)
                return out_of_memory(err);
        }
    return 0;
}

static int
route_watermark(struct router *r, struct bytes raw, struct cursor *body, uint32_t elements,
                struct err *err)
{
    uint64_t lsn;

    if (!watermark_decode(body, elements, &lsn))
        return malformed(FRAME_WATERMARK, err);
    if (r->in_transaction)
        return out_of_place(r, "a watermark inside a transaction", err);
    return forward_to_all(r, raw, err);
}

/* A logical message goes to one worker of each sink. */
static int
route_message(struct router *r, struct bytes raw, struct err *err)
{
    for (size_t i = 0; i < r->sinks_count; i++)
        if (forward(&r->sinks[i].workers[0], raw, err) != 0)
            return -1;
    return 0;
}

static int
route_end(struct router *r, struct bytes raw, struct cursor *body, uint32_t elements,
          struct err *err)
{
    char reason[32];

    if (!end_decode(body, elements, reason))
        return malformed(FRAME_END, err);
    r->ended = true;
    return forward_to_all(r, raw, err);
}

static int
route_event(struct router *r, const struct frame *frame, struct err *err)
{
    struct cursor body = frame->body;
    uint32_t elements;
    uint8_t type;

    if (!frame_type(&body, &type, &elements))
        return err_set(err, EXIT_REFUSED, "malformed frame in the event stream");
    if (r->ended)
        return err_set(err, EXIT_REFUSED, "a frame of type %u follows the end frame", type);
    switch (type) {
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
        return route_row(r, type, frame->raw, body, elements, err);
    case FRAME_BEGIN:
        return route_begin(r, frame->raw, &body, elements, err);
    case FRAME_COMMIT:
        return route_commit(r, &body, elements, err);
    case FRAME_RELATION:
        return route_relation(r, frame->raw, &body, elements, err);
    case FRAME_TRUNCATE:
        return route_truncate(r, &body, elements, err);
    case FRAME_MESSAGE:
        return route_message(r, frame->raw, err);
    case FRAME_WATERMARK:
        return route_watermark(r, frame->raw, &body, elements, err);
    case FRAME_ORIGIN:
        return forward_to_all(r, frame->raw, err);
    case FRAME_END:
        return route_end(r, frame->raw, &body, elements, err);
    default:
        return err_set(err, EXIT_REFUSED, "unknown frame type %u in the event stream", type);
    }
}

int
route_frame(struct router *r, const struct frame *frame, struct err *err)
{
    if (!r->greeted)
        return route_hello(r, frame, err);
    if (route_event(r, frame, err) == 0)
        return 0;
    if (r->in_transaction)
        err->lsn = r->commit_lsn;
    return -1;
}

void
router_free(struct router *r)
{
    for (size_t i = 0; i < r->sinks_count; i++) {
        struct sink *sink = &r->sinks[i];

        tables_free(&sink->tables);
        for (uint32_t w = 0; w < sink->shards; w++)
            buf_free(&sink->workers[w].out);
    }
}
