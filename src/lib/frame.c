/* frame.c: see frame.h. */
#include "lib/frame.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/random.h>
#include <unistd.h>

#define HELLO_ELEMENTS         17
#define HELLO_ELEMENTS_HISTORY 19 /* of a source that was promoted once */

/* The memory that a reader keeps when it holds no bytes. */
#define READER_KEEP ((size_t)4 * IO_CHUNK)

void
frame_reader_init(struct frame_reader *r, uint32_t max)
{
    *r = (struct frame_reader){.max = max};
}

void
frame_reader_free(struct frame_reader *r)
{
    buf_free(&r->buf);
}

enum fill_status
frame_fill(struct frame_reader *r, int fd, struct err *err)
{
    struct buf *b = &r->buf;
    ssize_t n;

    if (buf_len(b) == 0)
        buf_reset(b, READER_KEEP);
    if (buf_reserve(b, IO_CHUNK) != 0) {
        err_set(err, EXIT_PEER, "out of memory for a frame of which %zu bytes have come",
                buf_len(b));
        return FILL_FAILED;
    }
    do
        n = read(fd, b->data + b->end, IO_CHUNK);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        b->end += (size_t)n;
        r->bytes_read += (uint64_t)n;
        return FILL_READ;
    }
    if (n == 0)
        return FILL_EOF;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return FILL_AGAIN;
    if (errno == ECONNRESET)
        return FILL_EOF;
    err_set(err, EXIT_PEER, "could not read the input: %s", strerror(errno));
    return FILL_FAILED;
}

void
frame_reader_trim(struct frame_reader *r)
{
    struct buf *b = &r->buf;

    if (b->start < READER_KEEP)
        return;
    if (buf_len(b) == 0)
        buf_free(b);
    else
        buf_fit(b);
}

enum frame_status
frame_refuse_length(const struct frame_reader *r, uint32_t len, struct err *err)
{
    err_set(err, EXIT_REFUSED,
            "the input is not a walpipe stream: frame length %" PRIu32 " at byte %" PRIu64
            " is outside 1 to %" PRIu32,
            len, r->bytes_read - buf_len(&r->buf), r->max);
    err_hint(err, "connect the input to a program of walpipe: these bytes come from another "
                  "program, or were damaged");
    return FRAME_BAD;
}

int
frame_eof_error(const struct frame_reader *r, const char *stream, struct err *err)
{
    if (r->bytes_read == 0)
        err_set(err, EXIT_PEER, "the %s stream is empty: it ended before its hello", stream);
    else if (buf_len(&r->buf) > 0)
        err_set(err, EXIT_PEER,
                "the %s stream was cut inside a frame, %zu bytes into it, at byte %" PRIu64, stream,
                buf_len(&r->buf), r->bytes_read);
    else
        err_set(err, EXIT_PEER, "the %s stream stopped at byte %" PRIu64 " without an end frame",
                stream, r->bytes_read);
    (void)err_neighbour(err);
    return err_hint(err,
                    "the program before this one in the pipeline stopped; its own log says why");
}

bool
frame_type(struct cursor *body, uint8_t *type, uint32_t *elements)
{
    uint64_t n;

    if (!mp_array(body, elements) || *elements == 0 || !mp_uint(body, &n) || n > UINT8_MAX)
        return false;
    *type = (uint8_t)n;
    *elements -= 1;
    return true;
}

int
run_id_new(struct run_id *id, struct err *err)
{
    if (getrandom(id->bytes, sizeof id->bytes, 0) != (ssize_t)sizeof id->bytes)
        return err_set(err, EXIT_PEER, "could not get random bytes: %s", strerror(errno));
    return 0;
}

struct run_id_text
run_id_format(const struct run_id *id)
{
    static const char hex[] = "0123456789abcdef";
    struct run_id_text out;

    for (size_t i = 0; i < RUN_ID_SIZE; i++) {
        out.text[2 * i] = hex[id->bytes[i] >> 4];
        out.text[2 * i + 1] = hex[id->bytes[i] & 15];
    }
    out.text[sizeof out.text - 1] = '\0';
    return out;
}

bool
run_id_equal(const struct run_id *a, const struct run_id *b)
{
    return memcmp(a->bytes, b->bytes, RUN_ID_SIZE) == 0;
}

bool
mp_run_id(struct cursor *c, struct run_id *out)
{
    struct bytes b;

    if (!mp_bin(c, &b) || b.len != RUN_ID_SIZE)
        return false;
    memcpy(out->bytes, b.data, RUN_ID_SIZE);
    return true;
}

