/* events.c: one frame's body through every decoder of the event stream and the wal stream.
 * links: lib/event lib/tableinfo lib/wal lib/frame lib/pack lib/cursor lib/buf lib/err */
#include "input.h"
#include "lib/tableinfo.h"
#include "lib/wal.h"

/* A row that was decoded and encoded again decodes to the same. */
static void
try_row(struct cursor body, uint8_t type, uint32_t elements)
{
    static struct row_values values, values_again;
    static struct row_event row, again;
    struct frame_reader reader = {.max = FRAME_MAX};
    struct err err = {0};
    struct frame frame;

    if (!row_decode(&body, type, elements, &row, &values))
        return;
    require(row.new_row.count <= COLUMNS_MAX && row.old_row.count <= COLUMNS_MAX);
    require(row_encode(&reader.buf, type, &row) == 0);
    require(frame_next(&reader, &frame, &err) == FRAME_READY);
    require(frame_type(&frame.body, &type, &elements));
    require(row_decode(&frame.body, type, elements, &again, &values_again));
    require(again.header.key_hash == row.header.key_hash && again.old_kind == row.old_kind);
    for (uint32_t i = 0; i < row.new_row.count; i++) {
        const struct value *a = &row.new_row.values[i], *b = &again.new_row.values[i];

        require(a->kind == b->kind && a->len == b->len &&
                (a->len == 0 || memcmp(a->data, b->data, a->len) == 0));
    }
    frame_reader_free(&reader);
}

static void
try_relation(struct cursor body, uint32_t elements)
{
    struct relation relation;
    struct buf again = {0};
    struct err err = {0};

    if (relation_decode(&body, elements, &relation, &err) != 0)
        return;
    require(relation_encode(&again, &relation) == 0);
    relation_free(&relation);
    buf_free(&again);
}

static void
try_tableinfo(struct cursor body, uint32_t elements)
{
    struct tableinfo info;
    struct buf again = {0};
    struct err err = {0};

    if (tableinfo_decode(&body, elements, &info, &err) != 0)
        return;
    require(tableinfo_encode(&again, FRAME_TABLEINFO, &info) == 0);
    tableinfo_free(&info);
    buf_free(&again);
}

static void
try_others(struct cursor body, uint32_t elements)
{
    struct cursor c;
    struct begin_event begin;
    struct origin_event origin;
    struct commit_event commit;
    struct message_event message;
    struct barrier_event barrier;
    struct truncate_event truncate;
    struct wal_frame wal;
    struct keepalive_frame keepalive;
    struct err err = {0};
    char reason[32];
    uint64_t lsn;

    (void)(c = body, begin_decode(&c, elements, &begin));
    (void)(c = body, origin_decode(&c, elements, &origin));
    (void)(c = body, commit_decode(&c, elements, &commit));
    (void)(c = body, message_decode(&c, elements, &message));
    (void)(c = body, barrier_decode(&c, elements, &barrier));
    (void)(c = body, watermark_decode(&c, elements, &lsn));
    (void)(c = body, wal_decode(&c, elements, &wal));
    (void)(c = body, keepalive_decode(&c, elements, &keepalive));
    (void)(c = body, end_decode(&c, elements, reason));
    if (truncate_decode((c = body, &c), elements, &truncate, &err) == 0)
        free(truncate.relids);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor input = cursor_over(data, size);
    struct bytes message;

    while (input_next(&input, &message)) {
        uint8_t *memory;
        struct frame frame = input_frame(message, &memory);
        struct cursor body = frame.body;
        uint32_t elements;
        uint8_t type;

        if (frame_type(&body, &type, &elements)) {
            try_row(body, type, elements);
            try_relation(body, elements);
            try_tableinfo(body, elements);
            try_others(body, elements);
        }
        free(memory);
    }
    return 0;
}
