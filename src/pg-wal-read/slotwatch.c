/* slotwatch.c: see slotwatch.h. */
#include "pg-wal-read/slotwatch.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/lsn.h"
#include "lib/pqconn.h"
#include "lib/pqx.h"
#include "pg-wal-read/published.h"

#define ASK_EVERY_MICROS UINT64_C(5000000)
#define GIVE_UP_MICROS   UINT64_C(15000000)
#define TRY_AGAIN_MICROS UINT64_C(30000000)
#define REFUSED_MICROS   UINT64_C(1000000)
#define TABLES_EVERY     4 /* questions */

void
slotwatch_init(struct slotwatch *watch, const struct source_options *options, struct err *refused)
{
    *watch = (struct slotwatch){.options = options, .refused = refused, .deadline = clock_micros()};
}

void
slotwatch_free(struct slotwatch *watch)
{
    PQfinish(watch->conn);
    watch->conn = NULL;
}

int
slotwatch_fd(const struct slotwatch *watch)
{
    return watch->conn == NULL ? -1 : PQsocket(watch->conn);
}

static void
give_up(struct slotwatch *watch)
{
    slotwatch_free(watch);
    watch->state = SLOTWATCH_WAITING;
    watch->deadline = clock_micros() + TRY_AGAIN_MICROS;
}

/* "cannot_connect_now". While the source streams to us, that means that it shuts down. */
static bool
lets_nobody_in(const struct slotwatch *watch)
{
    char sqlstate[6];

    return pqconn_sqlstate(watch->conn, sqlstate) && strcmp(sqlstate, "57P03") == 0;
}

static void
connection_failed(struct slotwatch *watch)
{
    bool refused = lets_nobody_in(watch);

    give_up(watch);
    if (!refused)
        return;
    if (watch->refused_since == 0)
        watch->refused_since = clock_micros();
    watch->deadline = clock_micros() + REFUSED_MICROS;
}

static void
start_connecting(struct slotwatch *watch)
{
    static const struct pqconn_keyword forced[] = {{"application_name", "walpipe slotwatch"}};
    struct err ignored = {0};

    watch->conn = pqconn_start(watch->options->conninfo, forced, 1, &ignored);
    if (watch->conn == NULL || PQstatus(watch->conn) == CONNECTION_BAD) {
        give_up(watch);
        return;
    }
    watch->state = SLOTWATCH_CONNECTING;
    watch->events = POLLOUT;
    watch->deadline = clock_micros() + GIVE_UP_MICROS;
}

/* The query is under way, or it could not be sent. */
static void
asked(struct slotwatch *watch, bool sent)
{
    if (!sent) {
        give_up(watch);
        return;
    }
    watch->state = SLOTWATCH_ASKED;
    watch->events = POLLIN;
    watch->deadline = clock_micros() + GIVE_UP_MICROS;
}

static void
ask_about_tables(struct slotwatch *watch)
{
    struct err ignored = {0};
    char *sql = published_question(watch->conn, watch->options, &ignored);

    asked(watch, sql != NULL && PQsendQuery(watch->conn, sql) == 1);
    free(sql);
}

static void
ask_about_slot(struct slotwatch *watch)
{
    bool has_status = PQserverVersion(watch->conn) >= 130000;
    const char *params[] = {watch->options->slot};
    char sql[768];

    /* A standby, from 16 on, has no WAL of its own. */
    snprintf(sql, sizeof sql,
             "SELECT lsn, restart_lsn, pg_catalog.pg_wal_lsn_diff(lsn, restart_lsn)::int8, "
             "coalesce(pg_catalog.age(catalog_xmin), 0), (SELECT sync_state "
             "FROM pg_catalog.pg_stat_replication WHERE pid = active_pid), (SELECT wait_event "
             "FROM pg_catalog.pg_stat_activity WHERE pid = active_pid), %s "
             "FROM pg_catalog.pg_replication_slots, (SELECT CASE WHEN "
             "pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() "
             "ELSE pg_catalog.pg_current_wal_lsn() END AS lsn) AS now WHERE slot_name = $1",
             has_status ? "wal_status, safe_wal_size" : "'', NULL");
    asked(watch, PQsendQueryParams(watch->conn, sql, 1, NULL, params, NULL, NULL, 0) == 1);
}

