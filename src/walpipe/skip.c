/* skip.c: see skip.h. */
#include "walpipe/skip.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/lsn.h"
#include "lib/names.h"
#include "lib/pqx.h"
#include "lib/statedir.h"
#include "walpipe/described.h"
#include "walpipe/helper.h"
#include "walpipe/plan.h"

struct skipping {
    const struct config *config;
    const struct skip_request *request;
    const struct sink_config *sink;
    struct pool pool;
    uint64_t lsn;
    struct catalog catalog;
    int source; /* described_open's file */
};

static int
find_sink(struct skipping *s, struct err *err)
{
    struct table_name table;

    for (size_t i = 0; i < s->config->sinks_count; i++)
        if (strcmp(s->config->sinks[i].name, s->request->sink) == 0)
            s->sink = &s->config->sinks[i];
    if (s->sink == NULL)
        return err_set(err, EXIT_REFUSED, "%s has no sink \"%s\"", s->config->path,
                       s->request->sink);
    if (s->sink->type == SINK_EXEC) {
        err_set(err, EXIT_REFUSED,
                "sink \"%s\": only a sink of type pg or ch can skip a transaction", s->sink->name);
        return err_hint(err, "an exec sink decides itself which events it applies");
    }
    if (!lsn_parse(s->request->lsn, &s->lsn) || s->lsn == 0) {
        err_set(err, EXIT_REFUSED, "--lsn: \"%s\" is not an LSN", s->request->lsn);
        return err_hint(err, "give the lsn of the sink's error, such as 0/15E4A38");
    }
    return s->request->table == NULL ? 0 : names_option_table(s->request->table, &table, err);
}

static int
read_flushed(PGconn *conn, uint64_t *flushed, struct err *err)
{
    static const char what[] = "ask how far the source has written its WAL";
    PGresult *row = pqx_shaped(pqx_exec(conn, what,
                                        "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() "
                                        "THEN pg_catalog.pg_last_wal_replay_lsn() "
                                        "ELSE pg_catalog.pg_current_wal_flush_lsn() END",
                                        err),
                               what, 1, 1, "v", err);
    bool read;

    if (row == NULL)
        return -1;
    read = lsn_parse(PQgetvalue(row, 0, 0), flushed);
    PQclear(row);
    return read ? 0 : err_set(err, EXIT_PEER, "could not %s", what);
}

/* A transaction of later might be hit by chance. */
static int
compare(const struct skipping *s, const struct catalog *c, uint64_t flushed, struct err *err)
{
    if (s->lsn >= flushed) {
        err_set(err, EXIT_REFUSED,
                "no transaction has committed at %s: the source has written its WAL up to %s",
                s->request->lsn, lsn_format(flushed).text);
        return err_hint(err, "give the lsn of the sink's error");
    }
    if (!c->slot_exists || s->lsn >= c->hello.start_lsn)
        return 0;
    err_set(err, EXIT_REFUSED,
            "the transaction at %s cannot be skipped: the slot has passed it, and is at %s",
            s->request->lsn, lsn_format(c->hello.start_lsn).text);
    return err_hint(err, "give the lsn of the sink's last error");
}

/* The source is asked in any case, because notes in ClickHouse name its cluster. */
static int
ask_source(struct skipping *s, struct err *err)
{
    struct err why = {0};
    uint64_t flushed;

    if (catalog_read(&s->catalog, s->config, &why) != 0 ||
        read_flushed(s->catalog.conn, &flushed, &why) != 0) {
        err_set(err, why.code, "the source cannot be asked for the transaction: %s", why.message);
        return err_hint(err, "%s", why.hint);
    }
    if (!s->request->repaired && compare(s, &s->catalog, flushed, err) != 0)
        return -1;
    s->source = described_open(&s->catalog, err);
    return s->source < 0 ? -1 : 0;
}

static int
tell_sink(struct skipping *s, struct err *err)
{
    const struct plan_skip skip = {
        .lsn = s->request->lsn, .table = s->request->table, .repaired = s->request->repaired};
    struct helper helper = {.argv = plan_skip_arguments(s->config, &s->pool, s->sink, &skip),
                            .env = plan_sink_env(&s->pool, (const char *const *)environ, s->sink),
                            .out = -1};
    char *output = NULL;
    int code;

    helper.directory = plan_programs_directory(&s->pool, err);
    if (helper.directory == NULL)
        return -1;
    helper.in = described_route(s->config, &s->pool, helper.directory, s->sink, s->source, err);
    if (helper.in < 0)
        return -1;
    code = helper_run(&helper, &s->pool, &output, err);
    close(helper.in);
    if (code < 0)
        return -1;
    fputs(output, stdout);
    if (code == EXIT_DONE)
        return 0;
    return err_set(err, (enum exit_code)code, "sink %s: %s ended with exit code %d, see above",
                   s->sink->name, helper.argv[0], code);
}

static void
say_next(const struct skipping *s)
{
    bool runs = statedir_is_run(s->config->state_dir);

    if (s->request->repaired)
        puts("walpipe takes the tables for whole again");
    else if (s->sink->paused != 0)
        puts("the sink is paused, and skips it after walpipe resume");
    else if (!runs)
        puts("the next start of the pipeline skips it");
    else if (s->sink->type == SINK_PG)
        puts("the programs that run start again by themselves, and skip it");
    else
        puts("stop walpipe run and start it again: the programs that run have not read the note");
}

int
skip_transaction(const struct config *config, const struct log *log,
                 const struct skip_request *request)
{
    struct skipping s = {.config = config, .request = request, .source = -1};
    struct err err = {0};
    int code = EXIT_DONE;

    if (find_sink(&s, &err) != 0 || ask_source(&s, &err) != 0 || tell_sink(&s, &err) != 0)
        code = log_failure(log, &err);
    else
        say_next(&s);
    if (s.source >= 0)
        close(s.source);
    catalog_free(&s.catalog);
    pool_free(&s.pool);
    return code;
}
