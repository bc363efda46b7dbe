/* late.c: see late.h. */
#include "pg-table-read/late.h"

bool
late_is(const struct copy *copy, const struct life *life)
{
    return state_has_ackd(copy) && !life->early && PQserverVersion(copy->conn) < 140000;
}

/* ackd does not send by itself how far all workers are. It is asked with a status request, over
 * another connection. */
static int
ask_ackd(const struct copy *copy, uint64_t lsn, bool *confirmed, struct err *err)
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
        *confirmed = status.safe_lsn >= lsn;
    ackconn_close(&conn);
    return rc;
}

static int
end_run(const struct life *life, struct err *err)
{
    return err_set(err, EXIT_PEER,
                   "%s: what is published of it has changed; a server before PostgreSQL 14 "
                   "publishes it rightly to a new connection only, so the run begins anew",
                   life->part->name);
}

int
late_look(struct copy *copy, struct life *life, bool look, struct err *err)
{
    bool confirmed = false;

    if (life->state == LIFE_WANTED) {
        life->state = LIFE_LATE;
        life->floor = 0;
        return waiting_begin(&life->waiting, copy->conn, "", true, err);
    }
    if (!look)
        return 0;
    if (life->waiting.left > 0)
        return waiting_look(&life->waiting, copy->conn, err);
    if (life->floor == 0)
        return session_insert_lsn(copy->conn, &life->floor, err);
    if (ask_ackd(copy, life->floor, &confirmed, err) != 0)
        return -1;
    return confirmed ? end_run(life, err) : 0;
}
