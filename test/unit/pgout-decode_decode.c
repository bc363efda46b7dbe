/* pgout-decode_decode.c: the decoder over the golden captures, each message damaged in every way
 * that keeps the frame whole. Runs at the repository's root. */
/* clang-format off: make reads one line
 * links: pgout-decode/decode pgout-decode/pgoutput pgout-decode/relations lib/event lib/tableinfo lib/wal lib/keyhash lib/hash lib/relmap lib/lsn lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include "pgout-decode/decode.h"

#include <inttypes.h>
#include <stdlib.h>

#include "check.h"

static uint8_t file_data[1 << 20];

/* The captured stream's frames, one behind the other, behind hello. */
static struct bytes
read_golden(const char *name)
{
    char path[128];
    FILE *f;
    size_t n = 0;

    snprintf(path, sizeof path, "test/golden/%s.wal", name);
    f = fopen(path, "rb");
    if (f != NULL) {
        n = fread(file_data, 1, sizeof file_data, f);
        fclose(f);
    }
    check(n > 1000 && n < sizeof file_data, "%s is there", path);
    return (struct bytes){.data = file_data, .len = n};
}

struct fixture {
    struct decoder decoder;
    struct frame_reader reader;
    struct buf out;
    struct err err;
};

static struct fixture *
fixture_new(struct bytes stream)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct frame hello;

    if (f == NULL)
        abort();
    frame_reader_init(&f->reader, FRAME_MAX);
    buf_append(&f->reader.buf, stream.data, stream.len);
    if (frame_next(&f->reader, &hello, &f->err) != FRAME_READY ||
        decode_hello(&f->decoder, &hello, &f->out, &f->err) != 0)
        check(false, "hello: %s", f->err.message);
    return f;
}

static void
fixture_free(struct fixture *f)
{
    frame_reader_free(&f->reader);
    buf_free(&f->out);
    decoder_free(&f->decoder);
    free(f);
}

/* Decodes message as a wal frame. Returns decode_frame's result. */
static int
decode_message(struct fixture *f, struct bytes message)
{
    struct wal_frame wal = {.start_lsn = 0x1234, .message = message};
    struct frame_reader reader = {.max = FRAME_MAX};
    struct frame frame;
    int result = -2;

    if (wal_encode(&reader.buf, &wal) == 0 && frame_next(&reader, &frame, &f->err) == FRAME_READY)
        result = decode_frame(&f->decoder, &frame, &f->out, &f->err);
    frame_reader_free(&reader);
    buf_reset(&f->out, 1 << 20);
    return result;
}

/* Refused with the message's name and LSN. */
static bool
refused(struct fixture *f, struct bytes message, const char *name)
{
    f->err = (struct err){0};
    if (decode_message(f, message) != -1 || f->err.code != EXIT_REFUSED || f->err.lsn != 0x1234) {
        check(false, "%s of %zu bytes was taken", name, message.len);
        return false;
    }
    return strstr(f->err.message, name) != NULL;
}

struct tally {
    size_t messages;
    size_t refusals;
    size_t wrong;
};

/* Every shorter message and a longer one, from a copy of exactly that size. */
static void
damage(struct fixture *f, struct bytes message, struct tally *t)
{
    const char *name = pgoutput_name(message.data[0]);
    size_t step = message.len > 1500 ? 37 : 1;

    for (size_t len = 1; len <= message.len + 1; len += len == message.len ? 1 : step) {
        uint8_t *copy;

        if (len > message.len)
            len = message.len + 1;
        if (len == message.len)
            continue;
        copy = calloc(1, len);
        if (copy == NULL)
            abort();
        memcpy(copy, message.data, len < message.len ? len : message.len);
        t->refusals++;
        t->wrong += !refused(f, (struct bytes){.data = copy, .len = len}, name);
        free(copy);
    }
}

