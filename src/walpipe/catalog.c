/* catalog.c: see catalog.h. */
#include "walpipe/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lsn.h"
#include "lib/names.h"
#include "lib/pqconn.h"
#include "lib/pqmark.h"
#include "lib/pqsystem.h"
#include "lib/pqx.h"

static const char source_sql[] =
    "SELECT pg_catalog.current_database(),"
    "  (SELECT confirmed_flush_lsn FROM pg_catalog.pg_replication_slots WHERE slot_name = $1),"
    "  CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
    "    ELSE pg_catalog.pg_current_wal_lsn() END,"
    "  (SELECT active FROM pg_catalog.pg_replication_slots WHERE slot_name = $1),"
    "  (SELECT coalesce(bool_or(pubupdate OR pubdelete), false)"
    "   FROM pg_catalog.pg_publication WHERE pubname = ANY ($2::pg_catalog.text[])),"
    "  pg_catalog.pg_is_in_recovery()";

enum source_field {
    SOURCE_DATABASE,
    SOURCE_CONFIRMED,
    SOURCE_CURRENT,
    SOURCE_ACTIVE,
    SOURCE_CHANGES,
    SOURCE_STANDBY
};

static void
fill_publications(struct hello *h, const char *list)
{
    struct err ignored;
    const char *at = list;

    /* config.c has checked the list. */
    while (at != NULL && h->publications_count < PUBLICATIONS_MAX &&
           names_next(&at, h->publications[h->publications_count], &ignored) == 0)
        h->publications_count++;
}

/* The role may have limits that are meant for people. */
static int
lift_limits(PGconn *conn, struct err *err)
{
    PGresult *result = pqx_exec(conn, "prepare the session",
                                "SET statement_timeout = 0; SET lock_timeout = 0", err);

    PQclear(result);
    return result == NULL ? -1 : 0;
}

static int
read_source(struct catalog *c, PGconn *conn, const struct config *config, const char *publications,
            struct err *err)
{
    static const char what[] = "read the source's identity";
    const char *params[] = {config->source.slot, publications};
    PGresult *r = pqx_exec_params(conn, what, source_sql, 2, params, err);
    struct hello *h = &c->hello;

    r = pqx_shaped(r, what, 1, 1, "v???vv", err);
    if (r == NULL)
        return -1;
    snprintf(h->stream, sizeof h->stream, "event");
    snprintf(h->program, sizeof h->program, "walpipe");
    snprintf(h->database, sizeof h->database, "%s", PQgetvalue(r, 0, SOURCE_DATABASE));
    snprintf(h->slot, sizeof h->slot, "%s", config->source.slot);
    h->server_version = (uint32_t)PQserverVersion(conn);
    h->proto_version = 1;
    c->slot_exists = !PQgetisnull(r, 0, SOURCE_CONFIRMED);
    c->slot_active = PQgetvalue(r, 0, SOURCE_ACTIVE)[0] == 't';
    /* A slot that is to be made begins about here. */
    if (!lsn_parse(PQgetvalue(r, 0, c->slot_exists ? SOURCE_CONFIRMED : SOURCE_CURRENT),
                   &h->start_lsn))
        h->start_lsn = 0;
    c->publishes_changes = PQgetvalue(r, 0, SOURCE_CHANGES)[0] == 't';
    c->standby = PQgetvalue(r, 0, SOURCE_STANDBY)[0] == 't';
    PQclear(r);
    return run_id_new(&h->run_id, err);
}

static PGconn *
connect_source(const struct config *config, const char *replication, struct err *err)
{
    const struct pqconn_keyword forced[] = {{"application_name", "walpipe check"},
                                            {"replication", replication},
                                            {"password", config->source.password}};

    return pqconn_open(config->source.conninfo, forced, config->source.password == NULL ? 2 : 3,
                       err);
}

/* Only a walsender reports the server's current timeline, and the one before. */
int
catalog_system(const struct config *config, struct pqsystem *system, struct err *err)
{
    PGconn *conn = connect_source(config, "database", err);
    int rc = conn == NULL ? -1 : pqsystem_identify(conn, system, err);

    PQfinish(conn);
    return rc;
}

static int
read_system(struct catalog *c, const struct config *config, struct err *err)
{
    struct pqsystem system;

    if (catalog_system(config, &system, err) != 0)
        return -1;
    c->hello.system_identifier = system.identifier;
    c->hello.timeline = system.timeline;
    c->hello.previous_timeline = system.previous_timeline;
    c->hello.switch_lsn = system.switch_lsn;
    return 0;
}

int
catalog_unknown(struct catalog *c, const struct config *config, struct err *err)
{
    struct hello *h = &c->hello;

    *c = (struct catalog){0};
    fill_publications(h, config->source.publication);
    snprintf(h->stream, sizeof h->stream, "event");
    snprintf(h->program, sizeof h->program, "walpipe");
    snprintf(h->slot, sizeof h->slot, "%s", config->source.slot);
    h->proto_version = 1;
    return run_id_new(&h->run_id, err);
}

int
catalog_read(struct catalog *c, const struct config *config, struct err *err)
{
    const struct hello *h = &c->hello;
    char *publications;
    int rc = -1;

    *c = (struct catalog){0};
    fill_publications(&c->hello, config->source.publication);
    c->conn = connect_source(config, "false", err);
    if (c->conn == NULL)
        return -1;
    publications = pgrelations_publications(h->publications, h->publications_count, err);
    if (publications != NULL && lift_limits(c->conn, err) == 0 &&
        read_source(c, c->conn, config, publications, err) == 0 &&
        read_system(c, config, err) == 0 && pqmark_set(c->conn, &h->run_id, err) == 0)
        rc = pgrelations_read(&c->tables, c->conn, publications, err);
    free(publications);
    return rc;
}

void
catalog_free(struct catalog *c)
{
    pgrelations_free(&c->tables);
    PQfinish(c->conn);
    *c = (struct catalog){0};
}

bool
catalog_has_identity(const struct relation *relation)
{
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (relation->columns[i].key)
            return true;
    return relation->replica_identity == 'f';
}
