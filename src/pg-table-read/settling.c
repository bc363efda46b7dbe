/* settling.c: see settling.h. */
#include "pg-table-read/settling.h"

/* The position that all workers of this run have. A paused sink, which has none, takes no part in
 * copies, but holds the safe LSN. Without one the safe LSN is this position. */
static uint64_t
position_of_all(const struct ack_status *s)
{
    uint64_t lsn = s->received_lsn;
    bool paused = false;

    for (uint32_t i = 0; i < s->workers_count; i++) {
        const struct ack_worker_status *w = &s->workers[i];

        paused = paused || w->paused_since != 0;
        if (w->paused_since == 0 && w->reached_lsn < lsn)
            lsn = w->reached_lsn;
    }
    return paused ? lsn : s->safe_lsn;
}

/* ackd does not send the position of all workers by itself, so it is asked with a status request,
 * over another connection. */
static int
ask_ackd(const struct copy *copy, uint64_t *safe_lsn, struct err *err)
{
    static struct ack_status status;
    struct ack_message message = {.type = ACK_STATUS_REQUEST};
    struct ackconn conn;
    int rc = ackconn_open(&conn, copy->options->ackd, 0, err);

    if (rc == 0)
        rc = ackconn_say(&conn, &message, err);
    if (rc == 0)
        rc = ackconn_hear(&conn, &message, err);
    if (rc == 0 && (message.type != ACK_STATUS || !ackmsg_status_decode(message.status, &status)))
        rc = err_set(err, EXIT_BUG, "ackd does not answer with its status");
    if (rc == 0)
        *safe_lsn = position_of_all(&status);
    ackconn_close(&conn);
    return rc;
}

int
settling_reach(const struct copy *copy, uint64_t *reach, struct err *err)
{
    return session_position(copy->conn, &copy->server, reach, err);
}

/* Transactions that ran when the change was seen may have written to the table before. */
static int
wait_for_transactions(const struct copy *copy, struct life *life, struct err *err)
{
    struct waiting *w = &life->waiting;

    if (w->sql == NULL ? waiting_begin(w, copy->conn, "", true, err) != 0
                       : waiting_look(w, copy->conn, err) != 0)
        return -1;
    if (w->left > 0)
        return 0;
    waiting_free(w);
    return settling_reach(copy, &life->reach, err);
}

int
settling_reached(struct copy *copy, uint64_t reach, struct err *err)
{
    if (copy->safe_lsn < reach && copy->safe_at != copy->look_at) {
        if (ask_ackd(copy, &copy->safe_lsn, err) != 0)
            return -1;
        copy->safe_at = copy->look_at;
    }
    return copy->safe_lsn >= reach;
}

int
settling_look(struct copy *copy, struct life *life, bool look, struct err *err)
{
    if (look && life->reach == 0 && wait_for_transactions(copy, life, err) != 0)
        return -1;
    return life->reach == 0 ? 0 : settling_reached(copy, life->reach, err);
}

int
settling_check_server(const struct copy *copy, const struct life *life, struct err *err)
{
    if (life->early || PQserverVersion(copy->conn) >= 140000)
        return 0;
    return err_set(err, EXIT_PEER,
                   "%s: what is published of it has changed; a server before PostgreSQL 14 "
                   "publishes it correctly only to a new connection, so the run begins again",
                   life->part->name);
}
