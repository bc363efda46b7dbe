/* ddl.c: see ddl.h. */
#include "sink-ch/ddl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/ackclient.h"
#include "lib/lsn.h"
#include "sink-ch/describe.h"

/* Logs each thing that a person should know once. */
static int say(struct worker *w, const struct table *table, struct err *err, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

static int
say(struct worker *w, const struct table *table, struct err *err, const char *fmt, ...)
{
    struct ack_differences found = {.schema_changes = 1};
    struct lsn_text lsn = lsn_format(w->transaction.commit_lsn);
    const struct log_field fields[] = {{.name = "relation", .text = table->source_name},
                                       {.name = "lsn", .text = lsn.text}};
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log_write_fields(w->log, LOG_WARNING, fields, sizeof fields / sizeof *fields,
                     "table \"%s\" was changed before the transaction at %s: %s",
                     table->source_name, lsn.text, text);
    memcpy(found.relation, table->source_name, sizeof found.relation);
    return ackclient_differences(&w->intake.ack, &found, err);
}

/* ---- the table ---- */

int
ddl_look_at_name(struct worker *w, const struct table *table, const struct table *old,
                 struct err *err)
{
    if (old != NULL)
        return strcmp(old->target_sql, table->target_sql) == 0
                   ? 0
                   : say(w, table, err,
                         "its name was \"%s\"; the rows that it had stay in %s, those that change "
                         "from now on go to %s",
                         old->source_name, old->target_sql, table->target_sql);
    for (uint32_t i = 0; i < w->tables_count; i++)
        if (w->by_number[i]->relation.relid != table->relation.relid &&
            strcmp(w->by_number[i]->source_name, table->source_name) == 0)
            return say(w, table, err,
                       "another table had this name, which was dropped or renamed; its rows are "
                       "still in %s",
                       table->target_sql);
    return 0;
}

/* ---- its columns ---- */

static uint32_t
attnum_of(const struct table *table, const char *name)
{
    const struct tableinfo_column *known =
        table->informed ? tableinfo_named(&table->info, name) : NULL;

    return known == NULL ? 0 : known->attnum;
}

static int
look_at_column(struct worker *w, const struct table *table, uint32_t number, struct err *err)
{
    const char *name = table->relation.columns[number].name;
    uint32_t attnum = attnum_of(table, name);
    const struct seen_name *before = seen_current(&table->seen, attnum);
    const struct seen_name *same = seen_find(&table->seen, name);
    enum past past = table->past == NULL ? PAST_THERE : table->past[number];

    if (table_leaves_out(table, number))
        return 0;
    if (before != NULL && strcmp(before->name, name) != 0)
        return !described_has(&table->described, before->name)
                   ? 0
                   : say(w, table, err,
                         "column \"%s\" was renamed to \"%s\"; older rows of %s hold its values "
                         "in \"%s\", where they stay",
                         before->name, name, table->target_sql, before->name);
    if (past == PAST_UNKNOWN)
        return say(w, table, err,
                   "column \"%s\" was added to %s; older rows show NULL there, or the default of a "
                   "type without NULL, whatever they hold in the source: its catalog does not have "
                   "the value, or was ahead of the stream, or the chosen type has no such DEFAULT",
                   name, table->target_sql);
    if (past == PAST_THERE && same != NULL && attnum != 0 && same->attnum != 0 &&
        same->attnum != attnum)
        return say(w, table, err,
                   "column \"%s\" was dropped and added again; older rows of %s still show the "
                   "values of the dropped one",
                   name, table->target_sql);
    return 0;
}

static bool
has_column(const struct table *table, const struct seen_name *column)
{
    for (uint32_t i = 0; i < table->relation.columns_count; i++) {
        const char *name = table->relation.columns[i].name;

        if (strcmp(name, column->name) == 0 ||
            (column->attnum != 0 && attnum_of(table, name) == column->attnum))
            return true;
    }
    return false;
}

/* Without its number nobody knows whether a column that is gone was renamed. */
static int
look_at_gone(struct worker *w, const struct table *table, struct err *err)
{
    for (uint32_t i = 0; i < table->seen.count; i++) {
        const struct seen_name *column = &table->seen.names[i];

        if (column->current && (column->attnum == 0 || !table->informed) &&
            !has_column(table, column) && described_has(&table->described, column->name) &&
            say(w, table, err,
                "column \"%s\" was dropped or renamed; older rows of %s hold its values under "
                "that name, where they stay",
                column->name, table->target_sql) != 0)
            return -1;
    }
    return 0;
}

int
ddl_look_at_columns(struct worker *w, struct table *table, struct err *err)
{
    uint32_t count = table->relation.columns_count;

    for (uint32_t i = 0; i < count; i++)
        if (look_at_column(w, table, i, err) != 0)
            return -1;
    if (look_at_gone(w, table, err) != 0)
        return -1;
    seen_age(&table->seen);
    for (uint32_t i = 0; i < count; i++) {
        const char *name = table->relation.columns[i].name;

        if (seen_note(&table->seen, name, attnum_of(table, name), err) != 0)
            return -1;
    }
    free(table->past);
    table->past = NULL;
    return 0;
}
