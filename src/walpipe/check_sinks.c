/* check_sinks.c: see check_sinks.h. */
#include "walpipe/check_sinks.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "walpipe/described.h"
#include "walpipe/plan.h"

static bool
matches_any(const struct table_pattern *p, const struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->tables.count; i++)
        if (names_match(&p->schema, catalog->tables.relations[i].schema) &&
            names_match(&p->table, catalog->tables.relations[i].name))
            return true;
    return false;
}

static bool
is_published(const char *schema, const char *table, const struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->tables.count; i++)
        if (strcmp(schema, catalog->tables.relations[i].schema) == 0 &&
            strcmp(table, catalog->tables.relations[i].name) == 0)
            return true;
    return false;
}

/* A line or section about one table. */
static void
check_single(struct checking *c, const char *whose, const char *where,
             const struct sink_config *sink, const char *schema, const char *table,
             const struct catalog *catalog)
{
    if (!is_published(schema, table, catalog))
        verdict_say(&c->verdicts, VERDICT_WARN, "%s%s: no table %s.%s is published", whose, where,
                    schema, table);
    else if (!tablefilter_takes(&sink->filter, schema, table))
        verdict_say(&c->verdicts, VERDICT_WARN, "%s%s: tables leaves %s.%s out", whose, where,
                    schema, table);
}

/* Finds entries in tables, map and sections of tables that match no table. Often a name is
 * misspelled. */
static void
check_lists(struct checking *c, const char *whose, const struct sink_config *sink,
            const struct catalog *catalog)
{
    char shown[300];

    for (size_t i = 0; i < sink->filter.count; i++) {
        if (matches_any(&sink->filter.patterns[i], catalog))
            continue;
        names_show_pattern(&sink->filter.patterns[i], shown, sizeof shown);
        verdict_say(&c->verdicts, VERDICT_WARN, "%stables: %s matches no published table", whose,
                    shown);
    }
    for (size_t i = 0; i < sink->map.count; i++)
        check_single(c, whose, "map", sink, sink->map.entries[i].schema, sink->map.entries[i].table,
                     catalog);
    for (const struct table_config *t = sink->choices; t != NULL; t = t->next)
        check_single(c, whose, pool_print(&c->pool, "line %d", t->line), sink, t->of.schema,
                     t->of.table, catalog);
}

/* A program of the user's is not run. But if it is named by its path, it must be there. */
static void
check_command(struct checking *c, const char *whose, const struct sink_config *sink)
{
    const char *word = sink->command + strspn(sink->command, " ");
    char *path;

    if (strncmp(word, "exec ", 5) == 0)
        word += 5 + strspn(word + 5, " ");
    path = pool_copy(&c->pool, word);
    path[strcspn(path, " ")] = '\0';
    if (strchr(path, '/') != NULL && path[strcspn(path, "\"'`$\\=;|&<>(){}*?[]~#")] == '\0' &&
        access(path, X_OK) != 0)
        verdict_say(&c->verdicts, VERDICT_FAIL, "%scannot run \"%s\": %s", whose, path,
                    strerror(errno));
    else
        verdict_say(&c->verdicts, VERDICT_OK, "%syour own program, not tested: %s", whose,
                    sink->command);
}

/* source is described_open's file, or -1. */
static void
check_sink(struct checking *c, const struct sink_config *sink, int source)
{
    const char *whose = pool_print(&c->pool, "sink %s: ", sink->name);
    struct helper helper = {.directory = c->programs, .out = -1};
    struct err err = {0};

    if (source < 0)
        return;
    helper.in = described_route(c->config, &c->pool, c->programs, sink, source, &err);
    if (helper.in < 0) {
        verdict_say(&c->verdicts, VERDICT_FAIL, "%s%s", whose, err.message);
        return;
    }
    if (sink->type == SINK_EXEC) {
        check_command(c, whose, sink);
    } else {
        helper.argv = plan_sink_arguments(c->config, &c->pool, sink, PLAN_CHECK);
        helper.env = plan_sink_env(&c->pool, c->env, sink);
        checking_run(c, whose, &helper);
    }
    close(helper.in);
}

void
check_sinks(struct checking *c, const struct catalog *catalog, bool known)
{
    struct err err = {0};
    int source = described_open(catalog, &err);

    if (source < 0)
        verdict_fail(&c->verdicts, "check", &err);
    for (size_t i = 0; i < c->config->sinks_count; i++) {
        const struct sink_config *sink = &c->config->sinks[i];
        const char *whose = pool_print(&c->pool, "sink %s: ", sink->name);

        if (known)
            check_lists(c, whose, sink, catalog);
        else
            verdict_say(&c->verdicts, VERDICT_WARN,
                        "%snot checked against the source's tables, which could not be read",
                        whose);
        check_sink(c, sink, source);
    }
    if (source >= 0)
        close(source);
}

void
check_sinks_one(struct checking *c, const struct catalog *catalog, const struct sink_config *sink)
{
    struct err err = {0};
    int source = described_open(catalog, &err);

    if (source < 0)
        verdict_fail(&c->verdicts, "check", &err);
    check_sink(c, sink, source);
    if (source >= 0)
        close(source);
}
