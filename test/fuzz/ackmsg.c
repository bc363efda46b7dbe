/* ackmsg.c: frames of the ack socket, the status in them, and the feedback bytes. */
/* clang-format off: make reads one line
 * links: lib/ackmsg lib/copymsg lib/sinklist lib/feedback lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include "lib/ackmsg.h"
#include "lib/feedback.h"

#include "input.h"

static void
try_message(const struct frame *frame)
{
    static struct ack_message message, message_again;
    static struct ack_status status;
    struct frame_reader reader = {.max = ACK_FRAME_MAX};
    struct feedback feedback;
    struct frame again;
    struct err err = {0};

    if (ackmsg_decode(frame, &message, &err) != 0) {
        require(err.code == EXIT_REFUSED);
        return;
    }
    if (message.type == ACK_STATUS && ackmsg_status_decode(message.status, &status))
        require(status.workers_count <= WORKERS_MAX);
    if (message.type == ACK_FEEDBACK && feedback_decode(message.feedback, &feedback)) {
        uint8_t bytes[FEEDBACK_SIZE];

        feedback_encode(bytes, &feedback);
        require(memcmp(bytes, message.feedback.data, FEEDBACK_SIZE - 1) == 0);
    }
    require(ackmsg_encode(&reader.buf, &message) == 0);
    require(frame_next(&reader, &again, &err) == FRAME_READY);
    require(ackmsg_decode(&again, &message_again, &err) == 0 && message_again.type == message.type);
    frame_reader_free(&reader);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor input = cursor_over(data, size);
    struct feedback feedback;
    struct bytes message;

    while (input_next(&input, &message)) {
        uint8_t *memory;
        struct frame frame = input_frame(message, &memory);

        try_message(&frame);
        (void)!feedback_decode((struct bytes){.data = frame.body.at, .len = frame.body.left},
                               &feedback);
        free(memory);
    }
    return 0;
}
