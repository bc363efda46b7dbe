/* loop.c: polls the listener, the connections and the HTTP server, and hands frames to their
 * handlers. */
#include "ackd/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ackd/confirm.h"
#include "ackd/control.h"
#include "ackd/copier.h"
#include "ackd/http.h"
#include "ackd/plots.h"
#include "ackd/report.h"
#include "ackd/source.h"
#include "ackd/worker.h"
#include "lib/clock.h"
#include "lib/sock.h"

#define ACCEPT_PAUSE_MICROS UINT64_C(1000000)

/* More than a Unix socket's buffer holds, so that everything written before we began is read. */
#define HEAR_FIRST_FILLS 16

/* ---- messages ---- */

struct peer_name {
    char text[sizeof(struct worker_name) + 16];
};

static struct peer_name
peer_name(const struct ackd *a, const struct conn *conn)
{
    struct peer_name out = {"a peer that is not registered"};

    if (conn->role == CONN_READER)
        snprintf(out.text, sizeof out.text, "pg-wal-read");
    if (conn->role == CONN_COPIER)
        snprintf(out.text, sizeof out.text, "pg-table-read");
    if (conn->role == CONN_WORKER)
        snprintf(out.text, sizeof out.text, "worker %s",
                 ackd_worker_name(a, &a->workers[conn->worker]).text);
    return out;
}

/* The run ends with this connection. */
static bool
is_member(const struct conn *conn)
{
    return conn->role == CONN_READER || conn->role == CONN_WORKER;
}

/* A message came that must not come. An unknown peer is disconnected. A member of the run has a
 * bug. */
static int
unwelcome(const struct ackd *a, struct conn *conn, const char *what, struct err *err)
{
    if (is_member(conn))
        return err_set(err, EXIT_BUG, "%s: %s", peer_name(a, conn).text, what);
    log_write(&a->log, LOG_WARNING, "closed the connection of %s: %s", peer_name(a, conn).text,
              what);
    conn->closing = true;
    return 0;
}

static int
send_status(struct ackd *a, struct conn *conn, struct err *err)
{
    struct buf frames = {0};
    int result = report_status(a, &frames);

    if (result != 0)
        err_set(err, EXIT_PEER, "out of memory for a status");
    else
        result = conn_send_frames(conn, &frames, err);
    buf_free(&frames);
    if (result == 0 || is_member(conn))
        return result;
    log_write(&a->log, LOG_WARNING, "closed the connection of %s: %s", peer_name(a, conn).text,
              err->message);
    conn->closing = conn->eof = true;
    return 0;
}

static int
reader_message(struct ackd *a, struct conn *conn, const struct ack_message *m, struct err *err)
{
    switch (m->type) {
    case ACK_RECEIVED:
        return source_received(a, &m->received, err);
    case ACK_SLOT:
        return source_slot(a, &m->slot, err);
    case ACK_DRAINING:
        return source_draining(a, err);
    default:
        return unwelcome(a, conn, "sent a message that is not pg-wal-read's", err);
    }
}

static int
copier_message(struct ackd *a, struct conn *conn, const struct ack_message *m, struct err *err)
{
    if (m->type == ACK_CONTROLLED) {
        control_answer(a, &m->controlled);
        return 0;
    }
    if (m->type != ACK_ASK)
        return unwelcome(a, conn, "sent a message that is not pg-table-read's", err);
    copier_ask(a, &m->ask);
    return 0;
}

/* The first message names the role of the peer. */
static int
first_message(struct ackd *a, struct conn *conn, const struct ack_message *m, struct err *err)
{
    if (m->type == ACK_REGISTER)
        return worker_register(a, conn, m, err);
    if (m->type == ACK_CONTROL) {
        control_request(a, conn, &m->control);
        return 0;
    }
    if (m->type != ACK_COPIER)
        return unwelcome(a, conn,
                         "its first message was neither source, waiting, register, copier, "
                         "control nor status",
                         err);
    copier_hello(a, conn, m);
    return 0;
}

/* The message is from pg-wal-read, which may send it more than once. */
static bool
may_begin_run(const struct conn *conn)
{
    return conn->role == CONN_NEW || conn->role == CONN_READER;
}

static int
dispatch(struct ackd *a, struct conn *conn, const struct ack_message *m, struct err *err)
{
    if (m->type == ACK_STATUS_REQUEST)
        return send_status(a, conn, err);
    if (m->type == ACK_SOURCE && may_begin_run(conn))
        return source_hello(a, conn, m, err);
    if (m->type == ACK_WAITING && may_begin_run(conn))
        return source_waiting(a, conn, m, err);
    if (conn->role == CONN_NEW)
        return first_message(a, conn, m, err);
    if (!a->running || !run_id_equal(&m->run_id, &a->run_id))
        return unwelcome(a, conn, "sent a message of another run than its own", err);
    if (conn->role == CONN_READER)
        return reader_message(a, conn, m, err);
    if (conn->role == CONN_COPIER)
        return copier_message(a, conn, m, err);
    return worker_message(a, &a->workers[conn->worker], m, err);
}

