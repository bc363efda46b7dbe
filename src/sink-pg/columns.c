/* columns.c: see columns.h. Must not know how rows are found. */
#include "sink-pg/columns.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pgtype.h"

/* `=` is true only for values that print alike, also for arrays' elements. That holds for numeric
 * if the column has a scale, with which all its values are written. For char(n) it holds except for
 * the padding, which is no part of the value. */
static bool
is_exact(const struct catalog_column *c)
{
    static const uint32_t exact[] = {
        PG_BOOL, PG_BYTEA,   PG_CHAR, PG_NAME, PG_INT8,      PG_INT2,        PG_INT4, PG_TEXT,
        PG_OID,  PG_VARCHAR, PG_DATE, PG_TIME, PG_TIMESTAMP, PG_TIMESTAMPTZ, PG_UUID, PG_BPCHAR};

    if (!c->byte_order)
        return false;
    if (c->part_oid == PG_NUMERIC)
        return c->base_typmod >= 0;
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        if (exact[i] == c->part_oid)
            return true;
    return c->part_kind == 'e';
}

/* The target's `=` may hold for values that the source's tells apart. One reason is a collation
 * that treats different texts as equal. The source's collation does not matter, because the stream
 * does not report it. Another is numeric, which treats 1.0 and 1.00 as equal, while the source's
 * column is text. */
static bool
is_coarse(const struct relation_column *from, const struct catalog_column *c,
          const struct plan_column *to)
{
    if (!c->byte_order)
        return true;
    if (to->exact || (to->rule.source_oid != 0 && to->rule.source_oid == c->base_type_oid))
        return false;
    return c->base_type_oid < PGTYPE_ANNOUNCED_FIRST || strcmp(from->type_name, c->base_name) != 0;
}

static const struct relation_column *
find_source(const struct relation *r, const char *name, uint32_t *place)
{
    for (uint32_t i = 0; i < r->columns_count; i++)
        if (strcmp(r->columns[i].name, name) == 0) {
            *place = i;
            return &r->columns[i];
        }
    return NULL;
}

/* Which of the column's values COPY can take. */
static enum plan_copy
copy_of(const struct relation_column *from, const struct plan_column *to)
{
    if (to->rule.binary != BINARY_TAKEN || to->domain || to->rule.oids || to->rule.verified)
        return COPIES_TEXT;
    if (from->type_oid < PGTYPE_ANNOUNCED_FIRST && from->type_oid != to->type_oid)
        return COPIES_TEXT;
    return to->recode == RECODE_NONE ? COPIES_BINARY : COPIES_RECODED;
}

static void
note_types(const struct plan_input *input, const struct relation_column *from,
           const struct plan_column *to)
{
    if (to->rule.source_oid != 0 && from->type_oid < PGTYPE_ANNOUNCED_FIRST &&
        to->rule.binary == BINARY_BY_TEXT && from->type_oid != to->type_oid)
        notes_add(input->notes,
                  "column %s: the source's type has oid %" PRIu32 ", the target's is %s", to->name,
                  from->type_oid, to->type);
    if (to->rule.verified)
        notes_add(input->notes,
                  "column %s: whether %s takes every value as it is does not show from the types: "
                  "each value is compared, which is slower",
                  to->name, to->full_type);
}

/* Types that lose something without an error are refused before the first row. */
static int
refuse_loss(const struct plan_input *input, const struct plan_column *to, struct err *err)
{
    if (to->rule.loss == NULL)
        return 0;
    err_set(err, EXIT_REFUSED,
            "cannot apply to %s: its column \"%s\" is %s, which cannot hold all values of the "
            "source's type: %s",
            input->label, to->name, to->full_type, to->rule.loss);
    return err_hint(err, "give the target's column the source's type, or a wider one");
}

static int
compare_types(struct plan *plan, const struct plan_input *input, const struct relation_column *from,
              const struct catalog_column *column, struct plan_column *to, struct err *err)
{
    enum plan_copy copy;

    to->rule = typerule_of(from, column);
    to->recode = recode_of(to->type_oid, column->kind);
    plan->odd_types |= to->rule.binary == BINARY_BY_TEXT;
    plan->verified |= to->rule.verified;
    copy = copy_of(from, to);
    if (copy < plan->copy)
        plan->copy = copy;
    note_types(input, from, to);
    return refuse_loss(input, to, err);
}

