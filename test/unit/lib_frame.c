/* lib_frame.c: lib/frame and lib/pack. Reads frames from a descriptor in pieces of every size, at
 * the maximum and one beyond, each kind of end, and hello.
 * links: lib/frame lib/pack lib/cursor lib/buf lib/err */
#include "lib/frame.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"

static struct hello
sample_hello(void)
{
    struct hello h = {.stream = "wal",
                      .program = "pg-wal-read",
                      .system_identifier = UINT64_MAX,
                      .timeline = 3,
                      .database = "shop",
                      .slot = "orders",
                      .publications_count = 2,
                      .publications = {"p", "q"},
                      .server_version = 150020,
                      .proto_version = 1,
                      .start_lsn = UINT64_C(0x16B374D848),
                      .sink = "dst",
                      .shard = 1,
                      .shards = 4};

    for (size_t i = 0; i < RUN_ID_SIZE; i++)
        h.run_id.bytes[i] = (uint8_t)(i * 17);
    return h;
}

/* The bytes as the content of a pipe whose other end is closed. */
static int
pipe_of(const uint8_t *data, size_t n)
{
    int fds[2];

    if (pipe(fds) != 0 || fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) < 0 ||
        write(fds[1], data, n) != (ssize_t)n)
        abort();
    close(fds[1]);
    return fds[0];
}

/* Reads all frames. Returns their number, or -1 with err at a bad one. */
static int
count_frames(int fd, uint32_t max, struct err *err)
{
    struct frame_reader reader;
    struct frame frame;
    int count = 0;

    frame_reader_init(&reader, max);
    for (;;) {
        enum frame_status status = frame_next(&reader, &frame, err);

        if (status == FRAME_READY) {
            count++;
            continue;
        }
        if (status == FRAME_BAD) {
            count = -1;
            break;
        }
        if (frame_fill(&reader, fd, err) != FILL_READ) {
            frame_eof_error(&reader, "wal", err);
            break;
        }
    }
    frame_reader_free(&reader);
    close(fd);
    return count;
}

static void
test_hello_round_trip(struct hello in)
{
    struct hello out;
    struct buf buf = {0};
    struct frame frame;
    struct err err = {0};

    check(hello_encode(&buf, &in) == 0, "hello is encoded");
    frame.body = cursor_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
    memset(&out, 0, sizeof out);
    check(hello_decode(&frame, "wal", &out, &err) == 0, "and decoded: %s", err.message);
    check(strcmp(in.program, out.program) == 0 && run_id_equal(&in.run_id, &out.run_id) &&
              in.system_identifier == out.system_identifier && in.timeline == out.timeline &&
              strcmp(in.database, out.database) == 0 && strcmp(in.slot, out.slot) == 0 &&
              out.publications_count == 2 && strcmp(out.publications[1], "q") == 0 &&
              in.server_version == out.server_version && in.start_lsn == out.start_lsn &&
              strcmp(in.sink, out.sink) == 0 && out.shard == 1 && out.shards == 4 &&
              in.previous_timeline == out.previous_timeline && in.switch_lsn == out.switch_lsn,
          "into the same");
    check(hello_decode(&frame, "event", &out, &err) == -1 && err.code == EXIT_REFUSED,
          "a wal stream is not an event stream: %s", err.message);
    for (size_t cut = 0; cut < buf_len(&buf) - FRAME_HEADER; cut++) {
        frame.body = cursor_over(buf.data + FRAME_HEADER, cut);
        if (hello_decode(&frame, "wal", &out, &err) != -1 || err.code != EXIT_REFUSED)
            check(false, "hello cut at %zu", cut);
    }
    buf_append(&buf, "", 1);
    frame.body = cursor_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
    check(hello_decode(&frame, "wal", &out, &err) == -1, "a byte too many behind hello");
    buf_free(&buf);
}

