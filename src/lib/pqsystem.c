/* pqsystem.c: see pqsystem.h. */
#include "lib/pqsystem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/opt.h"
#include "lib/pqx.h"

static const char *
field(const PGresult *result, const char *column)
{
    int n = PQfnumber(result, column);

    return n < 0 || PQgetisnull(result, 0, n) ? "" : PQgetvalue(result, 0, n);
}

static int
identify(PGconn *conn, struct pqsystem *system, struct err *err)
{
    static const char what[] = "identify the source";
    PGresult *result = pqx_exec(conn, what, "IDENTIFY_SYSTEM", err);
    uint64_t timeline;
    int ok;

    result = pqx_shaped(result, what, 1, 1, "vvvv", err);
    if (result == NULL)
        return -1;
    ok = opt_number("systemid", field(result, "systemid"), 1, UINT64_MAX, &system->identifier,
                    err) == 0 &&
         opt_number("timeline", field(result, "timeline"), 1, UINT32_MAX, &timeline, err) == 0;
    system->timeline = ok ? (uint32_t)timeline : 0;
    snprintf(system->database, sizeof system->database, "%s", field(result, "dbname"));
    PQclear(result);
    if (!ok)
        return err_set(err, EXIT_PEER, "the source's answer to IDENTIFY_SYSTEM is malformed");
    return 0;
}

/* The history file has a line for each timeline that led to this one, such as
 * "1\t0/3000060\treason". */
static void
take_history(struct pqsystem *system, char *text)
{
    char *rest = NULL;

    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        unsigned timeline, high, low;

        if (sscanf(line, "%u\t%X/%X", &timeline, &high, &low) != 3)
            continue;
        system->previous_timeline = timeline;
        system->switch_lsn = (uint64_t)high << 32 | low;
    }
}

/* Finds the LSN where the timeline began. A timeline without history has no such answer, and
 * positions of other timelines are then refused. */
static void
read_history(PGconn *conn, struct pqsystem *system)
{
    static const char what[] = "read the timeline's history";
    struct err ignored = {0};
    PGresult *result;
    char sql[64];

    system->previous_timeline = 0;
    system->switch_lsn = 0;
    if (system->timeline < 2)
        return;
    snprintf(sql, sizeof sql, "TIMELINE_HISTORY %" PRIu32, system->timeline);
    result = pqx_exec(conn, what, sql, &ignored);
    result = pqx_shaped(result, what, 1, 1, "vv", &ignored);
    if (result != NULL)
        take_history(system, PQgetvalue(result, 0, 1));
    PQclear(result);
}

int
pqsystem_identify(PGconn *conn, struct pqsystem *system, struct err *err)
{
    *system = (struct pqsystem){0};
    if (identify(conn, system, err) != 0)
        return -1;
    read_history(conn, system);
    return 0;
}
