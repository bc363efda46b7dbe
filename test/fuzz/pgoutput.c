/* pgoutput.c: pgoutput messages behind wal frames through the decoder. Messages that it accepts
 * must make events that can be decoded, in the stream's grammar. */
/* clang-format off: make reads one line
 * links: pgout-decode/decode pgout-decode/pgoutput pgout-decode/relations lib/event lib/tableinfo lib/wal lib/keyhash lib/hash lib/relmap lib/lsn lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include "input.h"
#include "lib/wal.h"
#include "pgout-decode/decode.h"

struct grammar {
    bool in_transaction;
    uint64_t changes;
    uint64_t last_lsn;
};

static void
check_commit(struct grammar *g, struct cursor *body, uint32_t elements)
{
    struct commit_event commit;

    require(commit_decode(body, elements, &commit) && g->in_transaction);
    require(commit.events == g->changes && commit.end_lsn > g->last_lsn);
    g->in_transaction = false;
    g->last_lsn = commit.end_lsn;
}

static void
check_change(struct grammar *g, uint8_t type, struct cursor *body, uint32_t elements)
{
    static struct row_values values;
    static struct row_event row;
    struct truncate_event truncate;
    struct err err = {0};

    require(g->in_transaction);
    g->changes++;
    if (type == FRAME_TRUNCATE) {
        require(truncate_decode(body, elements, &truncate, &err) == 0);
        require(truncate.ordinal == g->changes);
        free(truncate.relids);
        return;
    }
    require(row_decode(body, type, elements, &row, &values));
    require(row.header.ordinal == g->changes);
}

static void
check_event(struct grammar *g, uint8_t type, struct cursor *body, uint32_t elements)
{
    struct relation relation;
    struct begin_event begin;
    struct origin_event origin;
    struct message_event message;
    struct err err = {0};
    uint64_t lsn;

    switch (type) {
    case FRAME_BEGIN:
        require(begin_decode(body, elements, &begin) && !g->in_transaction);
        g->in_transaction = true;
        g->changes = 0;
        break;
    case FRAME_COMMIT:
        check_commit(g, body, elements);
        break;
    case FRAME_RELATION:
        require(relation_decode(body, elements, &relation, &err) == 0);
        relation_free(&relation);
        break;
    case FRAME_ORIGIN:
        require(origin_decode(body, elements, &origin) && g->in_transaction);
        break;
    case FRAME_MESSAGE:
        require(message_decode(body, elements, &message));
        break;
    case FRAME_WATERMARK:
        require(watermark_decode(body, elements, &lsn) && !g->in_transaction && lsn > g->last_lsn);
        g->last_lsn = lsn;
        break;
    default:
        check_change(g, type, body, elements);
    }
}

static void
check_output(struct grammar *g, struct buf *out)
{
    struct frame_reader reader = {.buf = *out, .max = FRAME_MAX};
    struct err err = {0};
    struct frame frame;
    uint32_t elements;
    uint8_t type;

    while (frame_next(&reader, &frame, &err) == FRAME_READY) {
        require(frame_type(&frame.body, &type, &elements));
        check_event(g, type, &frame.body, elements);
    }
    require(buf_len(&reader.buf) == 0);
    buf_reset(out, SIZE_MAX);
}

/* A message of 9 bytes that begins with 0 is a keepalive. Any other is a pgoutput message. */
static void
encode_wal(struct buf *buf, struct bytes message)
{
    struct cursor c = cursor_over(message.data, message.len);
    struct keepalive_frame keepalive = {0};
    uint8_t zero;

    if (message.len == 9 && cursor_u8(&c, &zero) && zero == 0 && cursor_u64(&c, &keepalive.wal_end))
        require(keepalive_encode(buf, &keepalive) == 0);
    else
        require(wal_encode(buf, &(struct wal_frame){.message = message}) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct decoder *d = calloc(1, sizeof *d);
    struct cursor input = cursor_over(data, size);
    struct grammar grammar = {0};
    struct buf out = {0};
    struct bytes message;
    int result = 0;

    require(d != NULL);
    while (result == 0 && input_next(&input, &message)) {
        struct frame_reader reader = {.max = FRAME_MAX};
        struct err err = {0};
        struct frame frame;

        encode_wal(&reader.buf, message);
        require(frame_next(&reader, &frame, &err) == FRAME_READY);
        result = decode_frame(d, &frame, &out, &err);
        if (result == 0)
            check_output(&grammar, &out);
        else
            require(err.code == EXIT_REFUSED && err.message[0] != '\0');
        frame_reader_free(&reader);
    }
    buf_free(&out);
    decoder_free(d);
    free(d);
    return 0;
}