static void
test_hello_version(void)
{
    struct hello h = sample_hello();
    struct buf buf = {0};
    struct frame frame;
    struct err err = {0};

    check(hello_encode(&buf, &h) == 0, "hello");
    /* length, array of 17 in 16 bits, type, "walpipe", then the version */
    check(buf.data[4 + 3 + 1 + 8] == STREAM_VERSION, "the version is where frame(7) says");
    buf.data[4 + 3 + 1 + 8] = STREAM_VERSION + 1;
    frame.body = cursor_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
    check(hello_decode(&frame, "wal", &h, &err) == -1 && err.code == EXIT_REFUSED &&
              strstr(err.message, "version 2") != NULL && err.hint[0] != '\0',
          "another version is refused with a hint: %s", err.message);
    buf_free(&buf);
}

/* The hello of an event stream that may bring rows which exist already. */
static void
test_hello_version_copy(void)
{
    struct hello h = sample_hello();
    struct buf buf = {0};
    struct frame frame;
    struct err err = {0};

    h.version = STREAM_VERSION_COPY;
    snprintf(h.stream, sizeof h.stream, "event");
    check(hello_encode(&buf, &h) == 0 && buf.data[4 + 3 + 1 + 8] == 2, "hello says version 2");
    frame.body = cursor_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
    check(hello_decode(&frame, "event", &h, &err) == -1 && err.code == EXIT_REFUSED,
          "a reader of version 1 refuses it: %s", err.message);
    h.version = 0;
    check(hello_decode_copy(&frame, &h, &err) == 0 && h.version == STREAM_VERSION_COPY,
          "a reader of both takes it");
    buf.data[4 + 3 + 1 + 8] = 1;
    check(hello_decode_copy(&frame, &h, &err) == 0 && h.version == STREAM_VERSION,
          "and one of version 1");
    buf.data[4 + 3 + 1 + 8] = 3;
    check(hello_decode_copy(&frame, &h, &err) == -1 && strstr(err.message, "reads 2") != NULL,
          "but none of version 3: %s", err.message);
    buf.data[4 + 3 + 1 + 8] = 0;
    check(hello_decode_copy(&frame, &h, &err) == -1, "nor of version 0");
    buf_free(&buf);
}

static void
test_pieces_of_every_size(void)
{
    struct hello h = sample_hello();
    struct buf buf = {0};
    struct err err;
    size_t whole;

    check(hello_encode(&buf, &h) == 0 && end_encode(&buf, "drain") == 0, "a stream of two frames");
    whole = buf_len(&buf);
    for (size_t cut = 0; cut <= whole; cut++) {
        int frames;

        err = (struct err){0};
        frames = count_frames(pipe_of(buf.data, cut), FRAME_MAX, &err);
        if (frames < 0 || frames > 2 || (cut == whole) != (frames == 2) || err.code != EXIT_PEER)
            check(false, "cut at %zu: %d frames, %s", cut, frames, err.message);
    }
    count_frames(pipe_of(buf.data, 0), FRAME_MAX, &err);
    check(strstr(err.message, "empty") != NULL, "no byte at all: %s", err.message);
    count_frames(pipe_of(buf.data, whole - 3), FRAME_MAX, &err);
    check(strstr(err.message, "cut inside a frame") != NULL, "inside: %s", err.message);
    buf_free(&buf);
}

/* A frame comes byte by byte through one reader. */
static void
test_byte_by_byte(void)
{
    struct frame_reader reader;
    struct hello h = sample_hello();
    struct buf buf = {0};
    struct frame frame;
    struct err err = {0};
    int fds[2], ready = 0;

    check(hello_encode(&buf, &h) == 0 && pipe(fds) == 0, "a pipe");
    frame_reader_init(&reader, FRAME_MAX);
    for (size_t i = 0; i < buf_len(&buf); i++) {
        if (write(fds[1], buf.data + i, 1) != 1 || frame_fill(&reader, fds[0], &err) != FILL_READ)
            abort();
        if (frame_next(&reader, &frame, &err) == FRAME_READY) {
            ready++;
            check(i + 1 == buf_len(&buf) && frame.raw.len == buf_len(&buf),
                  "the frame is there with its last byte");
        }
    }
    check(ready == 1, "once");
    check(reader.bytes_read == buf_len(&buf), "and its bytes were counted");
    frame_reader_free(&reader);
    buf_free(&buf);
    close(fds[0]);
    close(fds[1]);
}

