/* route.c: see route.h. Row events are forwarded unchanged. Only their head is read, except for
 * sinks that shard by a column. Knows no pgoutput byte, no SQL, no HTTP. */
#include "route/route.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/tableinfo.h"
#include "route/touched.h"

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

/* The stream is not as pgout-decode writes it. An event was lost, or came twice. */
static int
out_of_place(const struct router *r, const char *what, struct err *err)
{
    err->lsn = r->commit_lsn;
    err_set(err, EXIT_BUG, "the event stream is not whole: %s", what);
    return err_hint(
        err,
        "connect route directly to pgout-decode: a program between them has changed the stream");
}

/* Counts one change of the open transaction. */
static int
count_change(struct router *r, struct err *err)
{
    r->changes++;
    return r->in_transaction ? 0 : out_of_place(r, "a change outside of a transaction", err);
}

static uint32_t
shards_of(const struct sink *sink)
{
    return sink->tables.layout.shards;
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
    for (uint32_t i = 0; i < shards_of(sink); i++)
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

int
route_name_sink(const struct sink *sink, struct err *err)
{
    char was[sizeof err->message];

    snprintf(was, sizeof was, "%s", err->message);
    snprintf(err->message, sizeof err->message, "sink %s %.900s", sink->name, was);
    return -1;
}

/* ---- hello ---- */

/* Sends a sink with several workers the rule that assigns its rows to them. */
static int
send_layout(struct sink *sink, struct err *err)
{
    struct buf text = {0};
    int rc = layout_format(&sink->tables.layout, &text);

    for (uint32_t i = 0; rc == 0 && i < shards_of(sink); i++)
        rc = layout_encode(&sink->workers[i].out,
                           (struct bytes){.data = text.data, .len = buf_len(&text)});
    buf_free(&text);
    return rc == 0 ? 0 : out_of_memory(err);
}

static int
route_hello(struct router *r, const struct frame *frame, struct err *err)
{
    struct hello hello;

    if (hello_decode(frame, "event", &hello, err) != 0)
        return -1;
    snprintf(hello.program, sizeof hello.program, "route");
    r->run_id = hello.run_id;
    r->system_identifier = hello.system_identifier;
    r->timeline = hello.timeline;
    for (size_t i = 0; i < r->sinks_count; i++) {
        struct sink *sink = &r->sinks[i];

        snprintf(hello.sink, sizeof hello.sink, "%s", sink->name);
        hello.version = sink->version;
        hello.shards = shards_of(sink);
        for (hello.shard = 0; hello.shard < hello.shards; hello.shard++)
            if (hello_encode(&sink->workers[hello.shard].out, &hello) != 0)
                return out_of_memory(err);
        if (hello.shards > 1 && send_layout(sink, err) != 0)
            return -1;
    }
    r->greeted = true;
    return 0;
}

/* ---- relation ---- */

/* Tells a sink that may have rows of the table that it lacks changes from here on. The sink records
 * this at the latest with the commit of the first one. */
static int
tell_left_out(struct sink *sink, uint32_t relid, struct err *err)
{
    for (uint32_t i = 0; i < shards_of(sink); i++)
        if (left_out_encode(&sink->workers[i].out, relid) != 0)
            return out_of_memory(err);
    return 0;
}

static int
route_relation_to_sink(struct sink *sink, const struct relation *relation, struct bytes raw,
                       struct err *err)
{
    bool taken;

    if (tables_learn(&sink->tables, relation, &taken, err) != 0)
        return route_name_sink(sink, err);
    if (taken)
        return forward_to_sink(sink, raw, err);
    return sink->hears || sink->version == STREAM_VERSION_COPY
               ? tell_left_out(sink, relation->relid, err)
               : 0;
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

static int
route_tableinfo(struct router *r, struct bytes raw, struct cursor *body, uint32_t elements,
                struct err *err)
{
    struct tableinfo info;
    uint32_t relid;

    if (tableinfo_decode(body, elements, &info, err) != 0)
        return -1;
    relid = info.relid;
    tableinfo_free(&info);
    for (size_t i = 0; i < r->sinks_count; i++) {
        const struct routed_table *table = tables_find(&r->sinks[i].tables, relid);

        if (table == NULL)
            return err_set(err, EXIT_REFUSED,
                           "a tableinfo event names table oid %" PRIu32 ", which was not announced",
                           relid);
        if (table->taken && forward_to_sink(&r->sinks[i], raw, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- barriers ---- */

/* The change `raw` concerns all workers of the sink. They stop at the barrier, and the applier gets
 * the change. The others get `touched`, which is frames that report it, or empty. */
static int
send_behind_barrier(struct sink *sink, uint32_t applier, struct bytes raw,
                    const struct buf *touched, struct err *err)
{
    const struct barrier_event barrier = {.id = ++sink->barrier_id, .applier = applier};

    for (uint32_t i = 0; i < shards_of(sink); i++) {
        struct worker *worker = &sink->workers[i];

        if (barrier_encode(&worker->out, &barrier) != 0)
            return out_of_memory(err);
        if (i != applier)
            buf_append(&worker->out, touched->data, buf_len(touched));
    }
    sink->workers[applier].events++;
    return forward(&sink->workers[applier], raw, err);
}

/* The row moves, or may move, to another worker. */
static int
send_moved_row(struct router *r, struct sink *sink, uint32_t applier, const struct row_frame *row,
               struct err *err)
{
    struct buf touched = {0};
    int result = touched_by_row(&sink->tables, row, &r->values, &touched, err);

    if (result == 0)
        result = send_behind_barrier(sink, applier, row->raw, &touched, err);
    buf_free(&touched);
    return result;
}

/* ---- rows ---- */

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
        struct row_shards shards = {0};

        if (table == NULL)
            return err_set(err, EXIT_REFUSED,
                           "a row event names table oid %" PRIu32 ", which was not announced",
                           header.relid);
        if (!table->taken)
            continue;
        if (shards_of(sink) > 1 && !layout_shards(&sink->tables.layout, &table->placement, type,
                                                  &header, head, elements, &r->values, &shards))
            return malformed(type, err);
        if (shards.new_shard != shards.old_shard || table->moved) {
            const struct row_frame row = {type, raw, header, head, elements};

            table->moved = false;
            if (send_moved_row(r, sink, shards.new_shard, &row, err) != 0)
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
send_truncate(struct sink *sink, struct bytes raw, const struct buf *touched, struct err *err)
{
    if (shards_of(sink) > 1)
        return send_behind_barrier(sink, 0, raw, touched, err);
    sink->workers[0].events++;
    return forward(&sink->workers[0], raw, err);
}

static int
route_truncate_to_sink(struct sink *sink, const struct truncate_event *all,
                       struct truncate_event *mine, struct err *err)
{
    struct buf frame = {0}, touched = {0};
    int result;

    mine->count = 0;
    if (filter_truncate(sink, all, mine, err) != 0)
        return -1;
    if (mine->count == 0)
        return 0;
    if (truncate_encode(&frame, mine) != 0 ||
        touched_by_truncate(&sink->tables, mine, &touched) != 0)
        result = out_of_memory(err);
    else
        result = send_truncate(sink, (struct bytes){frame.data, buf_len(&frame)}, &touched, err);
    buf_free(&frame);
    buf_free(&touched);
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
        for (uint32_t w = 0; w < shards_of(&r->sinks[i]); w++)
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
        for (uint32_t w = 0; w < shards_of(&r->sinks[i]); w++) {
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

/* Sends a logical message to one worker of each sink. */
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
    case FRAME_TABLEINFO:
        return route_tableinfo(r, frame->raw, &body, elements, err);
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

        for (uint32_t w = 0; w < shards_of(sink); w++) {
            buf_free(&sink->workers[w].out);
            buf_free(&sink->workers[w].share.frames);
            buf_free(&sink->workers[w].share.rows);
        }
        tables_free(&sink->tables);
    }
}
