/* ackclient.c: see ackclient.h. */
#include "lib/ackclient.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/sock.h"

int
ackclient_connect(struct ackclient *ack, const char *path, struct err *err)
{
    *ack = (struct ackclient){0};
    frame_reader_init(&ack->reader, ACK_FRAME_MAX);
    ack->fd = sock_connect(path, IO_CONNECT_PATIENCE_MILLIS, err);
    return ack->fd < 0 ? -1 : 0;
}

void
ackclient_close(struct ackclient *ack)
{
    if (ack->fd >= 0)
        close(ack->fd);
    ack->fd = -1;
    frame_reader_free(&ack->reader);
    buf_free(&ack->out);
}

int
ackclient_gone_error(struct err *err)
{
    err_set(err, EXIT_PEER, "ackd closed the connection");
    return err_hint(err, "its own log says why");
}

static int
say(struct ackclient *ack, struct ack_message *message, struct err *err)
{
    message->run_id = ack->run_id;
    buf_reset(&ack->out, 4096);
    if (ackmsg_encode(&ack->out, message) != 0)
        return err_set(err, EXIT_PEER, "out of memory for a message to ackd");
    if (io_write_all(ack->fd, (struct bytes){ack->out.data, buf_len(&ack->out)}, err) != 0)
        return ackclient_gone_error(err);
    return 0;
}

/* Waits for ackd's next message. */
static int
hear(struct ackclient *ack, struct ack_message *message, struct err *err)
{
    struct frame frame;

    for (;;) {
        switch (frame_next(&ack->reader, &frame, err)) {
        case FRAME_READY:
            return ackmsg_decode(&frame, message, err);
        case FRAME_BAD:
            return -1;
        case FRAME_NEED_MORE:
            break;
        }
        switch (frame_fill(&ack->reader, ack->fd, err)) {
        case FILL_READ:
        case FILL_AGAIN:
            break;
        case FILL_EOF:
            return ackclient_gone_error(err);
        case FILL_FAILED:
            return -1;
        }
    }
}

int
ackclient_register(struct ackclient *ack, const char *program, const struct hello *hello,
                   uint64_t durable_lsn, uint32_t timeline, struct err *err)
{
    struct ack_message message = {.type = ACK_REGISTER};
    struct ack_register *r = &message.registration;

    ack->run_id = hello->run_id;
    snprintf(r->program, sizeof r->program, "%s", program);
    memcpy(r->sink, hello->sink, sizeof r->sink);
    r->shard = hello->shard;
    r->shards = hello->shards;
    r->durable_lsn = durable_lsn;
    r->timeline = timeline;
    if (say(ack, &message, err) != 0 || hear(ack, &message, err) != 0)
        return -1;
    if (message.type == ACK_ACCEPTED)
        return 0;
    if (message.type != ACK_REFUSED)
        return err_set(err, EXIT_BUG, "ackd answered a registration with message type %d",
                       (int)message.type);
    err_set(err, EXIT_REFUSED, "ackd refused: %s", message.refusal.message);
    return err_hint(err, "%s", message.refusal.hint);
}

int
ackclient_reached(struct ackclient *ack, const struct ack_reached *reached, struct err *err)
{
    struct ack_message message = {.type = ACK_REACHED, .reached = *reached};

    return say(ack, &message, err);
}

int
ackclient_differences(struct ackclient *ack, const struct ack_differences *differences,
                      struct err *err)
{
    struct ack_message message = {.type = ACK_DIFFERENCES, .differences = *differences};

    return say(ack, &message, err);
}

int
ackclient_target(struct ackclient *ack, bool alive, const char *text, struct err *err)
{
    struct ack_message message = {.type = ACK_TARGET, .target.alive = alive};

    snprintf(message.target.message, sizeof message.target.message, "%s", text);
    return say(ack, &message, err);
}

int
ackclient_barrier_wait(struct ackclient *ack, const struct barrier_event *barrier, struct err *err)
{
    struct ack_message message = {.type = ACK_BARRIER_REACHED,
                                  .barrier = {.id = barrier->id, .applier = barrier->applier}};

    if (say(ack, &message, err) != 0 || hear(ack, &message, err) != 0)
        return -1;
    if (message.type != ACK_GO || message.barrier_id != barrier->id)
        return err_set(err, EXIT_BUG, "ackd sent message type %d while barrier %llu was awaited",
                       (int)message.type, (unsigned long long)barrier->id);
    return 0;
}

int
ackclient_barrier_done(struct ackclient *ack, uint64_t id, struct err *err)
{
    struct ack_message message = {.type = ACK_BARRIER_DONE, .barrier_id = id};

    return say(ack, &message, err);
}

int
ackclient_finished(struct ackclient *ack, struct err *err)
{
    struct ack_message message = {.type = ACK_FINISHED};

    return say(ack, &message, err);
}

bool
ackclient_gone(const struct ackclient *ack)
{
    struct pollfd state = {.fd = ack->fd, .events = POLLRDHUP};

    return poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}
