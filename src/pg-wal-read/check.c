/* check.c: see check.h. */
#include "pg-wal-read/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/lsn.h"
#include "lib/pqx.h"

static void
print_failure(const struct err *err)
{
    printf("FAIL  %s%s%s\n", err->message, err->hint[0] == '\0' ? "" : ": ", err->hint);
}

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

/* How many of a kind the server allows and how many are in use. */
static bool
check_room(struct source *source, const char *setting, const char *used_sql)
{
    char sql[256], allowed[32], used[32];
    struct err err = {0};

    snprintf(sql, sizeof sql, "SELECT pg_catalog.current_setting('%s')", setting);
    if (scalar(source, sql, allowed, sizeof allowed, &err) != 0 ||
        scalar(source, used_sql, used, sizeof used, &err) != 0) {
        print_failure(&err);
        return false;
    }
    if (strtol(used, NULL, 10) < strtol(allowed, NULL, 10)) {
        printf("ok    %s = %s, %s in use\n", setting, allowed, used);
        return true;
    }
    printf("FAIL  %s = %s, and %s are in use: raise it and restart the source\n", setting, allowed,
           used);
    return false;
}

static void
check_synchronous(struct source *source)
{
    char names[256];
    struct err err = {0};

    if (scalar(source, "SELECT pg_catalog.current_setting('synchronous_standby_names')", names,
               sizeof names, &err) == 0 &&
        (strchr(names, '*') != NULL || strstr(names, "walpipe") != NULL))
        printf(
            "warn  synchronous_standby_names = '%s' may name walpipe: commits on the source will "
            "wait until every sink has them\n",
            names);
}

static bool
check_slot(struct source *source, const struct source_options *options)
{
    struct err err = {0};

    if (source_read_slot(source, options, &err) != 0) {
        print_failure(&err);
        return false;
    }
    if (!source->slot.exists && options->create_slot) {
        printf("ok    slot \"%s\" does not exist yet: it will be created\n", options->slot);
        return check_room(source, "max_replication_slots",
                          "SELECT count(*) FROM pg_catalog.pg_replication_slots");
    }
    if (!source->slot.exists) {
        printf("FAIL  slot \"%s\" does not exist: create it, or set create_slot = yes\n",
               options->slot);
        return false;
    }
    if (source_check_slot(source, options, &err) != 0) {
        print_failure(&err);
        return false;
    }
    printf("ok    slot \"%s\": confirmed up to %s%s%s\n", options->slot,
           lsn_format(source->slot.confirmed_lsn).text,
           source->slot.wal_status[0] == '\0' ? "" : ", wal_status ", source->slot.wal_status);
    if (source->slot.active_pid != 0)
        printf("warn  slot \"%s\" is in use by process %d: walpipe will wait for it\n",
               options->slot, source->slot.active_pid);
    return true;
}

enum exit_code
check_source(const struct source_options *options)
{
    struct source source = {0};
    struct err err = {0};
    bool ok = false;

    if (source_connect(&source, options, &err) != 0) {
        print_failure(&err);
    } else {
        printf("ok    source: PostgreSQL %" PRIu32 ".%" PRIu32
               ", database \"%s\", replication login works\n",
               source.server_version / 10000, source.server_version % 10000, source.database);
        ok = check_room(&source, "max_wal_senders",
                        "SELECT count(*) - 1 FROM pg_catalog.pg_stat_replication");
        if (source_check_server(&source, options, &err) != 0) {
            print_failure(&err);
            ok = false;
        } else {
            printf("ok    wal_level = logical, %" PRIu32 " publication(s) found\n",
                   options->publications_count);
        }
        ok = check_slot(&source, options) && ok;
        check_synchronous(&source);
    }
    source_close(&source);
    return ok ? EXIT_DONE : EXIT_REFUSED;
}

int
drop_source_slot(const struct source_options *options, struct err *err)
{
    struct source source = {0};
    int result = source_connect(&source, options, err);

    if (result == 0)
        result = source_read_slot(&source, options, err);
    if (result == 0 && source.slot.exists)
        result = source_drop_slot(&source, options, err);
    source_close(&source);
    return result;
}
