/* frames.c: bytes as they come from a pipe, in pieces. Every whole frame is decoded as hello and
 * end.
 * links: lib/frame lib/pack lib/cursor lib/buf lib/err */
#include "input.h"

static void
look_at(const struct frame *frame)
{
    static struct hello hello;
    struct cursor body = frame->body;
    struct buf again = {0};
    struct err err = {0};
    char reason[32];
    uint32_t elements;
    uint8_t type;

    require(frame->raw.len == FRAME_HEADER + frame->body.left);
    if (frame_type(&body, &type, &elements) && type == FRAME_END &&
        end_decode(&body, elements, reason))
        require(strlen(reason) < sizeof reason);
    for (int wal = 0; wal < 2; wal++) {
        if (hello_decode(frame, wal ? "wal" : "event", &hello, &err) == 0)
            require(hello_encode(&again, &hello) == 0);
        else
            require(err.code == EXIT_REFUSED && err.message[0] != '\0');
    }
    buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_reader reader;
    struct frame frame;
    struct err err = {0};
    enum frame_status status = FRAME_NEED_MORE;
    size_t piece = size == 0 ? 1 : data[size - 1] + 1u;

    frame_reader_init(&reader, ACK_FRAME_MAX);
    for (size_t at = 0; at < size && status != FRAME_BAD; at += piece) {
        size_t n = size - at < piece ? size - at : piece;

        buf_append(&reader.buf, data + at, n);
        reader.bytes_read += n;
        while ((status = frame_next(&reader, &frame, &err)) == FRAME_READY)
            look_at(&frame);
    }
    require(frame_eof_error(&reader, "wal", &err) == -1);
    frame_reader_free(&reader);
    return 0;
}
