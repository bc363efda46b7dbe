/* route.c: event frames through route with sinks of every kind. Each worker's stream must be
 * whole. */
/* clang-format off: make reads one line
 * links: route/route route/tables route/touched lib/copyevent lib/ctid lib/sinklist lib/snapshot lib/layout lib/names lib/tablefilter lib/event lib/tableinfo lib/relmap lib/hash lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include "route/route.h"
#include "input.h"

#define SINKS  4
#define SHARDS 3

static void
check_worker(struct worker *worker)
{
    struct frame_reader reader = {.buf = worker->out, .max = FRAME_MAX};
    struct err err = {0};
    struct frame frame;
    uint64_t changes = 0;
    uint32_t elements;
    uint8_t type;

    while (frame_next(&reader, &frame, &err) == FRAME_READY) {
        struct commit_event commit;

        require(frame_type(&frame.body, &type, &elements));
        if (type == FRAME_BEGIN)
            changes = 0;
        changes += type >= FRAME_INSERT && type <= FRAME_TRUNCATE;
        if (type == FRAME_COMMIT)
            require(commit_decode(&frame.body, elements, &commit) && commit.events == changes);
    }
    require(buf_len(&reader.buf) == 0);
}

static void
feed(struct router *r, struct cursor *input)
{
    struct bytes message;
    struct err err = {0};
    int result = 0;

    while (result == 0 && input_next(input, &message)) {
        uint8_t *memory;
        struct frame frame = input_frame(message, &memory);

        result = route_frame(r, &frame, &err);
        require(result == 0 || (err.code != EXIT_PEER && err.message[0] != '\0'));
        free(memory);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct router r;
    struct cursor input = cursor_over(data, size);
    struct worker workers[SINKS * SHARDS] = {0};
    struct sink sinks[SINKS] = {
        {.name = "key", .tables.layout.shards = SHARDS, .workers = workers},
        {.name = "table", .tables.layout.shards = SHARDS, .workers = workers + SHARDS},
        {.name = "column", .tables.layout.shards = SHARDS, .workers = workers + 2 * SHARDS},
        {.name = "one", .tables.layout.shards = 1, .workers = workers + 3 * SHARDS},
    };
    struct err err = {0};

    sinks[1].tables.layout.shard_key = SHARD_BY_TABLE;
    require(layout_set_shard_key(&sinks[2].tables.layout, "column:id"));
    require(tablefilter_add(&sinks[1].tables.filter, "*.*, !*.t", &err) == 0);
    r.sinks = sinks;
    r.sinks_count = SINKS;
    r.greeted = true;
    r.ended = r.in_transaction = false;
    feed(&r, &input);
    for (size_t i = 0; i < SINKS * SHARDS; i++)
        check_worker(&workers[i]);
    router_free(&r);
    return 0;
}
