/* stream.c: see stream.h.
 *
 * CopyData payloads of the server ("Streaming Replication Protocol", all big-endian):
 *
 *     'w' walStart:8 walEnd:8 sendTime:8 payload      XLogData
 *     'k' walEnd:8 sendTime:8 replyRequested:1        Primary keepalive
 *
 * Feedback continues while the output is full. Only the reading of WAL stops then. */
#include "pg-wal-read/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "lib/pqx.h"
#include "lib/sig.h"
#include "lib/wal.h"

/* Reading WAL stops while this much waits to be written. */
#define OUT_LIMIT (4 * (size_t)IO_CHUNK)

/* The most bytes that libpq reads from the socket at once, unless a message is larger (measured on
 * 15). */
#define LIBPQ_READ ((size_t)16 * 1024)

/* A supervisor may signal every process, and walpipe forwards its own signal. Signals within this
 * time are one stop. */
#define SAME_STOP_MICROS UINT64_C(2000000)

/* How long a server that shuts down may wait for the workers to confirm the rest. */
#define SHUTDOWN_GRACE_MICROS UINT64_C(5000000)

/* Two looks at a walsender that blocks in its final messages are a few seconds apart. */
#define ENDING_ANSWERS 2

/* If a server is silent for twice its wal_sender_timeout, though feedback asks it to answer, it is
 * gone (trap 26). These are the bounds of that time. The upper one also holds without a timeout,
 * because old servers can be busy with a large transaction for minutes. */
#define SILENCE_LEAST_MICROS UINT64_C(10000000)
#define SILENCE_MOST_MICROS  UINT64_C(600000000)

enum slot { SLOT_SOURCE, SLOT_OUT, SLOT_ACK, SLOT_SIGNAL, SLOT_WATCH, SLOT_ASK, SLOTS };

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for a WAL message");
}

/* ---- to the server ---- */

static int
flush_to_server(struct stream *s, struct err *err)
{
    int status = PQflush(s->source->conn);

    if (status < 0)
        return pqx_error(s->source->conn, NULL, "send feedback to the source", err);
    s->flush_pending = status == 1;
    return 0;
}

static int
send_feedback(struct stream *s, const uint8_t feedback[FEEDBACK_SIZE], struct err *err)
{
    int status = PQputCopyData(s->source->conn, (const char *)feedback, FEEDBACK_SIZE);

    if (status < 0)
        return pqx_error(s->source->conn, NULL, "send feedback to the source", err);
    /* 0 means that libpq's own buffer is full. Later feedback contains everything that this one
     * would. */
    return flush_to_server(s, err);
}

/* Without ackd nothing is confirmed, and flush 0 leaves the slot unchanged. But without feedback
 * the server would end the connection. */
static int
send_sign_of_life(struct stream *s, struct err *err)
{
    uint32_t timeout = s->source->wal_sender_timeout_ms;
    uint64_t interval = timeout == 0 || timeout > 30000 ? 10000 : timeout / 3;
    const struct feedback f = {
        .write_lsn = s->received_lsn, .client_time = clock_postgres_now(), .reply_requested = true};
    uint8_t bytes[FEEDBACK_SIZE];

    s->feedback_deadline = clock_micros() + interval * 1000;
    feedback_encode(bytes, &f);
    return send_feedback(s, bytes, err);
}

static int
take_acks(struct stream *s, struct err *err)
{
    uint8_t feedback[FEEDBACK_SIZE];
    bool has_feedback;

    if (acklink_take(s->ack, s->received_lsn, feedback, &has_feedback, err) != 0)
        return -1;
    return has_feedback ? send_feedback(s, feedback, err) : 0;
}

static int
tell_received(struct stream *s, bool reply_requested, struct err *err)
{
    const struct ack_received received = {
        .lsn = s->received_lsn, .reply_requested = reply_requested, .commit_time = s->commit_time};

    if (s->ack != NULL)
        return acklink_received(s->ack, &received, err);
    return reply_requested ? send_sign_of_life(s, err) : 0;
}

/* ---- from the server ---- */

static int
malformed(const char *what, struct err *err)
{
    return err_set(err, EXIT_PEER, "the source sent a malformed %s message", what);
}

/* A pgoutput message that begins with a C ends a transaction. It says when that was committed, for
 * ackd's metrics (flags:1 commitLsn:8 endLsn:8 commitTime:8). */
