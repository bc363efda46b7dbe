/* making.c: see making.h. The statements are those of --create-tables. */
#include "sink-ch/making.h"

#include <stdio.h>

#include "lib/verdict.h"
#include "sink-ch/schema.h"
#include "sink-ch/schema_create.h"
#include "sink-ch/stated.h"
#include "sink-ch/view.h"

struct making {
    struct verdicts verdicts;
    const char *in_front; /* of a line that is no statement */
    const char *table;    /* at hand */
};

static void
say(void *context, enum finding finding, const char *text, const char *hint)
{
    struct making *m = context;

    if (finding != FINDING_FAIL)
        return;
    fputs(m->in_front, stdout);
    verdict_say(&m->verdicts, VERDICT_FAIL, "table %s: %s%s%s", m->table, text,
                hint[0] == '\0' ? "" : ": ", hint);
}

static void
tell(struct making *m, const struct table *table, const char *result)
{
    fputs(m->in_front, stdout);
    verdict_say(&m->verdicts, VERDICT_OK, "table %s -> %s: %s", table->source_name,
                table->target_sql, result);
}

static int
print_table(struct worker *w, const struct table *table, struct err *err)
{
    int rc = schema_create(&w->server, w->options, table, err);

    return rc == 0 && table_has_key(table) ? view_create(&w->server, w->options, table, err) : rc;
}

/* Finds out what the table lacks, before it may create anything. */
static int
do_missing(struct worker *w, struct making *m, struct table *table, bool exists, struct err *err)
{
    struct report report = {.say = say, .context = m};

    if (w->options->schema == SCHEMA_PRINT && !exists)
        return print_table(w, table, err);
    if (w->options->schema == SCHEMA_PRINT) {
        tell(m, table, "lacks columns, which --apply adds");
        return 0;
    }
    switch (schema_load(&w->server, w->options, table, true, &report, err)) {
    case SCHEMA_READY:
        tell(m, table, exists ? "added columns" : "made");
        return 0;
    case SCHEMA_UNFIT:
        return 0;
    default:
        return -1;
    }
}

static void
do_table(struct worker *w, struct making *m, struct table *table)
{
    struct report report = {.say = say, .context = m};
    enum schema_status status;
    struct err err = {0};
    int rc = 0;

    m->table = table->source_name;
    status = schema_load(&w->server, w->options, table, false, &report, &err);
    if (status == SCHEMA_READY)
        tell(m, table, "exists already");
    else if (status == SCHEMA_MISSING || status == SCHEMA_NARROW)
        rc = do_missing(w, m, table, status == SCHEMA_NARROW, &err);
    if (rc != 0 || status == SCHEMA_ERROR)
        say(m, FINDING_FAIL, err.message, err.hint);
}

int
making_run(struct worker *w, struct err *err)
{
    bool print = w->options->schema == SCHEMA_PRINT;
    struct making m = {.verdicts.out = stdout, .in_front = print ? "-- " : ""};
    struct stated stated = {0};
    int rc = server_probe(&w->server, w->options->database, err);

    if (rc == 0)
        rc = stated_read(&stated, w, err);
    if (print)
        w->server.statements = stdout;
    for (uint32_t i = 0; rc == 0 && i < stated.count; i++)
        do_table(w, &m, stated.tables[i]);
    stated_free(&stated);
    return rc == 0 && m.verdicts.failed ? 1 : rc;
}
