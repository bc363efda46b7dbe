/* ackclient.c: see ackclient.h. */
#include "lib/ackclient.h"

#include <stdio.h>

#include "lib/io.h"

int
ackclient_connect(struct ackconn *ack, const char *path, struct err *err)
{
    return ackconn_open(ack, path, IO_CONNECT_PATIENCE_MILLIS, err);
}

int
ackclient_register(struct ackconn *ack, const char *program, const struct hello *hello,
                   uint64_t durable_lsn, uint32_t timeline, enum ack_position position,
                   struct err *err)
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
    r->version = hello->version;
    r->position = position;
    if (ackconn_say(ack, &message, err) != 0 || ackconn_hear(ack, &message, err) != 0)
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
ackclient_reached(struct ackconn *ack, const struct ack_reached *reached, struct err *err)
{
    struct ack_message message = {.type = ACK_REACHED, .reached = *reached};

    return ackconn_say(ack, &message, err);
}

int
ackclient_differences(struct ackconn *ack, const struct ack_differences *differences,
                      struct err *err)
{
    struct ack_message message = {.type = ACK_DIFFERENCES, .differences = *differences};

    return ackconn_say(ack, &message, err);
}

int
ackclient_table_state(struct ackconn *ack, const struct table_state *state, struct err *err)
{
    struct ack_message message = {.type = ACK_TABLE_STATE, .table_state = *state};

    return ackconn_say(ack, &message, err);
}

int
ackclient_copied(struct ackconn *ack, const struct range_copied *copied, struct err *err)
{
    struct ack_message message = {.type = ACK_COPIED, .copied = *copied};

    return ackconn_say(ack, &message, err);
}

int
ackclient_missing(struct ackconn *ack, uint64_t life, struct bytes keys, struct err *err)
{
    struct ack_message message = {.type = ACK_MISSING, .missing = {.life = life, .keys = keys}};

    return ackconn_say(ack, &message, err);
}

int
ackclient_lacks(struct ackconn *ack, const struct ack_lacks *lacks, struct err *err)
{
    struct ack_message message = {.type = ACK_LACKS, .lacks = *lacks};

    return ackconn_say(ack, &message, err);
}

int
ackclient_copy_counts(struct ackconn *ack, const struct copy_counts *counts, struct err *err)
{
    struct ack_message message = {.type = ACK_COPY_COUNTS, .copy_counts = *counts};

    return ackconn_say(ack, &message, err);
}

int
ackclient_table_counts(struct ackconn *ack, const struct ack_table_counts *counts, struct err *err)
{
    struct ack_message message = {.type = ACK_TABLE_COUNTS, .table_counts = *counts};

    return ackconn_say(ack, &message, err);
}

int
ackclient_target(struct ackconn *ack, bool alive, const char *text, struct err *err)
{
    struct ack_message message = {.type = ACK_TARGET, .target.alive = alive};

    snprintf(message.target.message, sizeof message.target.message, "%s", text);
    return ackconn_say(ack, &message, err);
}

int
ackclient_barrier_wait(struct ackconn *ack, const struct barrier_event *barrier, struct err *err)
{
    struct ack_message message = {.type = ACK_BARRIER_REACHED,
                                  .barrier = {.id = barrier->id, .applier = barrier->applier}};

    if (ackconn_say(ack, &message, err) != 0 || ackconn_hear(ack, &message, err) != 0)
        return -1;
    if (message.type != ACK_GO || message.barrier_id != barrier->id)
        return err_set(err, EXIT_BUG, "ackd sent message type %d while barrier %llu was awaited",
                       (int)message.type, (unsigned long long)barrier->id);
    return 0;
}

int
ackclient_barrier_done(struct ackconn *ack, uint64_t id, struct err *err)
{
    struct ack_message message = {.type = ACK_BARRIER_DONE, .barrier_id = id};

    return ackconn_say(ack, &message, err);
}

int
ackclient_finished(struct ackconn *ack, struct err *err)
{
    struct ack_message message = {.type = ACK_FINISHED};

    return ackconn_say(ack, &message, err);
}