static void
note_commit(struct stream *s, struct bytes message)
{
    struct cursor c = cursor_over(message.data, message.len);
    uint64_t commit_lsn, end_lsn, commit_time;
    uint8_t tag, flags;

    if (cursor_u8(&c, &tag) && tag == 'C' && cursor_u8(&c, &flags) && cursor_u64(&c, &commit_lsn) &&
        cursor_u64(&c, &end_lsn) && cursor_u64(&c, &commit_time))
        s->commit_time = (int64_t)commit_time;
}

static int
take_wal(struct stream *s, struct cursor *c, struct err *err)
{
    struct wal_frame wal;
    uint64_t send_time;

    if (!cursor_u64(c, &wal.start_lsn) || !cursor_u64(c, &wal.end_lsn) ||
        !cursor_u64(c, &send_time))
        return malformed("XLogData", err);
    wal.send_time = (int64_t)send_time;
    wal.message = (struct bytes){.data = c->at, .len = c->left};
    if (decodestart_check(&s->source->decodes, wal.end_lsn, s->start_lsn, err) != 0)
        return -1;
    if (wal.end_lsn > s->received_lsn)
        s->received_lsn = wal.end_lsn;
    if (wal_encode(&s->out, &wal) != 0)
        return out_of_memory(err);
    tableask_message(&s->ask, wal.message);
    note_commit(s, wal.message);
    return 0;
}

static int
take_keepalive(struct stream *s, struct cursor *c, struct err *err)
{
    struct keepalive_frame keepalive;
    uint64_t send_time;
    uint8_t reply_requested;

    if (!cursor_u64(c, &keepalive.wal_end) || !cursor_u64(c, &send_time) ||
        !cursor_u8(c, &reply_requested) || c->left != 0)
        return malformed("keepalive", err);
    if (decodestart_check(&s->source->decodes, keepalive.wal_end, s->start_lsn, err) != 0)
        return -1;
    keepalive.send_time = (int64_t)send_time;
    if (keepalive.wal_end > s->received_lsn)
        s->received_lsn = keepalive.wal_end;
    if (keepalive.wal_end > s->keepalive_lsn) {
        s->keepalive_lsn = keepalive.wal_end;
        if (keepalive_encode(&s->out, &keepalive) != 0)
            return out_of_memory(err);
    }
    return reply_requested != 0 ? tell_received(s, true, err) : 0;
}

static int
take_copy_data(struct stream *s, struct bytes message, struct err *err)
{
    struct cursor c = cursor_over(message.data, message.len);
    uint8_t tag;

    s->heard = true;
    if (!cursor_u8(&c, &tag))
        return malformed("empty", err);
    if (tag == 'w')
        return take_wal(s, &c, err);
    if (tag == 'k')
        return take_keepalive(s, &c, err);
    return err_set(err, EXIT_PEER, "the source sent an unknown replication message 0x%02x", tag);
}

/* The end of COPY is never the end of the work. The next result has the reason why the server
 * stopped. */
static int
take_end_of_copy(struct stream *s, struct err *err)
{
    PGresult *result = PQgetResult(s->source->conn);
    ExecStatusType status = PQresultStatus(result);

    if (result != NULL && status != PGRES_COMMAND_OK && status != PGRES_COPY_IN) {
        const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

        pqx_error(s->source->conn, result, "go on streaming", err);
        /* The slot reads the catalog as of each change, so a new publication comes too late. */
        if (sqlstate != NULL && strcmp(sqlstate, "42704") == 0) {
            char context[sizeof err->hint];

            snprintf(context, sizeof context, "%s", err->hint);
            err_hint(err,
                     "make the publication again, and begin with a new slot: walpipe drop, and "
                     "copy the tables anew (%s)",
                     context);
        }
    } else {
        err_set(err, EXIT_PEER, "the source ended the replication stream");
    }
    PQclear(result);
    return -1;
}

/* Takes messages from libpq until there is none, the output is full, or the catalog's answer about
 * a table must come first. */
