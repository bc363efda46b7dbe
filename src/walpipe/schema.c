/* schema.c: see schema.h. pg_dump knows how PostgreSQL's objects are written. sink-ch knows
 * ClickHouse's types. */
#include "walpipe/schema.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "walpipe/check_sinks.h"
#include "walpipe/copydefault.h"
#include "walpipe/described.h"
#include "walpipe/pgdump.h"
#include "walpipe/plan.h"
#include "walpipe/schematarget.h"
#include "walpipe/sequences.h"
#include "walpipe/tablelist.h"

struct working {
    struct config *config;
    const struct log *log;
    struct pool pool;
    const char *programs;
    struct catalog catalog;
    /* of the sink at hand */
    struct sink_config *sink;
    struct tablelist tables; /* their progress */
    bool tables_only;        /* nothing is to be done if no table is missing */
};

/* ---- whether tables have been copied ---- */

static bool
is_streaming(const struct table_progress *t)
{
    return strcmp(t->state, "streaming") == 0;
}

static bool
is_copied(void *context, uint32_t published)
{
    const struct working *w = context;

    for (size_t i = 0; i < w->tables.count; i++)
        if ((published == 0 || w->tables.tables[i].relid == published) &&
            w->tables.tables[i].published && !is_streaming(&w->tables.tables[i]))
            return false;
    return w->tables.known;
}

static bool
is_never_copied(void *context, uint32_t published)
{
    (void)context;
    (void)published;
    return true;
}

/* If it is not certain that the sink does not copy, the second step waits. */
static bool
may_copy(const struct working *w)
{
    const struct catalog *c = &w->catalog;

    if (!w->sink->copy_open)
        return w->sink->copies;
    return copydefault_look(w->config, w->sink, c->slot_exists, c->slot_active, w->programs)
               .verdict != COPYCHOICE_NO;
}

static int
read_progress(struct working *w, struct err *err)
{
    struct sourcetables source;
    struct sinknotes notes;

    w->sink->copies = may_copy(w);
    if (!w->sink->copies)
        return 0;
    sourcetables_read(&source, w->config, &w->pool);
    if (!source.known)
        return err_set(err, EXIT_PEER, "could not read the source's tables: %s", source.why);
    sinknotes_read(&notes, w->config, w->sink, w->programs, &w->pool);
    tablelist_make(&w->tables, w->sink, &source, &notes, &w->pool);
    if (w->tables.known)
        return 0;
    return err_set(err, w->tables.code, "sink %s: %s", w->sink->name, w->tables.why);
}

/* ---- a PostgreSQL target ---- */

static int
dump(struct working *w, const struct schemaobjects *objects, struct dumpentry **entries,
     size_t *count, struct err *err)
{
    struct pgdump program;
    char *text;

    if (pgdump_find(&program, PQserverVersion(w->catalog.conn) / 10000, &w->pool, err) != 0 ||
        pgdump_run(&program, w->config, &objects->excluded, &text, &w->pool, err) != 0)
        return -1;
    *entries = dumpentry_split(text, count, &w->pool);
    return 0;
}

/* To find this out needs no pg_dump. */
static bool
lacks_table(const struct schemaobjects *objects, const struct schemaplan_target *target)
{
    for (size_t i = 0; i < objects->count; i++)
        if (objects->list[i].kind == SCHEMAOBJECT_TABLE &&
            !schemaplan_has(target, objects->list[i].key))
            return true;
    return false;
}

static int
make_plan(struct working *w, PGconn *conn, struct schemaplan *plan, struct err *err)
{
    struct schemaplan_target target = {.is_copied = w->sink->copies ? is_copied : is_never_copied,
                                       .context = w};
    struct schemaobjects objects;
    struct dumpentry *entries;
    const char **keys;
    size_t count;

    if (schemaobjects_read(&objects, &w->catalog, w->sink, &w->pool, err) != 0 ||
        schematarget_list(conn, &keys, &target.keys_count, &w->pool, err) != 0)
        return -1;
    target.keys = keys;
    *plan = (struct schemaplan){0};
    if (w->tables_only && !lacks_table(&objects, &target))
        return 0;
    if (dump(w, &objects, &entries, &count, err) != 0)
        return -1;
    return schemaplan_make(plan, &objects, entries, count, &target, &w->pool, err);
}

static void
print_waiting(const struct schemaplan *plan, const char *comment, const struct sink_config *sink)
{
    if (plan->waiting > 0)
        printf("%ssink %s: %zu index(es), constraint(s) and trigger(s) wait until their tables "
               "have been copied: run this command again then\n",
               comment, sink->name, plan->waiting);
}