int
hello_encode(struct buf *buf, const struct hello *h)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_HELLO,
                h->previous_timeline != 0 ? HELLO_ELEMENTS_HISTORY : HELLO_ELEMENTS);
    pack_cstr(&p, STREAM_MAGIC);
    pack_uint(&p, h->version == 0 ? STREAM_VERSION : h->version);
    pack_cstr(&p, h->stream);
    pack_cstr(&p, h->program);
    pack_bin(&p, (struct bytes){.data = h->run_id.bytes, .len = RUN_ID_SIZE});
    pack_uint(&p, h->system_identifier);
    pack_uint(&p, h->timeline);
    pack_cstr(&p, h->database);
    pack_cstr(&p, h->slot);
    pack_array(&p, h->publications_count);
    for (uint32_t i = 0; i < h->publications_count; i++)
        pack_cstr(&p, h->publications[i]);
    pack_uint(&p, h->server_version);
    pack_uint(&p, h->proto_version);
    pack_uint(&p, h->start_lsn);
    pack_cstr(&p, h->sink);
    pack_uint(&p, h->shard);
    pack_uint(&p, h->shards);
    if (h->previous_timeline != 0) {
        pack_uint(&p, h->previous_timeline);
        pack_uint(&p, h->switch_lsn);
    }
    return frame_end(&p);
}

static bool
decode_publications(struct cursor *c, struct hello *h)
{
    if (!mp_array(c, &h->publications_count) || h->publications_count > PUBLICATIONS_MAX)
        return false;
    for (uint32_t i = 0; i < h->publications_count; i++)
        if (!mp_cstr(c, h->publications[i], sizeof h->publications[i]))
            return false;
    return true;
}

static bool
decode_hello_fields(struct cursor *c, bool history, struct hello *h)
{
    h->previous_timeline = 0;
    h->switch_lsn = 0;
    return mp_cstr(c, h->program, sizeof h->program) && mp_run_id(c, &h->run_id) &&
           mp_uint(c, &h->system_identifier) && mp_uint32(c, &h->timeline) &&
           mp_cstr(c, h->database, sizeof h->database) && mp_cstr(c, h->slot, sizeof h->slot) &&
           decode_publications(c, h) && mp_uint32(c, &h->server_version) &&
           mp_uint32(c, &h->proto_version) && mp_uint(c, &h->start_lsn) &&
           mp_cstr(c, h->sink, sizeof h->sink) && mp_uint32(c, &h->shard) &&
           mp_uint32(c, &h->shards) &&
           (!history || (mp_uint32(c, &h->previous_timeline) && mp_uint(c, &h->switch_lsn))) &&
           c->left == 0;
}

static int
decode_hello(const struct frame *frame, const char *stream, uint32_t newest, struct hello *h,
             struct err *err)
{
    struct cursor c = frame->body;
    char magic[sizeof STREAM_MAGIC];
    uint32_t elements;
    uint8_t type;

    if (!frame_type(&c, &type, &elements) || type != FRAME_HELLO ||
        !mp_cstr(&c, magic, sizeof magic) || strcmp(magic, STREAM_MAGIC) != 0 ||
        !mp_uint32(&c, &h->version) || !mp_cstr(&c, h->stream, sizeof h->stream)) {
        err_set(err, EXIT_REFUSED, "the input does not begin with walpipe's hello frame");
        return err_hint(err, "expected walpipe's %s stream", stream);
    }
    if (h->version < STREAM_VERSION || h->version > newest) {
        err_set(err, EXIT_REFUSED, "stream format version %" PRIu32 ", this program reads %" PRIu32,
                h->version, newest);
        return err_hint(err, "the programs of a pipeline must be of one walpipe release");
    }
    if (strcmp(h->stream, stream) != 0) {
        err_set(err, EXIT_REFUSED, "the input is the %s stream, this program reads the %s stream",
                h->stream, stream);
        return err_hint(err, "the order is pg-wal-read | pgout-decode | route | sink");
    }
    elements++; /* the type */
    if ((elements != HELLO_ELEMENTS && elements != HELLO_ELEMENTS_HISTORY) ||
        !decode_hello_fields(&c, elements == HELLO_ELEMENTS_HISTORY, h))
        return err_set(err, EXIT_REFUSED, "malformed hello frame in the %s stream", stream);
    return 0;
}

int
hello_decode(const struct frame *frame, const char *stream, struct hello *h, struct err *err)
{
    return decode_hello(frame, stream, STREAM_VERSION, h, err);
}

int
hello_decode_copy(const struct frame *frame, struct hello *h, struct err *err)
{
    return decode_hello(frame, "event", STREAM_VERSION_COPY, h, err);
}

int
end_encode(struct buf *buf, const char *reason)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_END, 2);
    pack_cstr(&p, reason);
    return frame_end(&p);
}

bool
end_decode(struct cursor *body, uint32_t elements, char reason[32])
{
    return elements == 1 && mp_cstr(body, reason, 32) && body->left == 0;
}