static int
take_messages(struct stream *s, size_t *messages, struct err *err)
{
    s->more_in_libpq = false;
    for (*messages = 0;; ++*messages) {
        char *message;
        int n, status;

        if (buf_len(&s->out) >= OUT_LIMIT || s->ask.waiting) {
            s->more_in_libpq = true;
            return 0;
        }
        n = PQgetCopyData(s->source->conn, &message, 1);
        if (n == 0)
            return 0;
        if (n == -1)
            return take_end_of_copy(s, err);
        if (n < -1)
            return pqx_error(s->source->conn, NULL, "read from the source", err);
        status = take_copy_data(
            s, (struct bytes){.data = (const uint8_t *)message, .len = (size_t)n}, err);
        PQfreemem(message);
        if (status != 0)
            return -1;
    }
}

/* While the stream is busy, everything that the socket has gathered is read in one turn. That
 * spreads the cost of a turn, here, in ackd and in the walsender, over more messages. A read that
 * is not full ends the turn. */
static int
read_source(struct stream *s, struct err *err)
{
    size_t messages, taken = 0, before;

    lowwater_wake(&s->lowwater, PQsocket(s->source->conn));
    do {
        before = buf_len(&s->out);
        /* libpq's messages come first, otherwise it would hold more each time. */
        if (!s->more_in_libpq && PQconsumeInput(s->source->conn) != 1)
            return pqx_error(s->source->conn, NULL, "read from the source", err);
        if (take_messages(s, &messages, err) != 0)
            return -1;
        taken += messages;
    } while (s->lowwater.busy && buf_len(&s->out) - before >= LIBPQ_READ / 2 &&
             buf_len(&s->out) < IO_CHUNK);
    lowwater_read(&s->lowwater, PQsocket(s->source->conn), taken, s->more_in_libpq);
    /* ackd must know of an LSN before any worker can report it. */
    return tell_received(s, false, err);
}

/* ---- to the pipeline ---- */

static int
write_out(struct stream *s, struct err *err)
{
    while (buf_len(&s->out) > 0 && (s->ack == NULL || buf_len(&s->ack->conn.out) == 0)) {
        struct bytes data = {.data = s->out.data + s->out.start, .len = buf_len(&s->out)};
        int64_t n;

        if (data.len > IO_CHUNK)
            data.len = IO_CHUNK;
        n = io_write_some(s->out_fd, data, err);
        if (n < 0)
            return -1;
        if (n == 0)
            return 0;
        buf_consume(&s->out, (size_t)n);
    }
    if (buf_len(&s->out) == 0)
        buf_reset(&s->out, 4 * OUT_LIMIT);
    return 0;
}

/* ---- stopping ---- */

static int
start_stopping(struct stream *s, struct err *err)
{
    log_write(s->log, LOG_INFO, "stopping: draining the pipeline");
    s->stopping = true;
    s->stopping_since = clock_micros();
    tableask_stop(&s->ask);
    if (end_encode(&s->out, "drain") != 0)
        return out_of_memory(err);
    return s->ack == NULL ? 0 : acklink_draining(s->ack, err);
}

static int
take_signal(struct stream *s, struct err *err)
{
    int signo = sig_read(s->signal_fd);

    if (signo == 0)
        return 0;
    if (s->stopping && clock_micros() < s->stopping_since + SAME_STOP_MICROS)
        return 0;
    if (s->stopping)
        return err_set(err, EXIT_PEER, "stopped by a second signal before all was drained");
    return start_stopping(s, err);
}

/* ---- the loop ---- */

static bool
wants_source(const struct stream *s)
{
    return !s->stopping && !s->more_in_libpq && buf_len(&s->out) < OUT_LIMIT;
}

/* libpq holds messages for which there is room now. No descriptor reports that. */
static bool
has_room_for_more(const struct stream *s)
{
    return !s->stopping && !s->ask.waiting && s->more_in_libpq && buf_len(&s->out) < OUT_LIMIT / 2;
}

static uint64_t
silence_limit(const struct stream *s)
{
    uint64_t limit = 2 * (uint64_t)s->source->wal_sender_timeout_ms * 1000;

    if (limit == 0 || limit > SILENCE_MOST_MICROS)
        return SILENCE_MOST_MICROS;
    return limit < SILENCE_LEAST_MICROS ? SILENCE_LEAST_MICROS : limit;
}

