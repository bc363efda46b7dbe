/* source.c: see source.h. The commands are from the PostgreSQL documentation, chapter "Streaming
 * Replication Protocol". A walsender takes no parameters, so names are quoted by libpq. */
#include "pg-wal-read/source.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/lsn.h"
#include "lib/opt.h"
#include "lib/pqconn.h"
#include "lib/pqsystem.h"
#include "lib/pqx.h"

#define GOODBYE_MICROS UINT64_C(3000000)

/* ---- connection ---- */

static int
set_session(struct source *source, struct err *err)
{
    /* Roles and databases may have settings of their own. */
    static const char sql[] = "SET statement_timeout = 0; SET lock_timeout = 0;"
                              "SET idle_in_transaction_session_timeout = 0";
    PGresult *result;

    if (pqconn_agree_on_text(source->conn, err) != 0)
        return -1;
    result = pqx_exec(source->conn, "prepare the replication session", sql, err);
    PQclear(result);
    return result == NULL ? -1 : 0;
}

static const char *
field(const PGresult *result, const char *column)
{
    int n = PQfnumber(result, column);

    return n < 0 || PQgetisnull(result, 0, n) ? "" : PQgetvalue(result, 0, n);
}

static int
identify(struct source *source, struct err *err)
{
    struct pqsystem system;

    if (pqsystem_identify(source->conn, &system, err) != 0)
        return -1;
    source->system_identifier = system.identifier;
    source->timeline = system.timeline;
    source->previous_timeline = system.previous_timeline;
    source->switch_lsn = system.switch_lsn;
    snprintf(source->database, sizeof source->database, "%s", system.database);
    return 0;
}

int
source_connect(struct source *source, const struct source_options *options, struct err *err)
{
    char name[96];
    const struct pqconn_keyword forced[] = {{"replication", "database"},
                                            {"application_name", name}};

    snprintf(name, sizeof name, "walpipe %s", options->slot);
    source->conn = pqconn_open(options->conninfo, forced, sizeof forced / sizeof *forced, err);
    if (source->conn == NULL) {
        (void)loginnote_forgives(&source->login, err);
        return -1;
    }
    loginnote_worked(&source->login);
    source->server_version = (uint32_t)PQserverVersion(source->conn);
    if (source->server_version < 100000) {
        err_set(err, EXIT_REFUSED, "the source is PostgreSQL version %" PRIu32 ", 10 is the oldest",
                source->server_version);
        return err_hint(err, "logical replication with pgoutput came with PostgreSQL 10");
    }
    return identify(source, err) != 0 ? -1 : set_session(source, err);
}

void
source_say_goodbye(struct source *source)
{
    PGconn *conn = source->conn;
    uint64_t deadline = clock_micros() + GOODBYE_MICROS;
    bool flushed = PQputCopyEnd(conn, NULL) == 1 && PQflush(conn) == 0;

    while (clock_micros() < deadline) {
        struct pollfd poll_fd = {.fd = PQsocket(conn), .events = POLLIN};
        char *message;
        int n;

        while ((n = PQgetCopyData(conn, &message, 1)) > 0)
            PQfreemem(message);
        if (n < 0)
            return;
        if (!flushed)
            poll_fd.events |= POLLOUT;
        if (poll(&poll_fd, 1, clock_poll_timeout(deadline)) <= 0)
            continue;
        flushed = PQflush(conn) == 0;
        if (PQconsumeInput(conn) != 1)
            return;
    }
}

void
source_close(struct source *source)
{
    PQfinish(source->conn);
    source->conn = NULL;
}

/* ---- server and publications ---- */

static int
read_settings(struct source *source, struct err *err)
{
    static const char what[] = "read the source's settings";
    PGresult *result = pqx_exec(source->conn, what,
                                "SELECT pg_catalog.current_setting('wal_level') AS level, setting, "
                                "pg_catalog.pg_is_in_recovery() AS standby "
                                "FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'",
                                err);
    uint64_t timeout;
    int status = -1;

    result = pqx_shaped(result, what, 1, 1, "vvv", err);
    if (result == NULL)
        return -1;
    source->standby = strcmp(field(result, "standby"), "t") == 0;
    if (source->server_version < 160000 && source->standby) {
        /* It may be promoted at any moment. */
        err_set(err, EXIT_PEER,
                "the source is a standby, and PostgreSQL before 16 decodes WAL on a "
                "primary only");
        err_hint(err, "name all its servers in conninfo, with target_session_attrs=read-write");
    } else if (strcmp(field(result, "level"), "logical") != 0) {
        err_set(err, EXIT_REFUSED, "the source's wal_level is \"%s\"", field(result, "level"));
        err_hint(err, "set wal_level = logical in postgresql.conf and restart the source");
    } else if (opt_number("wal_sender_timeout", field(result, "setting"), 0, INT32_MAX, &timeout,
                          err) == 0) {
        source->wal_sender_timeout_ms = (uint32_t)timeout;
        status = 0;
    }
    PQclear(result);
    return status;
}