static void
print_plan(const struct sink_config *sink, const struct schemaplan *plan)
{
    size_t first = 0;

    printf("-- sink %s, from here on for psql -v ON_ERROR_STOP=1\n%s\n", sink->name,
           schematarget_settings);
    for (size_t i = 0; i < plan->existing_count; i++)
        printf("-- %s exists already: walpipe check compares it with the source's\n",
               plan->existing[i]);
    while (first < plan->count && plan->list[first].stage == SCHEMAPLAN_FIRST)
        first++;
    if (first > 0)
        puts("\nBEGIN;");
    for (size_t i = 0; i < plan->count; i++)
        printf("\n-- %s\n%s\n%s", plan->list[i].label, plan->list[i].sql,
               i + 1 == first ? "\nCOMMIT;\n" : "");
    print_waiting(plan, "\n-- ", sink);
}

/* Compares the target's tables with the source's as walpipe check does. */
static int
compare(struct working *w, struct err *err)
{
    struct checking c = {.config = w->config,
                         .log = w->log,
                         .programs = w->programs,
                         .env = (const char *const *)environ,
                         .verdicts.out = stdout};

    check_sinks_one(&c, &w->catalog, w->sink);
    pool_free(&c.pool);
    if (!c.verdicts.failed)
        return 0;
    return err_set(err, EXIT_REFUSED, "sink %s: the target does not fit the source, see above",
                   w->sink->name);
}

static int
apply_plan(struct working *w, PGconn *conn, const struct schemaplan *plan, struct err *err)
{
    if (schematarget_make_first(conn, w->sink, plan, NULL, err) != 0)
        return -1;
    for (size_t i = 0; i < plan->existing_count; i++)
        printf("sink %s: %s: exists already\n", w->sink->name, plan->existing[i]);
    fflush(stdout);
    if (schematarget_make_second(w->sink, plan, w->config->copy_workers, err) != 0)
        return -1;
    print_waiting(plan, "", w->sink);
    return compare(w, err);
}

static int
set_sequences(struct working *w, PGconn *conn, bool apply, struct err *err)
{
    struct schemaplan_target target = {0};
    struct sequences_statement *list;
    struct schemaobjects objects;
    const char **keys;
    size_t count;

    if (schemaobjects_read(&objects, &w->catalog, w->sink, &w->pool, err) != 0 ||
        schematarget_list(conn, &keys, &target.keys_count, &w->pool, err) != 0 ||
        sequences_read(&list, &count, &objects, w->catalog.conn, &w->pool, err) != 0)
        return -1;
    target.keys = keys;
    for (size_t i = 0; i < count; i++) {
        if (!schemaplan_has(&target, list[i].key))
            printf("%ssink %s: %s: the target does not have it\n", apply ? "" : "-- ",
                   w->sink->name, list[i].label);
        else if (!apply)
            puts(list[i].sql);
        else if (sequences_set(conn, w->sink, &list[i], err) != 0)
            return -1;
    }
    return 0;
}

static int
do_postgres(struct working *w, const struct schema_choice *choice, struct err *err)
{
    PGconn *conn = schematarget_open(w->sink, err);
    struct schemaplan plan;
    int rc = -1;

    if (conn == NULL)
        return -1;
    if (choice->sequences) {
        rc = set_sequences(w, conn, choice->apply, err);
    } else if (read_progress(w, err) == 0 && make_plan(w, conn, &plan, err) == 0) {
        rc = 0;
        if (choice->apply)
            rc = apply_plan(w, conn, &plan, err);
        else
            print_plan(w->sink, &plan);
    }
    PQfinish(conn);
    return rc;
}

/* ---- a ClickHouse target ---- */

