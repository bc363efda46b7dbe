/* ackconn.c: see ackconn.h. */
#include "lib/ackconn.h"

#include <poll.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/sock.h"

/* A rare long message should not stay in memory. */
#define OUT_KEPT 4096

int
ackconn_open(struct ackconn *c, const char *path, uint64_t patience_millis, struct err *err)
{
    *c = (struct ackconn){0};
    frame_reader_init(&c->reader, ACK_FRAME_MAX);
    c->fd = sock_connect(path, patience_millis, err);
    return c->fd < 0 ? -1 : 0;
}

void
ackconn_close(struct ackconn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    frame_reader_free(&c->reader);
    buf_free(&c->out);
}

int
ackconn_gone_error(struct err *err)
{
    err_set(err, EXIT_PEER, "ackd closed the connection");
    return err_neighbour(err);
}

bool
ackconn_gone(const struct ackconn *c, int millis)
{
    struct pollfd state = {.fd = c->fd, .events = POLLRDHUP};

    return poll(&state, 1, millis) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

int
ackconn_queue(struct ackconn *c, struct ack_message *message, struct err *err)
{
    message->run_id = c->run_id;
    if (ackmsg_encode(&c->out, message) != 0)
        return err_set(err, EXIT_PEER, "out of memory for a message to ackd");
    return 0;
}

static struct bytes
queued(const struct ackconn *c)
{
    return (struct bytes){.data = c->out.data + c->out.start, .len = buf_len(&c->out)};
}

int
ackconn_flush(struct ackconn *c, struct err *err)
{
    while (buf_len(&c->out) > 0) {
        int64_t n = io_write_some(c->fd, queued(c), err);

        if (n < 0)
            return ackconn_gone_error(err);
        if (n == 0)
            return 0;
        buf_consume(&c->out, (size_t)n);
    }
    return 0;
}

int
ackconn_say(struct ackconn *c, struct ack_message *message, struct err *err)
{
    buf_reset(&c->out, OUT_KEPT);
    if (ackconn_queue(c, message, err) != 0)
        return -1;
    if (io_write_all(c->fd, queued(c), err) != 0)
        return ackconn_gone_error(err);
    buf_reset(&c->out, OUT_KEPT);
    return 0;
}

int
ackconn_next(struct ackconn *c, struct ack_message *message, struct err *err)
{
    struct frame frame;

    switch (frame_next(&c->reader, &frame, err)) {
    case FRAME_READY:
        return ackmsg_decode(&frame, message, err) == 0 ? 1 : -1;
    case FRAME_NEED_MORE:
        return 0;
    case FRAME_BAD:
        break;
    }
    return -1;
}

int
ackconn_hear(struct ackconn *c, struct ack_message *message, struct err *err)
{
    int found;

    while ((found = ackconn_next(c, message, err)) == 0)
        switch (frame_fill(&c->reader, c->fd, err)) {
        case FILL_READ:
        case FILL_AGAIN:
            break;
        case FILL_EOF:
            return ackconn_gone_error(err);
        case FILL_FAILED:
            return -1;
        }
    return found < 0 ? -1 : 0;
}
