/* position.c: see position.h. */
#include "walpipe/compare/position.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/lsn.h"
#include "lib/pqx.h"
#include "lib/statedir.h"
#include "walpipe/status.h"

/* A sink that is further behind than this is not waited for. */
#define REACH_PATIENCE_MICROS  (60 * INT64_C(1000000))
#define SETTLE_PATIENCE_MICROS (10 * INT64_C(1000000))
#define LOOK_MILLIS            50

/* ---- the sink ---- */

static int
read_lsn(PGconn *source, const char *sql, uint64_t *lsn, struct err *err)
{
    static const char what[] = "read the position of the source's WAL";
    PGresult *row = pqx_shaped(pqx_exec(source, what, sql, err), what, 1, 1, "v", err);
    bool read;

    if (row == NULL)
        return -1;
    read = lsn_parse(PQgetvalue(row, 0, 0), lsn);
    PQclear(row);
    return read ? 0 : err_set(err, EXIT_PEER, "could not %s", what);
}

int
position_of_source(PGconn *source, uint64_t *lsn, struct err *err)
{
    return read_lsn(source, "SELECT pg_current_wal_insert_lsn()", lsn, err);
}

/* WAL that is not flushed is not sent. When the WAL writer has had its time, there is no commit in
 * it, and a quiet source may not flush it for long. */
static int
lower(const struct position *p, uint64_t *lsn, struct err *err)
{
    uint64_t flushed;

    if (read_lsn(p->source, "SELECT pg_current_wal_flush_lsn()", &flushed, err) != 0)
        return -1;
    if (flushed < *lsn)
        *lsn = flushed;
    return 0;
}

static int
writer_delay(const struct position *p, int64_t *micros, struct err *err)
{
    static const char what[] = "read a setting of the source";
    PGresult *row =
        pqx_shaped(pqx_exec(p->source, what,
                            "SELECT setting FROM pg_settings WHERE name = 'wal_writer_delay'", err),
                   what, 1, 1, "v", err);

    if (row == NULL)
        return -1;
    *micros = 3000 * strtoll(PQgetvalue(row, 0, 0), NULL, 10);
    PQclear(row);
    return 0;
}

/* The lowest position of the sink's workers, as ackd reports it. */
static void
ask_ackd(struct position *p)
{
    struct err err = {0};
    uint32_t workers = 0;

    p->reached = 0;
    if (status_ask(p->config, p->status, &err) != 0) {
        snprintf(p->why, sizeof p->why, "%.500s", err.message);
        return;
    }
    p->reached = UINT64_MAX;
    for (uint32_t i = 0; i < p->status->workers_count; i++) {
        const struct ack_worker_status *w = &p->status->workers[i];

        if (strcmp(w->sink, p->sink->name) != 0)
            continue;
        workers++;
        if (!w->registered || w->paused_since != 0 || w->reached_lsn == 0)
            p->reached = 0;
        else if (w->reached_lsn < p->reached)
            p->reached = w->reached_lsn;
    }
    if (workers == 0 || p->reached == UINT64_MAX)
        p->reached = 0;
    if (p->reached == 0)
        snprintf(p->why, sizeof p->why, "not every worker of the sink runs");
}

/* Another instance of walpipe may read the slot, on another machine. All sinks have reached the
 * position that it has confirmed. Sets *active if some instance reads it. */
static int
ask_slot(struct position *p, bool *active, struct err *err)
{
    static const char what[] = "read the slot";
    const char *params[] = {p->config->source.slot};
    PGresult *row = pqx_shaped(
        pqx_exec_params(p->source, what,
                        "SELECT confirmed_flush_lsn FROM pg_replication_slots"
                        " WHERE slot_name = $1 AND active AND confirmed_flush_lsn IS NOT NULL",
                        1, params, err),
        what, 0, 1, "v", err);

    if (row == NULL)
        return -1;
    *active = PQntuples(row) == 1;
    if (*active && !lsn_parse(PQgetvalue(row, 0, 0), &p->reached))
        p->reached = 0;
    PQclear(row);
    return 0;
}

