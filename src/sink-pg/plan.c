/* plan.c: see plan.h. Names of the target that come from a catalog are always quoted. */
#include "sink-pg/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink-pg/columns.h"
#include "sink-pg/match.h"
#include "sink-pg/sqltext.h"

/* Never uses ONLY for a partitioned table, because its rows are in its partitions. */
static int
name_target(struct plan *plan, const char *schema, const char *name, char kind, struct err *err)
{
    static const char only[] = "ONLY ";
    struct buf sql = {0};

    sqltext_add(&sql, "%s", only);
    sqltext_name(&sql, schema);
    sqltext_add(&sql, ".");
    sqltext_name(&sql, name);
    if (sqltext_get(&sql) != NULL) {
        const char *text = (const char *)sql.data;

        plan->target = strdup(text + strlen(only));
        plan->rows = strdup(kind == 'r' ? text : text + strlen(only));
    }
    buf_free(&sql);
    return plan->rows == NULL || plan->target == NULL
               ? err_set(err, EXIT_PEER, "out of memory for a table")
               : 0;
}

static void
look_at_triggers(struct plan *plan, const struct plan_input *input)
{
    const struct catalog *c = input->catalog;

    plan->fires = c->rules != NULL          ? FIRES_RULES
                  : c->row_triggers != NULL ? FIRES_TRIGGERS
                  : c->cascades             ? FIRES_ACTIONS
                                            : FIRES_NOTHING;
    if (c->row_triggers != NULL)
        notes_add(
            input->notes,
            "row triggers fire (%s): changes go one by one, in the source's order, slowly; an "
            "update whose row is not there does nothing",
            c->row_triggers);
    if (c->rules != NULL)
        notes_add(
            input->notes,
            "rules fire (%s): changes go one by one, in the source's order, slowly; an update "
            "whose row is not there does nothing, and no insert overwrites a row",
            c->rules);
    if (c->cascades)
        notes_add(input->notes, "foreign keys change other rows with this table's: changes go one "
                                "by one, in the source's order, slowly");
    if (c->statement_triggers != NULL)
        notes_add(input->notes,
                  "statement-level triggers fire (%s), but for walpipe's statements, not for the "
                  "source's",
                  c->statement_triggers);
}

int
plan_refuse_missing(const char *label, struct err *err)
{
    err_set(err, EXIT_REFUSED, "there is no table %s in the target database", label);
    return err_hint(err,
                    "create the table in the target (walpipe schema --apply), or leave it out of "
                    "this sink with tables = ..., or give it another target with map; if it was "
                    "there before, also run walpipe resync for it, since its rows are gone");
}

static int
refuse_swallowed(const char *label, const struct catalog *c, struct err *err)
{
    if (c->swallowed == NULL)
        return 0;
    err_set(err, EXIT_REFUSED,
            "%s is a view whose INSTEAD OF triggers (%s) do not fire in this session: PostgreSQL "
            "would take its rows and keep none",
            label, c->swallowed);
    return err_hint(err, "send the source's table to a table with map, or drop the triggers if the "
                         "view takes rows without them");
}

struct plan *
plan_make(struct session *s, const struct relation *relation, const char *schema, const char *name,
          struct notes *notes, struct err *err)
{
    struct plan *plan = calloc(1, sizeof *plan);
    struct catalog catalog = {0};
    char label[132];
    struct plan_input input = {
        .relation = relation, .catalog = &catalog, .label = label, .notes = notes};
    int rc = -1;

    snprintf(label, sizeof label, "%s.%s", schema, name);
    if (plan == NULL) {
        err_set(err, EXIT_PEER, "out of memory for a table");
        return NULL;
    }
    plan->generation = s->generation;
    switch (catalog_read(s, schema, name, &catalog, err)) {
    case 1:
        plan->kind = catalog.kind;
        plan->tree = catalog.tree;
        rc = refuse_swallowed(label, &catalog, err);
        if (rc == 0)
            rc = name_target(plan, schema, name, catalog.kind, err);
        look_at_triggers(plan, &input);
        if (rc == 0)
            rc = columns_read(plan, &input, err);
        if (rc == 0)
            rc = match_choose(plan, &input, err);
        break;
    case 0:
        rc = plan_refuse_missing(label, err);
        break;
    }
    catalog_free(&catalog);
    if (rc == 0)
        return plan;
    plan_free(plan);
    return NULL;
}

bool
plan_has_identity(const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (plan->columns[i].identity_always)
            return true;
    return false;
}

bool
plan_can_set(const struct plan *plan, uint32_t column)
{
    return !plan->columns[column].identity_always;
}

bool
plan_overwrites(const struct plan *plan, uint32_t column)
{
    const struct plan_column *c = &plan->columns[column];

    return plan_can_set(plan, column) && (!c->key || !c->exact);
}

void
plan_free(struct plan *plan)
{
    if (plan == NULL)
        return;
    while (plan->statements != NULL) {
        struct plan_stmt *stmt = plan->statements;

        plan->statements = stmt->next;
        free(stmt->mask);
        free(stmt->params);
        free(stmt);
    }
    signature_free(&plan->signature);
    free(plan->target);
    free(plan->rows);
    free(plan->extras);
    free(plan->columns);
    free(plan->keys);
    free(plan);
}