/* Checks whether the server is still there, and not about to shut down. */
static int
check_server(struct stream *s, struct err *err)
{
    uint64_t now = clock_micros();

    if (s->heard || !wants_source(s))
        s->heard_at = now;
    s->heard = false;
    if (now >= s->heard_at + silence_limit(s)) {
        err_set(err, EXIT_PEER, "the source has sent nothing for %" PRIu64 " seconds",
                silence_limit(s) / 1000000);
        return err_hint(err, "the connection is dead: a restart makes a new one");
    }
    if (s->ack != NULL && s->watch->refused_since != 0 &&
        now - s->watch->refused_since >= SHUTDOWN_GRACE_MICROS) {
        err_set(err, EXIT_PEER,
                "the source shuts down and waits for the last confirmations: disconnected, so "
                "that it can end");
        return err_hint(err, "nothing is lost: the slot keeps the rest");
    }
    if (s->ack != NULL && !wants_source(s) && s->watch->ending >= ENDING_ANSWERS) {
        err_set(err, EXIT_PEER,
                "the source ends the connection, which is not read while the pipeline is full: "
                "disconnected");
        return err_hint(err, "the source's log has the reason; if it invalidates the slot, its "
                             "checkpoints wait until this connection has ended");
    }
    return 0;
}

static uint64_t
earliest(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

struct turn {
    struct pollfd fds[SLOTS];
    bool gather; /* poll without the source, then read it */
    bool timed_out;
};

/* poll() counts in milliseconds, which is too long for a Unix socket that gathers. */
static int
poll_until(struct pollfd *fds, uint64_t deadline)
{
    uint64_t now = clock_micros(), left = deadline > now ? deadline - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / 1000000),
                               .tv_nsec = (long)(left % 1000000) * 1000};

    return ppoll(fds, SLOTS, deadline == 0 ? NULL : &timeout, NULL);
}

static int
wait_for_events(struct stream *s, struct turn *turn, struct err *err)
{
    bool source_readable = wants_source(s);
    uint64_t deadline = s->ack == NULL ? s->feedback_deadline : s->watch->deadline;
    int n;

    lowwater_wait(&s->lowwater, source_readable);
    turn->gather = source_readable && lowwater_gathers(&s->lowwater, PQsocket(s->source->conn));
    turn->fds[SLOT_SOURCE] = (struct pollfd){.fd = PQsocket(s->source->conn)};
    if (source_readable && !turn->gather)
        turn->fds[SLOT_SOURCE].events |= POLLIN;
    if (s->flush_pending)
        turn->fds[SLOT_SOURCE].events |= POLLOUT;
    turn->fds[SLOT_OUT] = (struct pollfd){.fd = s->out_closed ? -1 : s->out_fd};
    if (buf_len(&s->out) > 0)
        turn->fds[SLOT_OUT].events = POLLOUT;
    turn->fds[SLOT_ACK] = (struct pollfd){.fd = -1};
    turn->fds[SLOT_WATCH] = (struct pollfd){.fd = -1};
    if (s->ack != NULL) {
        turn->fds[SLOT_ACK] = (struct pollfd){.fd = s->ack->conn.fd, .events = POLLIN};
        if (buf_len(&s->ack->conn.out) > 0)
            turn->fds[SLOT_ACK].events |= POLLOUT;
        turn->fds[SLOT_WATCH] =
            (struct pollfd){.fd = slotwatch_fd(s->watch), .events = s->watch->events};
    }
    turn->fds[SLOT_ASK] = (struct pollfd){.fd = tableask_fd(&s->ask), .events = s->ask.events};
    turn->fds[SLOT_SIGNAL] = (struct pollfd){.fd = s->signal_fd, .events = POLLIN};
    if (s->lowwater.busy && source_readable)
        deadline = earliest(deadline, clock_micros() + lowwater_patience(&s->lowwater));
    if (source_readable)
        deadline = earliest(deadline, s->heard_at + silence_limit(s));
    if (s->ask.waiting)
        deadline = earliest(deadline, s->ask.deadline);
    if (has_room_for_more(s))
        deadline = clock_micros();
    n = poll_until(turn->fds, deadline);
    if (n < 0 && errno != EINTR)
        return err_set(err, EXIT_PEER, "could not poll: %s", strerror(errno));
    turn->timed_out = n == 0;
    return 0;
}

/* A '*' may have been meant for another standby (trap 17). */
static void
say_synchronous(struct stream *s)
{
    const char *state = s->watch->sync_state;
    bool synchronous = state[0] != '\0' && strcmp(state, "async") != 0;

    if (synchronous && !s->said_synchronous)
        log_write(s->log, LOG_WARNING,
                  "synchronous_standby_names of the source names this connection (application_name "
                  "\"%s\", sync_state %s): commits there wait until every sink has them, and for "
                  "ever while one is down",
                  PQparameterStatus(s->source->conn, "application_name"), state);
    s->said_synchronous = synchronous;
}