/* Acts on every whole frame that was read. */
static int
take_frames(struct ackd *a, struct conn *conn, struct err *err)
{
    struct ack_message message;
    struct frame frame;
    struct err why = {0};

    while (!conn->closing) {
        switch (frame_next(&conn->in, &frame, &why)) {
        case FRAME_NEED_MORE:
            frame_reader_trim(&conn->in);
            return 0;
        case FRAME_BAD:
            return unwelcome(a, conn, why.message, err);
        case FRAME_READY:
            break;
        }
        if (ackmsg_decode(&frame, &message, &why) != 0)
            return unwelcome(a, conn, why.message, err);
        if (dispatch(a, conn, &message, err) != 0)
            return -1;
    }
    return 0;
}

/* Reads once. Returns true if something came. More may be left. */
static bool
read_once(struct ackd *a, struct conn *conn)
{
    struct err why = {0};

    switch (frame_fill(&conn->in, conn->fd, &why)) {
    case FILL_READ:
        return true;
    case FILL_AGAIN:
        return false;
    case FILL_EOF:
        if (buf_len(&conn->in.buf) > 0)
            log_write(&a->log, LOG_WARNING, "%s disconnected inside a message",
                      peer_name(a, conn).text);
        break;
    case FILL_FAILED:
        log_write(&a->log, LOG_WARNING, "lost %s: %s", peer_name(a, conn).text, why.message);
        break;
    }
    conn->eof = true;
    return false;
}

/* Reads everything that the peer has written so far and acts on it. peer is NULL if there is
 * none. */
static int
hear_first(struct ackd *a, struct conn *peer, struct err *err)
{
    for (int i = 0; i < HEAR_FIRST_FILLS && peer != NULL && !peer->eof && !peer->closing; i++) {
        if (!read_once(a, peer))
            return 0;
        if (take_frames(a, peer, err) != 0)
            return -1;
    }
    return 0;
}

/* pg-wal-read reports an LSN as received before it forwards the WAL, and pg-table-read asks about a
 * table before it sends it. But they use other sockets than the worker. So their messages are read
 * after a worker's bytes, and handled before them. */
static int
hear(struct ackd *a, struct conn *conn, struct err *err)
{
    if (!read_once(a, conn))
        return 0;
    if (conn->role != CONN_READER && hear_first(a, a->reader, err) != 0)
        return -1;
    if (conn->role == CONN_WORKER && hear_first(a, a->copier, err) != 0)
        return -1;
    return take_frames(a, conn, err);
}

/* ---- connections ---- */

static struct conn *
free_slot(struct ackd *a)
{
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (a->conns[i].fd < 0)
            return &a->conns[i];
    return NULL;
}

static void
accept_all(struct ackd *a)
{
    struct err why = {0};
    struct conn *slot;
    int fd;

    while ((fd = sock_accept(a->listener, &why)) != -2) {
        if (fd < 0) {
            log_write(&a->log, LOG_WARNING, "%s", why.message);
            if (why.code == EXIT_REFUSED)
                continue;
            /* We are out of descriptors, for example. The listener stays readable, so ignore it for
             * a moment. */
            a->accept_again_at = clock_micros() + ACCEPT_PAUSE_MICROS;
            return;
        }
        slot = free_slot(a);
        if (slot != NULL) {
            conn_open(slot, fd);
            continue;
        }
        log_write(&a->log, LOG_WARNING, "closed a connection: there are %u already",
                  (unsigned)CONNS_MAX);
        close(fd);
    }
}

static int
bury(struct ackd *a, struct conn *conn, struct err *err)
{
    enum conn_role role = conn->role;
    uint32_t worker = conn->worker;

    conn_close(conn);
    control_conn_gone(a, conn);
    if (role == CONN_READER)
        return source_gone(a, err);
    if (role == CONN_COPIER) {
        copier_gone(a);
        control_copier_gone(a);
    }
    return role == CONN_WORKER ? worker_gone(a, &a->workers[worker], err) : 0;
}

static bool
is_over(const struct conn *conn)
{
    return conn->fd >= 0 && (conn->eof || (conn->closing && buf_len(&conn->out) == 0));
}

/* Workers come before the reader. When a sink dies all others follow, and the log should name the
 * sink. */
