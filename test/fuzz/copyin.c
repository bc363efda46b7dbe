/* copyin.c: route with both inputs. A message's first byte chooses its input. Each worker's stream
 * must keep to the grammar, and its ranges must be whole. */
/* clang-format off: make reads one line
 * links: route/copyin route/spread route/touched route/route route/tables lib/copyevent lib/ctid lib/sinklist lib/snapshot lib/layout lib/names lib/tablefilter lib/event lib/tableinfo lib/relmap lib/hash lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include "route/copyin.h"

#include "input.h"

#define SINKS  4
#define SHARDS 3

struct model {
    bool in_transaction, in_range;
    uint64_t changes, rows;
};

static void
follow_range(struct model *m, uint8_t type, struct cursor *body, uint32_t elements)
{
    struct range_end_event end;
    struct rows_event rows;

    require(m->in_range);
    if (type == FRAME_RANGE_END) {
        require(range_end_decode(body, elements, &end) && end.rows == m->rows);
        m->in_range = false;
        return;
    }
    require(rows_decode(body, elements, &rows) && rows.hashes.len == 0);
    m->rows += type == FRAME_ROWS ? rows.count : 0;
}

static void
follow_copy(struct model *m, uint8_t type, struct cursor *body, uint32_t elements)
{
    require(!m->in_transaction);
    if (type >= FRAME_ROWS && type <= FRAME_RANGE_END) {
        follow_range(m, type, body, elements);
        return;
    }
    require(!m->in_range);
    m->in_range = type == FRAME_RANGE;
    m->rows = 0;
}

static void
follow_stream(struct model *m, uint8_t type, struct cursor *body, uint32_t elements)
{
    struct commit_event commit;

    require(!m->in_range);
    require(type != FRAME_TOUCHED || m->in_transaction);
    if (type == FRAME_BEGIN) {
        m->in_transaction = true;
        m->changes = 0;
    }
    m->changes += type >= FRAME_INSERT && type <= FRAME_TRUNCATE;
    if (type == FRAME_COMMIT) {
        require(commit_decode(body, elements, &commit) && commit.events == m->changes);
        m->in_transaction = false;
    }
}

static void
check_worker(const struct worker *worker, bool copies)
{
    struct frame_reader reader = {.buf = worker->out, .max = FRAME_MAX};
    struct model m = {0};
    struct err err = {0};
    struct frame frame;
    uint32_t elements;
    uint8_t type;

    while (frame_next(&reader, &frame, &err) == FRAME_READY) {
        require(frame_type(&frame.body, &type, &elements));
        require(copies || type < FRAME_COPYTABLE);
        if (type >= FRAME_COPYTABLE && type != FRAME_TOUCHED)
            follow_copy(&m, type, &frame.body, elements);
        else
            follow_stream(&m, type, &frame.body, elements);
    }
    require(buf_len(&reader.buf) == 0 && !m.in_range);
}

static int
feed_one(struct copyin *c, struct bytes message, struct err *err)
{
    struct bytes rest = {.data = message.data + 1, .len = message.len - 1};
    uint8_t *memory;
    struct frame frame = input_frame(rest, &memory);
    int result = 0;

    if (message.data[0] % 2 == 0)
        result = route_frame(c->router, &frame, err);
    else if (!c->ready && !c->ended)
        result = copyin_frame(c, &frame, err);
    require(result == 0 || err->message[0] != '\0');
    free(memory);
    if (result == 0 && c->ready && !c->router->in_transaction)
        result = copyin_pass_on(c, err);
    return result;
}

static void
feed(struct copyin *c, struct cursor *input)
{
    struct bytes message;
    struct err err = {0};

    while (input_next(input, &message))
        if (message.len > 0 && feed_one(c, message, &err) != 0)
            return;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct router r;
    static struct copyin c;
    struct cursor input = cursor_over(data, size);
    struct worker workers[SINKS * SHARDS] = {0};
    struct sink sinks[SINKS] = {
        {.name = "key", .version = 2, .tables.layout.shards = SHARDS, .workers = workers},
        {.name = "column",
         .version = 2,
         .tables.layout.shards = SHARDS,
         .workers = workers + SHARDS},
        {.name = "one", .version = 2, .tables.layout.shards = 1, .workers = workers + 2 * SHARDS},
        {.name = "old", .tables.layout.shards = SHARDS, .workers = workers + 3 * SHARDS},
    };

    require(layout_set_shard_key(&sinks[1].tables.layout, "column:id"));
    r = (struct router){.sinks = sinks, .sinks_count = SINKS, .greeted = true};
    c = (struct copyin){.router = &r, .greeted = true};
    feed(&c, &input);
    for (size_t i = 0; i < SINKS * SHARDS; i++)
        check_worker(&workers[i], i < 3 * (size_t)SHARDS);
    router_free(&r);
    return 0;
}
