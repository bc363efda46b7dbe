/* tableask.c: see tableask.h. This file knows only one thing of a pgoutput message. One that
 * begins with an R announces the table whose oid follows. */
#include "pg-wal-read/tableask.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/pgtableinfo.h"
#include "lib/pqconn.h"
#include "lib/pqx.h"

#define WAIT_MICROS  UINT64_C(5000000)
#define RETRY_MICROS UINT64_C(30000000)

void
tableask_init(struct tableask *ask, const struct source_options *options, const struct log *log,
              struct buf *out)
{
    *ask = (struct tableask){.options = options, .log = log, .out = out};
}

static void
disconnect(struct tableask *ask)
{
    PQfinish(ask->conn);
    ask->conn = NULL;
    ask->state = TABLEASK_CLOSED;
}

void
tableask_free(struct tableask *ask)
{
    disconnect(ask);
}

void
tableask_stop(struct tableask *ask)
{
    if (ask->waiting)
        disconnect(ask);
    ask->waiting = false;
}

int
tableask_fd(const struct tableask *ask)
{
    return ask->waiting && ask->conn != NULL ? PQsocket(ask->conn) : -1;
}

/* The stream continues without the answer. */
static void
give_up(struct tableask *ask, const char *why)
{
    log_write(ask->log, ask->said ? LOG_DEBUG : LOG_WARNING,
              "could not ask the source's catalog about table oid %" PRIu32
              ": %s; sinks do not get its primary key and defaults",
              ask->relid, why);
    ask->said = true;
    disconnect(ask);
    ask->waiting = false;
    ask->retry_at = clock_micros() + RETRY_MICROS;
}

static void
give_up_on_connection(struct tableask *ask)
{
    struct err err = {0};

    pqx_error(ask->conn, NULL, "connect", &err);
    give_up(ask, err.message);
}

static void
start_connecting(struct tableask *ask)
{
    static const struct pqconn_keyword forced[] = {{"application_name", "walpipe tables"}};
    struct err err = {0};

    ask->reused = false;
    ask->conn = pqconn_start(ask->options->conninfo, forced, 1, &err);
    ask->state = TABLEASK_CONNECTING;
    ask->events = POLLOUT;
    if (ask->conn == NULL)
        give_up(ask, err.message);
    else if (PQstatus(ask->conn) == CONNECTION_BAD)
        give_up_on_connection(ask);
}

static void
send_question(struct tableask *ask)
{
    char relid[16], *sql;
    bool sent;

    snprintf(relid, sizeof relid, "%" PRIu32, ask->relid);
    sql = pgtableinfo_question(PQserverVersion(ask->conn), relid);
    sent = sql != NULL && PQsendQuery(ask->conn, sql) == 1;
    free(sql);
    ask->state = TABLEASK_ASKED;
    ask->events = POLLIN;
    if (sent)
        return;
    if (!ask->reused) {
        give_up_on_connection(ask);
        return;
    }
    disconnect(ask);
    start_connecting(ask);
}

void
tableask_message(struct tableask *ask, struct bytes message)
{
    struct cursor c = cursor_over(message.data, message.len);
    uint8_t tag;

    if (ask->out == NULL || !cursor_u8(&c, &tag) || tag != 'R' || !cursor_u32(&c, &ask->relid) ||
        clock_micros() < ask->retry_at)
        return;
    ask->waiting = true;
    ask->deadline = clock_micros() + WAIT_MICROS;
    if (ask->state == TABLEASK_CLOSED) {
        start_connecting(ask);
        return;
    }
    ask->reused = true;
    send_question(ask);
}

static void
go_on_connecting(struct tableask *ask)
{
    switch (PQconnectPoll(ask->conn)) {
    case PGRES_POLLING_READING:
        ask->events = POLLIN;
        break;
    case PGRES_POLLING_WRITING:
        ask->events = POLLOUT;
        break;
    case PGRES_POLLING_OK:
        send_question(ask);
        break;
    default:
        give_up_on_connection(ask);
        break;
    }
}

/* Puts the answer into the stream. A table that has been dropped since has none. */
static int
put_answer(struct tableask *ask, const PGresult *result, struct err *err)
{
    struct tableinfo info = {0};
    int at = 0, rc = pgtableinfo_take(result, &at, &info, err), full = 0;

    if (rc == 0)
        full = tableinfo_encode(ask->out, FRAME_WAL_TABLEINFO, &info);
    tableinfo_free(&info);
    if (rc < 0)
        give_up(ask, err->message);
    return full == 0 ? 0 : err_set(err, EXIT_PEER, "out of memory for a table's description");
}

/* Takes one of the query's results. The connection is made anew if it may have been closed since
 * the last one. */
static int
take_result(struct tableask *ask, const PGresult *result, struct err *err)
{
    struct err why = {0};

    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
        return 0;
    case PGRES_TUPLES_OK:
        return put_answer(ask, result, err);
    default:
        break;
    }
    if (ask->reused) {
        disconnect(ask);
        start_connecting(ask);
        return 0;
    }
    pqx_error(ask->conn, result, "read it", &why);
    give_up(ask, why.message);
    return 0;
}

static int
take_answer(struct tableask *ask, struct err *err)
{
    /* A failure here shows in the results. */
    (void)PQconsumeInput(ask->conn);
    while (ask->state == TABLEASK_ASKED && !PQisBusy(ask->conn)) {
        PGresult *result = PQgetResult(ask->conn);
        int rc;

        if (result == NULL) {
            ask->state = TABLEASK_IDLE;
            ask->waiting = ask->said = false;
            return 0;
        }
        rc = take_result(ask, result, err);
        PQclear(result);
        if (rc != 0)
            return -1;
    }
    return 0;
}

int
tableask_step(struct tableask *ask, bool ready, struct err *err)
{
    if (!ask->waiting)
        return 0;
    if (ready && ask->state == TABLEASK_CONNECTING)
        go_on_connecting(ask);
    else if (ready)
        return take_answer(ask, err);
    else if (clock_micros() >= ask->deadline)
        give_up(ask, "no answer came");
    return 0;
}