/* A generated column takes its value from its own expression. */
static int
leave_generated(const struct plan_input *input, const struct relation_column *from, struct err *err)
{
    if (from == NULL || !from->key || input->relation->replica_identity == 'f')
        return 0;
    return err_set(err, EXIT_REFUSED,
                   "cannot apply to %s: its column \"%s\" is generated, but part of the source's "
                   "replica identity",
                   input->label, from->name);
}

static void
leave_extra(struct plan *plan, const struct plan_input *input, const struct catalog_column *column)
{
    struct plan_extra *extra = &plan->extras[plan->extras_count++];

    snprintf(extra->name, sizeof extra->name, "%s", column->name);
    if (column->kind == 'd')
        snprintf(extra->domain, sizeof extra->domain, "%s", column->type);
    if (column->required)
        notes_add(input->notes,
                  "column %s is not in the source, takes no NULL and has no default: inserts will "
                  "fail; give it a default",
                  column->name);
}

static int
add_column(struct plan *plan, const struct plan_input *input, const struct catalog_column *column,
           struct err *err)
{
    struct plan_column *to = &plan->columns[plan->columns_count];
    uint32_t place = 0;
    const struct relation_column *from = find_source(input->relation, column->name, &place);

    if (column->generated)
        return leave_generated(input, from, err);
    if (from == NULL) {
        leave_extra(plan, input, column);
        return 0;
    }
    plan->columns_count++;
    to->source = place;
    to->number = column->number;
    to->name = from->name;
    to->type_oid = column->type_oid;
    to->not_null = column->not_null;
    to->exact = is_exact(column);
    to->domain = column->kind == 'd';
    to->identity_always = column->identity_always;
    to->numeric = column->base_type_oid == PG_NUMERIC;
    snprintf(to->temp_type, sizeof to->temp_type, "%s", column->temp_type);
    snprintf(to->type, sizeof to->type, "%s", column->type);
    snprintf(to->equals, sizeof to->equals, "%s", column->equals);
    snprintf(to->full_type, sizeof to->full_type, "%s", column->full_type);
    snprintf(to->base_type, sizeof to->base_type, "%s", column->base_type);
    if (compare_types(plan, input, from, column, to, err) != 0)
        return -1;
    to->coarse = is_coarse(from, column, to);
    if (to->rule.verified)
        snprintf(to->temp_type, sizeof to->temp_type, "text");
    return 0;
}

static bool
has_column(const struct catalog *catalog, const char *name)
{
    for (uint32_t i = 0; i < catalog->columns_count; i++)
        if (strcmp(catalog->columns[i].name, name) == 0)
            return true;
    return false;
}

/* The target must have every source column, so that nothing is dropped silently (trap 44). */
static int
require_all_columns(const struct plan_input *input, struct err *err)
{
    for (uint32_t i = 0; i < input->relation->columns_count; i++) {
        const char *name = input->relation->columns[i].name;

        if (has_column(input->catalog, name))
            continue;
        err_set(err, EXIT_REFUSED, "cannot apply to %s: the target table has no column \"%s\"",
                input->label, name);
        return err_hint(err, "add the column to the target table, then start again; nothing is "
                             "lost");
    }
    return 0;
}

int
columns_read(struct plan *plan, const struct plan_input *input, struct err *err)
{
    const struct catalog *catalog = input->catalog;

    plan->copy = COPIES_RECODED;
    plan->columns = calloc(catalog->columns_count + 1u, sizeof *plan->columns);
    plan->extras = calloc(catalog->columns_count + 1u, sizeof *plan->extras);
    if (plan->columns == NULL || plan->extras == NULL)
        return err_set(err, EXIT_PEER, "out of memory for the plan of %s", input->label);
    for (uint32_t i = 0; i < catalog->columns_count; i++)
        if (add_column(plan, input, &catalog->columns[i], err) != 0)
            return -1;
    return require_all_columns(input, err);
}