/* The wal message of a frame, if it is one. */
static bool
message_of(const struct frame *frame, struct wal_frame *wal)
{
    struct cursor body = frame->body;
    uint32_t elements;
    uint8_t type;

    return frame_type(&body, &type, &elements) && type == FRAME_WAL &&
           wal_decode(&body, elements, wal);
}

static void
test_every_length(const char *name)
{
    struct bytes stream = read_golden(name);
    struct fixture *f = fixture_new(stream);
    struct tally t = {0};
    struct frame frame;

    while (frame_next(&f->reader, &frame, &f->err) == FRAME_READY) {
        struct wal_frame wal;

        if (message_of(&frame, &wal)) {
            t.messages++;
            damage(f, wal.message, &t);
        }
        if (decode_frame(&f->decoder, &frame, &f->out, &f->err) != 0) {
            check(false, "%s, message %zu: %s", name, t.messages, f->err.message);
            break;
        }
    }
    check(f->decoder.ended && buf_len(&f->reader.buf) == 0, "%s is decoded to its end", name);
    check(t.messages > 5 && t.wrong == 0,
          "%s: %zu messages, %zu shorter or longer ones, %zu not refused by name", name, t.messages,
          t.refusals, t.wrong);
    fixture_free(f);
}

static uint32_t
next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Bytes changed at random are either accepted, or refused with a reason. */
static void
test_random_damage(const char *name, uint32_t seed, int rounds)
{
    struct bytes stream = read_golden(name);
    size_t done = 0, unexplained = 0;

    for (int round = 0; round < rounds; round++) {
        struct fixture *f = fixture_new(stream);
        uint8_t *bytes = f->reader.buf.data + f->reader.buf.start;
        size_t len = buf_len(&f->reader.buf);
        struct frame frame;
        int result = 0;

        for (int n = 0; n < 3; n++)
            bytes[next_random(&seed) % len] ^= (uint8_t)(1u << next_random(&seed) % 8);
        while (result == 0 && frame_next(&f->reader, &frame, &f->err) == FRAME_READY) {
            result = decode_frame(&f->decoder, &frame, &f->out, &f->err);
            buf_reset(&f->out, 1 << 20);
            done++;
        }
        unexplained += result != 0 && (f->err.code != EXIT_REFUSED || f->err.message[0] == '\0');
        fixture_free(f);
    }
    check(done > (size_t)rounds && unexplained == 0,
          "%s: %d damaged streams, %zu frames, %zu "
          "failures without a reason",
          name, rounds, done, unexplained);
}

/* Every cut inside a frame is "need more", never a frame and never an error. */
static void
test_cuts(const char *name)
{
    struct bytes stream = read_golden(name);
    struct frame_reader whole = {.max = FRAME_MAX};
    struct frame frame;
    struct err err;
    size_t cuts = 0, wrong = 0;

    buf_append(&whole.buf, stream.data, stream.len);
    while (frame_next(&whole, &frame, &err) == FRAME_READY)
        for (size_t len = 0; len<frame.raw.len; len += len> 300 ? 61 : 1) {
            struct frame_reader cut = {.max = FRAME_MAX, .bytes_read = len};
            struct frame part;

            buf_append(&cut.buf, frame.raw.data, len);
            cuts++;
            wrong += frame_next(&cut, &part, &err) != FRAME_NEED_MORE ||
                     frame_eof_error(&cut, "wal", &err) != -1 || err.code != EXIT_PEER;
            frame_reader_free(&cut);
        }
    frame_reader_free(&whole);
    check(cuts > 1000 && wrong == 0, "%s: %zu cuts, %zu taken for something else", name, cuts,
          wrong);
}

int
main(void)
{
    static const char *const names[] = {"main", "binary", "root", "wide"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        test_every_length(names[i]);
        test_cuts(names[i]);
    }
    test_random_damage("main", 1, 300);
    test_random_damage("binary", 2, 300);
    test_random_damage("root", 3, 1000);
    return check_done();
}
