/* check.c: see check.h. */
#include "pg-wal-read/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/lsn.h"
#include "lib/pqx.h"
#include "lib/verdict.h"
#include "pg-wal-read/published.h"

static int
scalar(struct source *source, const char *sql, char *out, size_t size, struct err *err)
{
    static const char what[] = "look at the source";
    PGresult *result = pqx_shaped(pqx_exec(source->conn, what, sql, err), what, 1, 1, "v", err);

    if (result == NULL)
        return -1;
    snprintf(out, size, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return 0;
}

/* The number of a kind that the server allows, and the number in use. */
static void
check_room(struct verdicts *v, struct source *source, const char *setting, const char *used_sql)
{
    char sql[256], allowed[32], used[32];
    struct err err = {0};

    snprintf(sql, sizeof sql, "SELECT pg_catalog.current_setting('%s')", setting);
    if (scalar(source, sql, allowed, sizeof allowed, &err) != 0 ||
        scalar(source, used_sql, used, sizeof used, &err) != 0)
        verdict_fail(v, NULL, &err);
    else if (strtol(used, NULL, 10) < strtol(allowed, NULL, 10))
        verdict_say(v, VERDICT_OK, "%s = %s, %s in use", setting, allowed, used);
    else
        verdict_say(v, VERDICT_FAIL, "%s = %s, and %s are in use: raise it and restart the source",
                    setting, allowed, used);
}

static void
check_synchronous(struct verdicts *v, struct source *source)
{
    char names[256];
    struct err err = {0};

    if (scalar(source, "SELECT pg_catalog.current_setting('synchronous_standby_names')", names,
               sizeof names, &err) == 0 &&
        (strchr(names, '*') != NULL || strstr(names, "walpipe") != NULL))
        verdict_say(v, VERDICT_WARN,
                    "synchronous_standby_names = '%s' may name walpipe: commits on the source will "
                    "wait until every sink has them",
                    names);
}

static void
say_slot(struct verdicts *v, const struct source *source, const struct source_options *options)
{
    verdict_say(v, VERDICT_OK, "slot \"%s\": confirmed up to %s%s%s", options->slot,
                lsn_format(source->slot.confirmed_lsn).text,
                source->slot.wal_status[0] == '\0' ? "" : ", wal_status ", source->slot.wal_status);
    if (source->slot.active_pid != 0)
        verdict_say(v, VERDICT_WARN,
                    "slot \"%s\" is in use by process %d: walpipe will wait for it", options->slot,
                    source->slot.active_pid);
}

static void
check_slot(struct verdicts *v, struct source *source, const struct source_options *options)
{
    struct err err = {0};

    if (source_read_slot(source, options, &err) != 0) {
        verdict_fail(v, NULL, &err);
    } else if (!source->slot.exists && options->create_slot) {
        verdict_say(v, VERDICT_OK, "slot \"%s\" does not exist yet: it will be created",
                    options->slot);
        check_room(v, source, "max_replication_slots",
                   "SELECT count(*) FROM pg_catalog.pg_replication_slots");
    } else if (!source->slot.exists) {
        verdict_say(v, VERDICT_FAIL,
                    "slot \"%s\" does not exist: create it, or set create_slot = yes",
                    options->slot);
    } else if (source_check_slot(source, options, &err) != 0) {
        verdict_fail(v, NULL, &err);
    } else {
        say_slot(v, source, options);
    }
}

static void
check_published(struct verdicts *v, const struct source_options *options)
{
    struct err err = {0};

    switch (published_check(options, &err)) {
    case PUBLISHED_OK:
        break;
    case PUBLISHED_UNKNOWN:
        verdict_say(v, VERDICT_WARN, "could not look at the published tables: %s", err.message);
        break;
    case PUBLISHED_REFUSED:
        verdict_fail(v, NULL, &err);
        break;
    }
}

static void
check_server(struct verdicts *v, struct source *source, const struct source_options *options)
{
    struct err err = {0};

    verdict_say(v, VERDICT_OK,
                "source: PostgreSQL %" PRIu32 ".%" PRIu32
                ", database \"%s\", replication login works",
                source->server_version / 10000, source->server_version % 10000, source->database);
    check_room(v, source, "max_wal_senders",
               "SELECT count(*) - 1 FROM pg_catalog.pg_stat_replication");
    if (source_check_server(source, options, &err) != 0)
        verdict_fail(v, NULL, &err);
    else
        verdict_say(v, VERDICT_OK, "wal_level = logical, %" PRIu32 " publication(s) found",
                    options->publications.count);
    check_published(v, options);
}

enum exit_code
check_source(const struct source_options *options)
{
    struct verdicts v = {.out = stdout};
    struct source source = {0};
    struct err err = {0};

    if (source_connect(&source, options, &err) != 0) {
        verdict_fail(&v, NULL, &err);
    } else {
        check_server(&v, &source, options);
        check_slot(&v, &source, options);
        check_synchronous(&v, &source);
    }
    source_close(&source);
    return v.failed ? EXIT_REFUSED : EXIT_DONE;
}

int
drop_source_slot(const struct source_options *options, bool *existed, struct err *err)
{
    struct source source = {0};
    int result = source_connect(&source, options, err);

    if (result == 0)
        result = source_read_slot(&source, options, err);
    if (result == 0 && source.slot.exists)
        result = source_drop_slot(&source, options, err);
    *existed = source.slot.exists;
    source_close(&source);
    return result;
}