static int
length_only(uint32_t length, uint32_t max, struct err *err)
{
    uint8_t header[5] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
                         (uint8_t)length, 0x90};

    return count_frames(pipe_of(header, sizeof header), max, err);
}

static void
test_maximum(void)
{
    struct err err = {0};

    check(length_only(FRAME_MAX, FRAME_MAX, &err) == 0, "the longest frame is waited for");
    check(length_only(FRAME_MAX + 1, FRAME_MAX, &err) == -1 && err.code == EXIT_REFUSED,
          "one byte more is refused: %s", err.message);
    check(length_only(UINT32_MAX, FRAME_MAX, &err) == -1, "and so is 4 GiB");
    check(length_only(0, FRAME_MAX, &err) == -1, "and an empty frame");
    check(length_only(ACK_FRAME_MAX + 1, ACK_FRAME_MAX, &err) == -1,
          "the ack socket has its own maximum");
}

/* The reader takes memory for the bytes that came, never for the length that a frame claims. */
static void
test_memory_follows_bytes(void)
{
    struct frame_reader reader;
    struct frame frame;
    struct err err = {0};
    static const uint8_t claim[] = {0x3f, 0xff, 0xff, 0xff, 0x90};
    int fd = pipe_of(claim, sizeof claim);

    frame_reader_init(&reader, FRAME_MAX);
    check(frame_fill(&reader, fd, &err) == FILL_READ &&
              frame_next(&reader, &frame, &err) == FRAME_NEED_MORE,
          "a frame of nearly 1 GiB is announced");
    check(reader.buf.size <= 4 * IO_CHUNK, "and takes %zu bytes", reader.buf.size);
    frame_reader_free(&reader);
    close(fd);
}

static void
test_type(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool good;
    } cases[] = {{"\x91\x05", 2, true},  {"\x91\xcc\xff", 3, true},
                 {"\x90", 1, false},     {"\x91\xcd\x01\x00", 4, false},
                 {"\x91\xc0", 2, false}, {"\x05", 1, false},
                 {"\x91\xff", 2, false}, {"", 0, false}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cursor c = cursor_over(cases[i].bytes, cases[i].len);
        uint32_t elements;
        uint8_t type;

        check(frame_type(&c, &type, &elements) == cases[i].good, "type case %zu", i);
    }
}

static void
test_failed_buf_stays_whole(void)
{
    struct buf buf = {0};
    struct packer p;
    size_t before;

    check(end_encode(&buf, "drain") == 0, "a good frame");
    before = buf_len(&buf);
    frame_begin(&p, &buf, FRAME_END, 2);
    buf.failed = true; /* as buf_reserve without memory does */
    pack_cstr(&p, "drain");
    check(frame_end(&p) == -1 && buf_len(&buf) == before,
          "a frame without memory leaves the buf as it was");
    buf_free(&buf);
}

static void
test_run_id(void)
{
    struct run_id a, b;
    struct err err = {0};

    check(run_id_new(&a, &err) == 0 && run_id_new(&b, &err) == 0 && !run_id_equal(&a, &b),
          "two run ids differ");
    b = sample_hello().run_id;
    check(strcmp(run_id_format(&b).text, "00112233445566778899aabbccddeeff") == 0, "in hex");
}

int
main(void)
{
    struct hello promoted = sample_hello();

    test_hello_round_trip(sample_hello());
    promoted.previous_timeline = 2;
    promoted.switch_lsn = UINT64_C(0x16B374D000);
    test_hello_round_trip(promoted);
    test_hello_version();
    test_hello_version_copy();
    test_pieces_of_every_size();
    test_byte_by_byte();
    test_maximum();
    test_memory_follows_bytes();
    test_type();
    test_failed_buf_stays_whole();
    test_run_id();
    return check_done();
}