static int
check_publication(struct source *source, const char *name, struct err *err)
{
    static const char what[] = "look for the publication";
    char sql[256];
    char *literal = PQescapeLiteral(source->conn, name, strlen(name));
    PGresult *result;
    int found;

    if (literal == NULL)
        return pqx_error(source->conn, NULL, "quote a publication name", err);
    snprintf(sql, sizeof sql, "SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = %s",
             literal);
    PQfreemem(literal);
    result = pqx_shaped(pqx_exec(source->conn, what, sql, err), what, 0, 1, "v", err);
    if (result == NULL)
        return -1;
    found = PQntuples(result);
    PQclear(result);
    if (found == 1)
        return 0;
    err_set(err, EXIT_REFUSED, "publication \"%s\" does not exist in database \"%s\"", name,
            source->database);
    return err_hint(err, "create it before the slot: a slot cannot decode changes that are older "
                         "than its publication");
}

static int
check_options(const struct source *source, const struct source_options *options, struct err *err)
{
    if (source->server_version >= 140000 || (!options->binary && !options->messages))
        return 0;
    return err_set(err, EXIT_REFUSED,
                   "binary and messages need PostgreSQL 14, the source is version "
                   "%" PRIu32,
                   source->server_version);
}

int
source_check_server(struct source *source, const struct source_options *options, struct err *err)
{
    if (check_options(source, options, err) != 0 || read_settings(source, err) != 0)
        return -1;
    for (uint32_t i = 0; i < options->publications.count; i++)
        if (check_publication(source, options->publications.names[i], err) != 0)
            return -1;
    return 0;
}

/* ---- slot ---- */

static int
take_slot_row(const PGresult *result, struct slot_state *slot, struct err *err)
{
    const char *confirmed = field(result, "confirmed_flush_lsn");

    slot->exists = true;
    snprintf(slot->plugin, sizeof slot->plugin, "%s", field(result, "plugin"));
    snprintf(slot->database, sizeof slot->database, "%s", field(result, "database"));
    snprintf(slot->wal_status, sizeof slot->wal_status, "%s", field(result, "wal_status"));
    snprintf(slot->user, sizeof slot->user, "%s", field(result, "slot_user"));
    slot->active_pid = (int)strtol(field(result, "active_pid"), NULL, 10);
    slot->two_phase = strcmp(field(result, "two_phase"), "t") == 0;
    if (confirmed[0] != '\0' && !lsn_parse(confirmed, &slot->confirmed_lsn))
        return err_set(err, EXIT_PEER, "the slot's confirmed_flush_lsn \"%s\" is malformed",
                       confirmed);
    return 0;
}

int
source_read_slot(struct source *source, const struct source_options *options, struct err *err)
{
    static const char what[] = "read the slot's state";
    /* wal_status came with 13, two_phase with 14. */
    const char *columns =
        &"???????"[(source->server_version < 130000) + (source->server_version < 140000)];
    char sql[768];
    char *literal = PQescapeLiteral(source->conn, options->slot, strlen(options->slot));
    PGresult *result;
    int status = 0;

    if (literal == NULL)
        return pqx_error(source->conn, NULL, "quote the slot name", err);
    snprintf(sql, sizeof sql,
             "SELECT plugin, database, active_pid, confirmed_flush_lsn%s%s, "
             "(SELECT application_name || coalesce(', ' || pg_catalog.host(client_addr), '') "
             "FROM pg_catalog.pg_stat_activity WHERE pid = active_pid) AS slot_user "
             "FROM pg_catalog.pg_replication_slots WHERE slot_name = %s",
             source->server_version >= 130000 ? ", wal_status" : "",
             source->server_version >= 140000 ? ", two_phase" : "", literal);
    PQfreemem(literal);
    result = pqx_shaped(pqx_exec(source->conn, what, sql, err), what, 0, 1, columns, err);
    if (result == NULL)
        return -1;
    source->slot = (struct slot_state){0};
    if (PQntuples(result) == 1)
        status = take_slot_row(result, &source->slot, err);
    PQclear(result);
    return status;
}