/* Sets reached, and *runs unless no instance of walpipe runs. */
static int
look(struct position *p, bool *runs, struct err *err)
{
    bool active = true;

    ask_ackd(p);
    if (p->reached == 0 && ask_slot(p, &active, err) != 0)
        return -1;
    *runs = active || statedir_is_run(p->config->state_dir);
    return 0;
}

int
position_wait(struct position *p, uint64_t lsn, struct err *err)
{
    uint64_t begun = clock_micros();
    int64_t delay = -1;

    for (;;) {
        int64_t waited = (int64_t)(clock_micros() - begun);
        bool runs;

        if (look(p, &runs, err) != 0)
            return -1;
        if (p->reached >= lsn)
            return 0;
        if (!runs || waited > REACH_PATIENCE_MICROS || p->gave_up) {
            if (p->reached != 0)
                snprintf(p->why, sizeof p->why, "the sink has reached only %s, of %s",
                         lsn_format(p->reached).text, lsn_format(lsn).text);
            p->gave_up = true;
            return 1;
        }
        if (delay < 0 && waited > 1000000 && writer_delay(p, &delay, err) != 0)
            return -1;
        if (delay >= 0 && waited > 1000000 + delay && lower(p, &lsn, err) != 0)
            return -1;
        poll(NULL, 0, LOOK_MILLIS);
    }
}

/* ---- the source ---- */

/* A transaction releases the lock on its id after it has become visible. Those of other databases
 * do not matter. */
static const char running_sql[] =
    "SELECT DISTINCT l.virtualtransaction || ' ' || coalesce(l.pid::text, '')"
    " FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'transactionid' AND l.granted AND l.mode = 'ExclusiveLock'"
    " AND coalesce(a.datname = current_database(), true)";

static PGresult *
running(const struct position *p, struct err *err)
{
    static const char what[] = "list the transactions that run";

    return pqx_shaped(pqx_exec(p->source, what, running_sql, err), what, 0, PQX_ROWS, "v", err);
}

static bool
has_line(const PGresult *rows, const char *line)
{
    for (int i = 0; i < PQntuples(rows); i++)
        if (strcmp(PQgetvalue(rows, i, 0), line) == 0)
            return true;
    return false;
}

static bool
any_left(const PGresult *before, const PGresult *now)
{
    for (int i = 0; i < PQntuples(before); i++)
        if (has_line(now, PQgetvalue(before, i, 0)))
            return true;
    return false;
}

/* Without synchronous standbys nothing holds a transaction between its commit and the moment when
 * others see it. */
static int
ask_synchronous(const struct position *p, bool *synchronous, struct err *err)
{
    static const char what[] = "read a setting of the source";
    PGresult *row = pqx_shaped(
        pqx_exec(p->source, what, "SELECT current_setting('synchronous_standby_names') <> ''", err),
        what, 1, 1, "v", err);

    if (row == NULL)
        return -1;
    *synchronous = PQgetvalue(row, 0, 0)[0] == 't';
    PQclear(row);
    return 0;
}

static int
give_up(struct position *p, struct err *err)
{
    bool synchronous;

    if (ask_synchronous(p, &synchronous, err) != 0)
        return -1;
    if (synchronous)
        snprintf(p->why, sizeof p->why,
                 "a transaction of the source is open, and may be waiting for a standby");
    return synchronous ? 1 : 0;
}

int
position_settle(struct position *p, struct err *err)
{
    uint64_t begun = clock_micros();
    PGresult *before = running(p, err);
    bool left = before != NULL && PQntuples(before) > 0;
    int rc = before == NULL ? -1 : 0;

    while (rc == 0 && left) {
        PGresult *now;

        if ((int64_t)(clock_micros() - begun) > SETTLE_PATIENCE_MICROS) {
            rc = give_up(p, err);
            break;
        }
        poll(NULL, 0, LOOK_MILLIS);
        now = running(p, err);
        if (now == NULL)
            rc = -1;
        else
            left = any_left(before, now);
        PQclear(now);
    }
    PQclear(before);
    return rc;
}