static int
sweep(struct ackd *a, struct err *err)
{
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (is_over(&a->conns[i]) && a->conns[i].role != CONN_READER &&
            bury(a, &a->conns[i], err) != 0)
            return -1;
    return a->reader != NULL && is_over(a->reader) ? bury(a, a->reader, err) : 0;
}

/* ---- poll ---- */

/* Slots of the poll set. Connections follow in the order of conns. */
enum { POLL_LISTENER, POLL_HTTP, POLL_CONNS };

struct poll_set {
    struct pollfd fds[POLL_CONNS + CONNS_MAX];
    nfds_t count; /* up to the last slot in use, because poll refuses more than RLIMIT_NOFILE */
};

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static void
fill_poll_set(const struct ackd *a, const struct http *http, uint64_t now, struct poll_set *set)
{
    bool listen = a->accept_again_at <= now;

    set->fds[POLL_LISTENER] = (struct pollfd){.fd = listen ? a->listener : -1, .events = POLLIN};
    set->fds[POLL_HTTP] =
        (struct pollfd){.fd = http == NULL ? -1 : http_descriptor(http), .events = POLLIN};
    set->count = POLL_CONNS;
    for (size_t i = 0; i < CONNS_MAX; i++) {
        const struct conn *conn = &a->conns[i];
        short in = conn->closing ? 0 : POLLIN;
        short out = buf_len(&conn->out) > 0 ? POLLOUT : 0;

        set->fds[POLL_CONNS + i] = (struct pollfd){.fd = conn->fd, .events = (short)(in | out)};
        if (conn->fd >= 0)
            set->count = POLL_CONNS + i + 1;
    }
}

static int
serve_conns(struct ackd *a, const struct poll_set *set, struct err *err)
{
    for (size_t i = 0; i < CONNS_MAX; i++) {
        struct conn *conn = &a->conns[i];
        short events = set->fds[POLL_CONNS + i].revents;

        /* The slot may hold another connection by now. That costs no more than an EAGAIN. */
        if (conn->fd < 0 || events == 0)
            continue;
        if ((events & POLLOUT) != 0)
            conn_flush(conn);
        if (conn->closing && (events & (POLLHUP | POLLERR)) != 0)
            conn->eof = true;
        if (!conn->closing && !conn->eof && (events & ~POLLOUT) != 0 && hear(a, conn, err) != 0)
            return -1;
    }
    return 0;
}

/* SIGTERM and SIGINT are unblocked only during this wait, so that none is missed. */
static int
poll_with_signals(struct poll_set *set, uint64_t deadline, const sigset_t *waiting)
{
    int millis = clock_poll_timeout(deadline);
    struct timespec t = {.tv_sec = millis / 1000, .tv_nsec = millis % 1000 * 1000000L};

    return ppoll(set->fds, set->count, millis < 0 ? NULL : &t, waiting);
}

static int
wait_for_events(struct ackd *a, struct http *http, struct poll_set *set, const sigset_t *waiting,
                struct err *err)
{
    uint64_t now = clock_micros();
    uint64_t deadline = confirm_deadline(a);

    if (http != NULL)
        deadline = earlier(deadline, earlier(http_deadline(http, now), plots_deadline(a)));
    if (a->accept_again_at > now)
        deadline = earlier(deadline, a->accept_again_at);
    fill_poll_set(a, http, now, set);
    if (poll_with_signals(set, deadline, waiting) >= 0)
        return 0;
    if (errno != EINTR)
        return err_set(err, EXIT_PEER, "could not wait for events: %s", strerror(errno));
    for (size_t i = 0; i < POLL_CONNS + CONNS_MAX; i++)
        set->fds[i].revents = 0;
    /* SIGTERM or SIGINT. During a run pg-wal-read stops, and we wait for its end. */
    if (!a->running) {
        log_write(&a->log, LOG_INFO, "stopped before a run began");
        a->done = true;
    }
    return 0;
}

int
loop_run(struct ackd *a, struct http *http, struct err *err)
{
    struct poll_set set;
    sigset_t stop, waiting;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, &waiting);
    while (!a->done) {
        if (wait_for_events(a, http, &set, &waiting, err) != 0)
            return -1;
        if (serve_conns(a, &set, err) != 0 || sweep(a, err) != 0)
            return -1;
        if ((set.fds[POLL_LISTENER].revents & POLLIN) != 0)
            accept_all(a);
        if (confirm_turn(a, clock_micros(), err) != 0)
            return -1;
        if (http != NULL) {
            plots_turn(a, clock_micros());
            http_turn(http);
        }
    }
    return 0;
}