static void
ask(struct slotwatch *watch)
{
    watch->about_tables = watch->questions++ % TABLES_EVERY == TABLES_EVERY - 1;
    if (watch->about_tables)
        ask_about_tables(watch);
    else
        ask_about_slot(watch);
}

/* A query that fails is repeated, because only an answer can lead to a refusal. */
static void
take_tables(struct slotwatch *watch, const PGresult *result)
{
    struct err err = {0};

    if (PQresultStatus(result) == PGRES_TUPLES_OK && published_judge(result, &err) != 0 &&
        err.code == EXIT_REFUSED)
        *watch->refused = err;
}

static void
go_on_connecting(struct slotwatch *watch)
{
    switch (PQconnectPoll(watch->conn)) {
    case PGRES_POLLING_READING:
        watch->events = POLLIN;
        break;
    case PGRES_POLLING_WRITING:
        watch->events = POLLOUT;
        break;
    case PGRES_POLLING_OK:
        watch->refused_since = 0;
        ask(watch);
        break;
    default:
        connection_failed(watch);
        break;
    }
}

static bool
take_row(struct slotwatch *watch, const PGresult *result, struct ack_slot *slot)
{
    struct err ignored = {0};

    *slot = (struct ack_slot){.safe_wal_size = -1};
    if (PQresultStatus(result) != PGRES_TUPLES_OK ||
        pqx_shape(result, "read the slot's state", 1, 1, "v???????", &ignored) != 0 ||
        !lsn_parse(PQgetvalue(result, 0, 0), &slot->current_lsn))
        return false;
    if (!PQgetisnull(result, 0, 1) && !lsn_parse(PQgetvalue(result, 0, 1), &slot->restart_lsn))
        return false;
    slot->retained_bytes = strtoull(PQgetvalue(result, 0, 2), NULL, 10);
    slot->xmin_age = strtoull(PQgetvalue(result, 0, 3), NULL, 10);
    snprintf(slot->wal_status, sizeof slot->wal_status, "%s", PQgetvalue(result, 0, 6));
    if (!PQgetisnull(result, 0, 7))
        slot->safe_wal_size = strtoll(PQgetvalue(result, 0, 7), NULL, 10);
    snprintf(watch->sync_state, sizeof watch->sync_state, "%s", PQgetvalue(result, 0, 4));
    /* A walsender writes WAL without blocking. So this wait means that it writes its final
     * messages. */
    if (strcmp(PQgetvalue(result, 0, 5), "ClientWrite") == 0)
        watch->ending++;
    else
        watch->ending = 0;
    return true;
}

static bool
take_answer(struct slotwatch *watch, struct ack_slot *slot)
{
    PGresult *result;
    bool news = false;

    if (PQconsumeInput(watch->conn) != 1) {
        give_up(watch);
        return false;
    }
    while (!PQisBusy(watch->conn)) {
        result = PQgetResult(watch->conn);
        if (result == NULL) {
            watch->state = SLOTWATCH_WAITING;
            watch->deadline = clock_micros() + ASK_EVERY_MICROS;
            return news;
        }
        if (watch->about_tables)
            take_tables(watch, result);
        else
            news = take_row(watch, result, slot) || news;
        PQclear(result);
    }
    return news;
}

/* Between two queries the server sends something only when it ends the connection. The next
 * connection shows whether the server itself ends. */
static void
look_while_waiting(struct slotwatch *watch)
{
    if (PQconsumeInput(watch->conn) == 1 && PQstatus(watch->conn) == CONNECTION_OK)
        return;
    give_up(watch);
    watch->deadline = clock_micros();
}

bool
slotwatch_step(struct slotwatch *watch, bool ready, struct ack_slot *slot)
{
    bool late = clock_micros() >= watch->deadline;

    switch (watch->state) {
    case SLOTWATCH_WAITING:
        if (ready && watch->conn != NULL)
            look_while_waiting(watch);
        else if (late && watch->conn == NULL)
            start_connecting(watch);
        else if (late)
            ask(watch);
        return false;
    case SLOTWATCH_CONNECTING:
        if (ready)
            go_on_connecting(watch);
        else if (late)
            give_up(watch);
        return false;
    case SLOTWATCH_ASKED:
        if (ready)
            return take_answer(watch, slot);
        if (late)
            give_up(watch);
        return false;
    }
    return false;
}
