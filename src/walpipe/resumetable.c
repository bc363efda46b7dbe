/* resumetable.c: see resumetable.h. A resync ends the parking, so nothing else is needed. */
#include "walpipe/resumetable.h"

#include <string.h>

#include "lib/names.h"
#include "walpipe/resync.h"
#include "walpipe/tables.h"

struct resuming {
    const struct config *config;
    const char *sink;
    const char *text;
    struct table_name table;
    struct tables_found found;
};

/* Others park no table. */
static bool
is_chosen(const struct resuming *r, const struct sink_config *sink)
{
    return sink->type != SINK_EXEC && (r->sink == NULL || strcmp(r->sink, sink->name) == 0);
}

static int
read_targets(struct resuming *r, struct pool *pool, struct err *err)
{
    bool *sinks = pool_take(pool, (r->config->sinks_count + 1) * sizeof *sinks);
    struct tables_choice choice = {.config = r->config, .sinks = sinks};

    for (size_t i = 0; i < r->config->sinks_count; i++)
        sinks[i] = is_chosen(r, &r->config->sinks[i]);
    if (tables_read(&choice, &r->found, pool, err) != 0)
        return -1;
    for (size_t i = 0; i < r->config->sinks_count; i++)
        if (sinks[i] && !r->found.lists[i].known) {
            err_set(err, r->found.lists[i].code,
                    "could not ask the target of sink %s whether %s is parked: %.800s",
                    r->config->sinks[i].name, r->text, r->found.lists[i].why);
            return err_hint(err, "correct the cause, or name another sink with --sink");
        }
    return 0;
}

static bool
is_parked(const struct resuming *r, size_t sink)
{
    const struct tablelist *list = &r->found.lists[sink];

    for (size_t i = 0; i < list->count; i++)
        if (list->tables[i].parked != NULL &&
            strcmp(list->tables[i].schema, r->table.schema) == 0 &&
            strcmp(list->tables[i].name, r->table.table) == 0)
            return true;
    return false;
}

static int
refuse(const struct resuming *r, struct err *err)
{
    bool known = r->sink == NULL;

    for (size_t i = 0; i < r->config->sinks_count; i++)
        known = known || strcmp(r->config->sinks[i].name, r->sink) == 0;
    if (!known)
        return err_set(err, EXIT_REFUSED, "%s has no sink \"%s\"", r->config->path, r->sink);
    err_set(err, EXIT_REFUSED, "%s is not parked in %s%s", r->text,
            r->sink == NULL ? "any sink" : "sink ", r->sink == NULL ? "" : r->sink);
    return err_hint(err, "walpipe tables shows the state of each table; walpipe resync copies one "
                         "again that is not parked");
}

int
resumetable_run(const struct config *config, const struct log *log, const char *sink,
                const char *table, bool wait)
{
    struct resuming r = {.config = config, .sink = sink, .text = table};
    struct pool pool = {0};
    struct err err = {0};
    bool any = false;
    int code = EXIT_DONE;

    if (names_table(table, &r.table, &err) != 0 || read_targets(&r, &pool, &err) != 0)
        code = log_failure(log, &err);
    for (size_t i = 0; i < config->sinks_count && code == EXIT_DONE; i++) {
        if (!is_parked(&r, i))
            continue;
        any = true;
        code = resync_table(config, log, config->sinks[i].name, table, wait);
    }
    if (code == EXIT_DONE && !any && refuse(&r, &err) != 0)
        code = log_failure(log, &err);
    pool_free(&pool);
    return code;
}