int
source_check_slot(const struct source *source, const struct source_options *options,
                  struct err *err)
{
    const struct slot_state *slot = &source->slot;

    if (strcmp(slot->plugin, "pgoutput") != 0) {
        err_set(err, EXIT_REFUSED, "slot \"%s\" uses output plugin \"%s\", not pgoutput",
                options->slot, slot->plugin);
        return err_hint(err, "another program owns this slot; give the pipeline a slot of its own");
    }
    if (strcmp(slot->database, source->database) != 0) {
        err_set(err, EXIT_REFUSED,
                "slot \"%s\" belongs to database \"%s\", the conninfo names \"%s\"", options->slot,
                slot->database, source->database);
        return err_hint(err, "a logical slot decodes one database: correct dbname or slot");
    }
    if (strcmp(slot->wal_status, "lost") == 0) {
        err_set(err, EXIT_REFUSED, "slot \"%s\" is lost: the source removed WAL that it needs",
                options->slot);
        return err_hint(err, "changes are missing from here on: raise max_slot_wal_keep_size on "
                             "the source, then stop walpipe, run walpipe drop, empty the tables in "
                             "the targets, set copy = yes, and start again");
    }
    if (slot->two_phase) {
        err_set(err, EXIT_REFUSED, "slot \"%s\" has two_phase enabled", options->slot);
        return err_hint(err, "walpipe does not decode prepared transactions: name a slot that was "
                             "created without two_phase, or let walpipe create one");
    }
    if (slot->confirmed_lsn == 0)
        return err_set(err, EXIT_PEER, "slot \"%s\" has no confirmed_flush_lsn yet", options->slot);
    return 0;
}

/* The quoted identifier, or NULL with err. The caller frees it with PQfreemem. */
static char *
quote_slot(struct source *source, const struct source_options *options, struct err *err)
{
    char *quoted = PQescapeIdentifier(source->conn, options->slot, strlen(options->slot));

    if (quoted == NULL)
        pqx_error(source->conn, NULL, "quote the slot name", err);
    return quoted;
}

int
source_create_slot(struct source *source, const struct source_options *options, struct err *err)
{
    /* A standby cannot create a slot that its own standbys take over. */
    bool failover = source->server_version >= 170000 && !source->standby;
    char sql[256];
    char *slot = quote_slot(source, options, err);

    if (slot == NULL)
        return -1;
    /* No client imports its snapshot (trap 28). */
    snprintf(sql, sizeof sql, "CREATE_REPLICATION_SLOT %s LOGICAL pgoutput %s", slot,
             failover ? "(SNAPSHOT 'nothing', FAILOVER true)" : "NOEXPORT_SNAPSHOT");
    PQfreemem(slot);
    if (PQsendQuery(source->conn, sql) != 1)
        return pqx_error(source->conn, NULL, "create the replication slot", err);
    return 0;
}

static int
take_created(struct source *source, struct err *err)
{
    PGresult *result = PQgetResult(source->conn), *rest;
    int status = 0;

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        status = pqx_error(source->conn, result, "create the replication slot", err);
    PQclear(result);
    while ((rest = PQgetResult(source->conn)) != NULL)
        PQclear(rest);
    return status;
}

int
source_slot_created(struct source *source, const struct source_options *options, int millis,
                    struct err *err)
{
    struct pollfd waiting = {.fd = PQsocket(source->conn), .events = POLLIN};

    if (poll(&waiting, 1, millis) > 0 && PQconsumeInput(source->conn) != 1)
        return pqx_error(source->conn, NULL, "create the replication slot", err);
    if (PQisBusy(source->conn))
        return 0;
    if (take_created(source, err) != 0 || source_read_slot(source, options, err) != 0)
        return -1;
    return 1;
}

