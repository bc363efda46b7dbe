/* frame.h: the frames of both streams and of the ack socket. Reads them from a descriptor, and has
 * the stream's first frame, hello. docs/frame.7 describes the layout. */
#ifndef WALPIPE_FRAME_H
#define WALPIPE_FRAME_H

#include "lib/limits.h"
#include "lib/pack.h"

#define STREAM_MAGIC   "walpipe"
#define STREAM_VERSION 1
/* The version of an event stream that may bring rows which exist already, in the frames from
 * FRAME_COPYTABLE on. */
#define STREAM_VERSION_COPY 2

enum frame_type {
    /* both streams */
    FRAME_HELLO = 0,
    FRAME_END = 3,
    /* wal stream */
    FRAME_WAL = 1,
    FRAME_KEEPALIVE = 2,
    FRAME_WAL_TABLEINFO = 4,
    /* event stream */
    FRAME_RELATION = 16,
    FRAME_BEGIN = 17,
    FRAME_ORIGIN = 18,
    FRAME_INSERT = 19,
    FRAME_UPDATE = 20,
    FRAME_DELETE = 21,
    FRAME_TRUNCATE = 22,
    FRAME_MESSAGE = 23,
    FRAME_COMMIT = 24,
    FRAME_WATERMARK = 25,
    FRAME_BARRIER = 26,
    FRAME_LAYOUT = 27,
    FRAME_TABLEINFO = 28,
    FRAME_LEFT_OUT = 29,
    /* event stream, rows that exist already */
    FRAME_COPYTABLE = 32,
    FRAME_RANGE = 33,
    FRAME_ROWS = 34,
    FRAME_ABSENT = 35,
    FRAME_RANGE_END = 36,
    FRAME_HORIZON = 37,
    FRAME_TOUCHED = 38,
    FRAME_TABLE_END = 39
};

/* ---- reading ---- */

enum frame_status {
    FRAME_READY,     /* *frame is set */
    FRAME_NEED_MORE, /* call frame_fill */
    FRAME_BAD        /* err is set, the frame is longer than the maximum */
};

/* One whole frame. raw is header and body, to be forwarded unchanged. body is the msgpack array. */
struct frame {
    struct bytes raw;
    struct cursor body;
};

/* Has two states, header missing and body missing. Memory grows with the bytes that arrived, never
 * with the length they claim. max is FRAME_MAX or ACK_FRAME_MAX. */
struct frame_reader {
    struct buf buf;
    uint32_t max;
    uint64_t bytes_read; /* of the stream so far, for messages */
};

enum fill_status {
    FILL_READ,  /* some bytes came */
    FILL_AGAIN, /* a non-blocking descriptor has none now */
    FILL_EOF,
    FILL_FAILED /* err is set */
};

void frame_reader_init(struct frame_reader *r, uint32_t max);
void frame_reader_free(struct frame_reader *r);

/* Reads once, up to IO_CHUNK bytes. Frames handed out before are invalid afterwards. */
enum fill_status frame_fill(struct frame_reader *r, int fd, struct err *err) MUST_CHECK;

/* Frees the memory of a large frame that was handed out. The frame is invalid afterwards. */
void frame_reader_trim(struct frame_reader *r);

/* The error for a frame that claims this length. Always FRAME_BAD. */
enum frame_status frame_refuse_length(const struct frame_reader *r, uint32_t len, struct err *err);

/* The next whole frame. Valid until the next frame_fill. */
MUST_CHECK static inline enum frame_status
frame_next(struct frame_reader *r, struct frame *frame, struct err *err)
{
    struct buf *b = &r->buf;
    size_t held = buf_len(b);
    struct cursor head;
    uint32_t len;

    if (held < FRAME_HEADER)
        return FRAME_NEED_MORE;
    head = cursor_over(b->data + b->start, held);
    if (!cursor_u32(&head, &len) || len > r->max || len == 0)
        return frame_refuse_length(r, len, err);
    if (head.left < len)
        return FRAME_NEED_MORE;
    frame->raw = (struct bytes){.data = b->data + b->start, .len = FRAME_HEADER + (size_t)len};
    frame->body = cursor_over(head.at, len);
    b->start += frame->raw.len;
    return FRAME_READY;
}

/* The error for EOF at this point. Nothing came, or the stream ended inside a frame or without
 * `end`. stream is "wal" or "event". Always -1. */
int frame_eof_error(const struct frame_reader *r, const char *stream, struct err *err);

/* Reads the frame's type and moves past it. Returns false if the body is not an array that begins
 * with a small integer. *elements is the number of items left in the array. */
bool frame_type(struct cursor *body, uint8_t *type, uint32_t *elements) MUST_CHECK;

/* ---- hello and end ---- */

#define RUN_ID_SIZE 16

struct run_id {
    uint8_t bytes[RUN_ID_SIZE];
};

struct run_id_text {
    char text[2 * RUN_ID_SIZE + 1];
};

/* 128 random bits from the kernel. */
int run_id_new(struct run_id *id, struct err *err) MUST_CHECK;
struct run_id_text run_id_format(const struct run_id *id);
bool run_id_equal(const struct run_id *a, const struct run_id *b);
bool mp_run_id(struct cursor *c, struct run_id *out) MUST_CHECK;

#define PUBLICATIONS_MAX 64

/* The first frame of every stream. sink, shard and shards are "", 0 and 0 before route. */
struct hello {
    uint32_t version; /* encoding takes 0 for STREAM_VERSION */
    char stream[8];   /* "wal" or "event" */
    char program[32]; /* the program that wrote this stream */
    struct run_id run_id;
    uint64_t system_identifier;
    uint32_t timeline;
    char database[NAME_MAX_BYTES + 1];
    char slot[NAME_MAX_BYTES + 1];
    uint32_t publications_count;
    char publications[PUBLICATIONS_MAX][NAME_MAX_BYTES + 1];
    uint32_t server_version; /* as PQserverVersion returns it, for example 150020 */
    uint32_t proto_version;  /* of pgoutput, as START_REPLICATION asked */
    uint64_t start_lsn;      /* the slot's confirmed_flush_lsn at the start */
    char sink[NAME_MAX_BYTES + 1];
    uint32_t shard;
    uint32_t shards;
    uint32_t previous_timeline; /* the timeline that this one left by a promotion, 0 if none */
    uint64_t switch_lsn;        /* there */
};

int hello_encode(struct buf *buf, const struct hello *hello) MUST_CHECK;

/* Decodes a stream's first frame and requires `stream` ("wal" or "event"), this STREAM_MAGIC and
 * this STREAM_VERSION. Otherwise returns -1 with an error that describes the frame, and a hint. */
int hello_decode(const struct frame *frame, const char *stream, struct hello *hello,
                 struct err *err) MUST_CHECK;

/* The same for an event stream that may be of STREAM_VERSION_COPY too. */
int hello_decode_copy(const struct frame *frame, struct hello *hello, struct err *err) MUST_CHECK;

/* The last frame of every stream. reason is a word for people, such as "drain". */
int end_encode(struct buf *buf, const char *reason) MUST_CHECK;

/* body is past the type. */
bool end_decode(struct cursor *body, uint32_t elements, char reason[32]) MUST_CHECK;

#endif