static int
serve_ack(struct stream *s, const struct turn *turn, struct err *err)
{
    struct ack_slot slot;

    if (turn->fds[SLOT_ACK].revents != 0) {
        if (acklink_flush(s->ack, err) != 0)
            return -1;
        if (take_acks(s, err) != 0)
            return -1;
    }
    if (!slotwatch_step(s->watch, turn->fds[SLOT_WATCH].revents != 0, &slot)) {
        if (s->watch->refused->code == EXIT_DONE)
            return 0;
        *err = *s->watch->refused;
        return -1;
    }
    say_synchronous(s);
    slot.output_full = (s->more_in_libpq && !s->ask.waiting) || buf_len(&s->out) >= OUT_LIMIT;
    return acklink_slot(s->ack, &slot, err);
}

static int
serve_source(struct stream *s, const struct turn *turn, struct err *err)
{
    short revents = turn->fds[SLOT_SOURCE].revents;

    if ((revents & POLLOUT) != 0 && flush_to_server(s, err) != 0)
        return -1;
    if (s->stopping)
        return 0;
    if (s->more_in_libpq)
        return has_room_for_more(s) ? read_source(s, err) : 0;
    if (!wants_source(s)) {
        /* We do not read now, but must notice a connection that broke. */
        if ((revents & (POLLERR | POLLHUP)) != 0)
            return read_source(s, err);
        return 0;
    }
    if ((revents & ~POLLOUT) != 0 || turn->gather || (s->lowwater.busy && turn->timed_out))
        return read_source(s, err);
    return 0;
}

static int
serve_out(struct stream *s, const struct turn *turn, struct err *err)
{
    if ((turn->fds[SLOT_OUT].revents & POLLERR) != 0 && buf_len(&s->out) == 0) {
        err_set(err, EXIT_PEER, "the next program in the pipeline is gone");
        return err_neighbour(err);
    }
    if (s->out_closed)
        return 0;
    if (write_out(s, err) != 0)
        return -1;
    if (s->stopping && buf_len(&s->out) == 0) {
        close(s->out_fd);
        s->out_closed = true;
    }
    return 0;
}

static bool
finished(const struct stream *s)
{
    return s->out_closed && (s->ack == NULL || s->ack->drained);
}

static int
take_turn(struct stream *s, struct err *err)
{
    struct turn turn;

    if (wait_for_events(s, &turn, err) != 0)
        return -1;
    if (turn.fds[SLOT_SIGNAL].revents != 0 && take_signal(s, err) != 0)
        return -1;
    if (s->ack != NULL) {
        if (serve_ack(s, &turn, err) != 0)
            return -1;
    } else if (clock_micros() >= s->feedback_deadline && send_sign_of_life(s, err) != 0) {
        return -1;
    }
    if (tableask_step(&s->ask, turn.fds[SLOT_ASK].revents != 0, err) != 0)
        return -1;
    s->heard |= (turn.fds[SLOT_SOURCE].revents & POLLIN) != 0;
    if (check_server(s, err) != 0 || serve_source(s, &turn, err) != 0)
        return -1;
    return serve_out(s, &turn, err);
}

int
stream_run(struct stream *s, const struct hello *hello, struct err *err)
{
    size_t messages;

    if (PQsetnonblocking(s->source->conn, 1) != 0)
        return pqx_error(s->source->conn, NULL, "make the replication connection non-blocking",
                         err);
    if (s->ack != NULL)
        acklink_make_nonblocking(s->ack);
    if (hello_encode(&s->out, hello) != 0)
        return out_of_memory(err);
    s->lowwater = lowwater_start(PQsocket(s->source->conn));
    s->received_lsn = s->start_lsn = hello->start_lsn;
    s->heard_at = clock_micros();
    /* Messages that came together with the answer to START_REPLICATION are in libpq's buffer
     * already, and poll does not see them. */
    if (take_messages(s, &messages, err) != 0 || tell_received(s, false, err) != 0)
        return -1;
    while (!finished(s))
        if (take_turn(s, err) != 0)
            return -1;
    lowwater_end(&s->lowwater, PQsocket(s->source->conn));
    source_say_goodbye(s->source);
    return 0;
}