void
source_what_blocks(const struct source *source, const struct source_options *options, char *text,
                   size_t size)
{
    static const struct pqconn_keyword forced[] = {{"application_name", "walpipe"}};
    static const char what[] = "ask what blocks";
    struct err ignored = {0};
    PGconn *conn = pqconn_open(options->conninfo, forced, 1, &ignored);
    char sql[512];
    PGresult *result = NULL;

    text[0] = '\0';
    /* pid 0 is a prepared transaction. */
    snprintf(sql, sizeof sql,
             "SELECT pg_catalog.string_agg(DISTINCT CASE WHEN b = 0 THEN 'a prepared transaction' "
             "ELSE 'process ' || b || coalesce(', ' || (SELECT state || ' since ' || "
             "pg_catalog.date_trunc('second', state_change) FROM pg_catalog.pg_stat_activity AS a "
             "WHERE a.pid = b), '') END, '; ') FROM pg_catalog.unnest("
             "pg_catalog.pg_blocking_pids(%d)) AS b",
             PQbackendPID(source->conn));
    if (conn != NULL)
        result = pqx_shaped(pqx_exec(conn, what, sql, &ignored), what, 1, 1, "?", &ignored);
    if (result != NULL)
        snprintf(text, size, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(conn);
}

int
source_drop_slot(struct source *source, const struct source_options *options, struct err *err)
{
    char sql[256];
    char *slot = quote_slot(source, options, err);
    PGresult *result;

    if (slot == NULL)
        return -1;
    snprintf(sql, sizeof sql, "DROP_REPLICATION_SLOT %s", slot);
    PQfreemem(slot);
    result = pqx_exec(source->conn, "drop the replication slot", sql, err);
    PQclear(result);
    return result == NULL ? -1 : 0;
}

/* ---- start ---- */

/* publication_names is a list of identifiers inside a literal, so both are quoted. */
static char *
quote_publications(struct source *source, const struct source_options *options, struct err *err)
{
    char list[PUBLICATIONS_MAX * (2 * NAME_MAX_BYTES + 4)];
    size_t len = 0;
    char *literal;

    for (uint32_t i = 0; i < options->publications.count; i++) {
        const char *name = options->publications.names[i];
        char *quoted = PQescapeIdentifier(source->conn, name, strlen(name));

        if (quoted == NULL) {
            pqx_error(source->conn, NULL, "quote a publication name", err);
            return NULL;
        }
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i == 0 ? "" : ",", quoted);
        PQfreemem(quoted);
    }
    literal = PQescapeLiteral(source->conn, list, len);
    if (literal == NULL)
        pqx_error(source->conn, NULL, "quote the publication names", err);
    return literal;
}

static char *
start_command(struct source *source, const struct source_options *options, struct err *err)
{
    size_t size = 512 + 2 * sizeof options->publications;
    char *slot = quote_slot(source, options, err);
    char *publications = slot == NULL ? NULL : quote_publications(source, options, err);
    char *sql = publications == NULL ? NULL : malloc(size);

    if (sql != NULL)
        snprintf(
            sql, size,
            "START_REPLICATION SLOT %s LOGICAL 0/0 (proto_version '%" PRIu32
            "', publication_names %s%s%s%s)",
            slot, source->proto_version, publications, options->binary ? ", binary 'true'" : "",
            options->messages ? ", messages 'true'" : "",
            /* An older server sends the origin of each transaction, and pgout-decode drops those
             * with one. */
            options->origin == ORIGIN_NONE && source->server_version >= 160000 ? ", origin 'none'"
                                                                               : "");
    else if (publications != NULL)
        err_set(err, EXIT_PEER, "out of memory for a command");
    PQfreemem(slot);
    PQfreemem(publications);
    return sql;
}

enum source_start
source_start(struct source *source, const struct source_options *options, struct err *err)
{
    PGresult *result;
    const char *sqlstate;
    char *sql;
    bool active;

    source->proto_version = 1;
    if (decodestart_listen(&source->decodes, source->conn, err) != 0)
        return SOURCE_FAILED;
    sql = start_command(source, options, err);
    if (sql == NULL)
        return SOURCE_FAILED;
    result = PQexec(source->conn, sql);
    free(sql);
    if (PQresultStatus(result) == PGRES_COPY_BOTH) {
        PQclear(result);
        return SOURCE_STREAMING;
    }
    sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    active = sqlstate != NULL && strcmp(sqlstate, "55006") == 0; /* object_in_use */
    pqx_error(source->conn, result, "start replication", err);
    PQclear(result);
    return active ? SOURCE_SLOT_ACTIVE : SOURCE_FAILED;
}