static void
show(const struct working *w, char *output)
{
    struct verdicts verdicts = {.out = stdout};
    char *rest, *line;

    for (line = strtok_r(output, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        enum verdict verdict;
        const char *text = verdict_read(line, &verdict);

        if (text != NULL)
            verdict_say(&verdicts, verdict, "sink %s: %s", w->sink->name, text);
    }
    fflush(stdout);
}

static int
run_clickhouse(struct working *w, bool apply, int source, struct err *err)
{
    struct helper helper = {.directory = w->programs,
                            .argv = plan_sink_arguments(w->config, &w->pool, w->sink,
                                                        apply ? PLAN_SCHEMA_MAKE : PLAN_SCHEMA),
                            .env = plan_sink_env(&w->pool, (const char *const *)environ, w->sink),
                            .out = -1};
    char *output = NULL;
    int code;

    helper.in = described_route(w->config, &w->pool, w->programs, w->sink, source, err);
    if (helper.in < 0)
        return -1;
    code = helper_run(&helper, &w->pool, &output, err);
    close(helper.in);
    if (code < 0)
        return -1;
    if (apply)
        show(w, output);
    else
        printf("-- sink %s, for clickhouse-client --multiquery\n%s", w->sink->name, output);
    if (code == EXIT_DONE)
        return 0;
    return err_set(err, (enum exit_code)code, "sink %s: sink-ch ended with exit code %d, see above",
                   w->sink->name, code);
}

static int
do_clickhouse(struct working *w, const struct schema_choice *choice, struct err *err)
{
    int source = described_open(&w->catalog, err), rc;

    if (source < 0)
        return -1;
    rc = run_clickhouse(w, choice->apply, source, err);
    close(source);
    return rc;
}

/* ---- all sinks ---- */

static bool
is_chosen(const struct schema_choice *choice, const struct sink_config *sink)
{
    return sink->type != SINK_EXEC && (sink->type == SINK_PG || !choice->sequences) &&
           (choice->sink == NULL || strcmp(choice->sink, sink->name) == 0);
}

/* SQL for two targets in one text would be run in one of them. */
static int
check_sink(const struct schema_choice *choice, struct err *err)
{
    const struct config *config = choice->config;
    size_t count = 0;

    for (size_t i = 0; i < config->sinks_count; i++)
        count += is_chosen(choice, &config->sinks[i]);
    if (count == 0)
        return err_set(err, EXIT_REFUSED, "%s has no sink%s%s%s that walpipe schema%s is for",
                       config->path, choice->sink == NULL ? "" : " \"",
                       choice->sink == NULL ? "" : choice->sink, choice->sink == NULL ? "" : "\"",
                       choice->sequences ? " --sequences" : "");
    if (count > 1 && !choice->apply) {
        err_set(err, EXIT_REFUSED, "%s has %zu sinks, and SQL is printed for one of them",
                config->path, count);
        return err_hint(err, "name it with --sink NAME");
    }
    return 0;
}

static int
prepare(struct working *w, struct err *err)
{
    w->programs = plan_programs_directory(&w->pool, err);
    return w->programs == NULL ? -1 : catalog_read(&w->catalog, w->config, err);
}

static int
do_sinks(struct working *w, const struct schema_choice *choice, struct err *err)
{
    for (size_t i = 0; i < w->config->sinks_count; i++) {
        w->sink = &w->config->sinks[i];
        if (!is_chosen(choice, w->sink))
            continue;
        if ((w->sink->type == SINK_PG ? do_postgres : do_clickhouse)(w, choice, err) != 0)
            return -1;
    }
    return 0;
}

static void
end(struct working *w)
{
    catalog_free(&w->catalog);
    pool_free(&w->pool);
}

int
schema_run(const struct schema_choice *choice)
{
    struct working w = {.config = choice->config, .log = choice->log};
    struct err err = {0};
    int code = EXIT_DONE;

    if (check_sink(choice, &err) != 0 || prepare(&w, &err) != 0 || do_sinks(&w, choice, &err) != 0)
        code = log_failure(choice->log, &err);
    end(&w);
    return code;
}

/* ---- for run ---- */

static int
make_missing(struct working *w, struct err *err)
{
    PGconn *conn = schematarget_open(w->sink, err);
    struct schemaplan plan;
    int rc;

    if (conn == NULL)
        return -1;
    rc = make_plan(w, conn, &plan, err);
    if (rc == 0)
        rc = schematarget_make_first(conn, w->sink, &plan, w->log, err);
    PQfinish(conn);
    return rc;
}

static int
look_for_missing(struct working *w, PGconn *conn, bool *lacks, struct err *err)
{
    struct schemaplan_target target = {0};
    struct schemaobjects objects;
    const char **keys;

    if (schemaobjects_read(&objects, &w->catalog, w->sink, &w->pool, err) != 0 ||
        schematarget_list(conn, &keys, &target.keys_count, &w->pool, err) != 0)
        return -1;
    target.keys = keys;
    *lacks = lacks_table(&objects, &target);
    return 0;
}

int
schema_lacks_table(struct config *config, struct sink_config *sink, bool *lacks, struct err *err)
{
    struct working w = {.config = config, .sink = sink, .tables_only = true};
    PGconn *conn = NULL;
    int rc = prepare(&w, err);

    if (rc == 0)
        conn = schematarget_open(sink, err);
    if (rc == 0)
        rc = conn == NULL ? -1 : look_for_missing(&w, conn, lacks, err);
    PQfinish(conn);
    end(&w);
    return rc;
}

static bool
creates(const struct sink_config *sink)
{
    return sink->type == SINK_PG && sink->create_tables && sink->paused == 0;
}

/* A sink that may be detached must not hold up the others. Its worker waits for the target. */
static bool
is_passed_over(const struct working *w, const struct err *err)
{
    if (w->sink->detach_after == 0 || err->code != EXIT_PEER)
        return false;
    log_write(w->log, LOG_WARNING, "sink %s: %s; the programs start without its missing tables",
              w->sink->name, err->message);
    return true;
}

int
schema_make_tables(struct config *config, const struct log *log, bool *made, struct err *err)
{
    struct working w = {.config = config, .log = log, .tables_only = true};
    bool any = false;
    int rc = 0;

    *made = true;
    for (size_t i = 0; i < config->sinks_count; i++)
        any = any || creates(&config->sinks[i]);
    if (any)
        rc = prepare(&w, err);
    for (size_t i = 0; rc == 0 && i < config->sinks_count; i++) {
        w.sink = &config->sinks[i];
        if (!creates(w.sink) || make_missing(&w, err) == 0)
            continue;
        *made = false;
        rc = is_passed_over(&w, err) ? 0 : -1;
        if (rc == 0)
            *err = (struct err){0};
    }
    end(&w);
    return rc;
}
