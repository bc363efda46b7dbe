/* match.c: see match.h. */
#include "sink-pg/match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The plan's column for a target column number, or UINT32_MAX. */
static uint32_t
column_of_number(const struct plan *plan, int16_t number)
{
    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (plan->columns[i].number == number)
            return i;
    return UINT32_MAX;
}

static bool
is_in(const uint32_t *list, uint32_t count, uint32_t what)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] == what)
            return true;
    return false;
}

/* An index's columns as places in the plan. Returns 0 if one of them is not in it. */
static uint32_t
index_columns(const struct plan *plan, const struct catalog_index *index, uint32_t *out)
{
    for (uint32_t n = 0; n < index->count; n++) {
        out[n] = column_of_number(plan, index->columns[n]);
        if (out[n] == UINT32_MAX)
            return 0;
    }
    return index->count;
}

/* Under FULL, the target's own primary key finds a row faster than all its columns. A deferrable
 * one does not tell rows apart, because two may hold one key inside a transaction, for example when
 * they swap keys. */
static void
take_target_key(struct plan *plan, const struct catalog *catalog)
{
    uint32_t columns[INDEX_COLUMNS_MAX];

    for (uint32_t i = 0; i < catalog->indexes_count; i++) {
        const struct catalog_index *index = &catalog->indexes[i];
        uint32_t n = index_columns(plan, index, columns);

        if (!index->unique || !index->primary || !index->immediate || n == 0)
            continue;
        memcpy(plan->keys, columns, n * sizeof *columns);
        plan->keys_count = n;
    }
}

/* Columns of indexes, the leading ones first. The server then chooses. */
static void
take_indexed(struct plan *plan, const struct catalog *catalog)
{
    uint8_t count = 0;

    for (uint32_t n = 0; n < INDEX_COLUMNS_MAX; n++)
        for (uint32_t i = 0; i < catalog->indexes_count && count < INDEXED_MAX; i++) {
            const struct catalog_index *index = &catalog->indexes[i];
            uint32_t first = column_of_number(plan, index->columns[0]);
            uint32_t column = column_of_number(plan, index->columns[n]);

            if (!index->searches || n >= index->count || first == UINT32_MAX ||
                column == UINT32_MAX || plan->columns[column].indexed != 0)
                continue;
            plan->columns[column].indexed = ++count;
        }
}

static void
take_source_key(struct plan *plan, const struct relation *relation)
{
    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (relation->columns[plan->columns[i].source].key)
            plan->keys[plan->keys_count++] = i;
}

static bool
is_on_keys(const struct plan *plan, const struct catalog_index *index)
{
    uint32_t columns[INDEX_COLUMNS_MAX];
    uint32_t n = index_columns(plan, index, columns);
    bool same = index->unique && n == plan->keys_count && n > 0;

    for (uint32_t k = 0; k < n && same; k++)
        same = is_in(plan->keys, plan->keys_count, columns[k]);
    return same;
}

static enum plan_index
find_index(const struct plan *plan, const struct catalog *catalog)
{
    enum plan_index found = INDEX_NONE;

    for (uint32_t i = 0; i < catalog->indexes_count; i++)
        if (is_on_keys(plan, &catalog->indexes[i])) {
            if (catalog->indexes[i].immediate && !catalog->indexes[i].exclusion &&
                !catalog->update_rules)
                return INDEX_ARBITER;
            found = INDEX_UNIQUE;
        }
    return found;
}

static bool
has_indexed(const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (plan->columns[i].indexed != 0)
            return true;
    return false;
}

static void
note_match(const struct plan *plan, struct notes *notes)
{
    if (plan->match == MATCH_KEY && plan->index != INDEX_ARBITER)
        notes_add(notes,
                  "no unique, immediate, valid index without a predicate on exactly the source's "
                  "replica identity: updates and deletes go row by row, slowly%s",
                  plan->index == INDEX_UNIQUE ? " (there is one, but deferrable, WITHOUT OVERLAPS, "
                                                "or of a table with a rule ON UPDATE)"
                                              : "");
    if (plan->match == MATCH_ROW)
        notes_add(notes,
                  "replica identity full and no primary key: rows are found by all their columns%s",
                  has_indexed(plan) ? ", through an index" : ", slowly; an index helps");
    if (plan->coarse_key)
        notes_add(notes, "values of the key that differ in the source may be equal in the target: "
                         "an insert of a key that is there stops the sink");
    if (plan->match == MATCH_NOTHING)
        notes_add(notes, "the source table has no key: only inserts can be applied");
}

/* A view gives no name to one row among equal ones. */
static int
no_row_of_a_view(const char *label, struct err *err)
{
    err_set(err, EXIT_REFUSED,
            "%s is a view, and the source table has REPLICA IDENTITY FULL: a single row cannot be "
            "found in a view, which has no key",
            label);
    return err_hint(err, "map the source table to the view's base table");
}

int
match_choose(struct plan *plan, const struct plan_input *input, struct err *err)
{
    bool full = input->relation->replica_identity == 'f';

    plan->keys = calloc(plan->columns_count + INDEX_COLUMNS_MAX, sizeof *plan->keys);
    if (plan->keys == NULL)
        return err_set(err, EXIT_PEER, "out of memory for the plan of %s", input->label);
    if (full)
        take_target_key(plan, input->catalog);
    else
        take_source_key(plan, input->relation);
    for (uint32_t k = 0; k < plan->keys_count; k++) {
        plan->columns[plan->keys[k]].key = true;
        plan->coarse_key |= plan->columns[plan->keys[k]].coarse;
    }
    plan->match = plan->keys_count > 0 ? MATCH_KEY : full ? MATCH_ROW : MATCH_NOTHING;
    if (plan->match == MATCH_ROW && plan->kind == 'v')
        return no_row_of_a_view(input->label, err);
    if (plan->match == MATCH_ROW)
        take_indexed(plan, input->catalog);
    plan->index = find_index(plan, input->catalog);
    plan->overwrites = plan->index != INDEX_NONE && !full && !plan->coarse_key;
    note_match(plan, input->notes);
    return 0;
}

int
match_require_overwrites(const struct plan *plan, const char *label, struct err *err)
{
    if (plan->overwrites)
        return 0;
    snprintf(err->relation, sizeof err->relation, "%s", label);
    err_set(err, EXIT_REFUSED,
            "%s cannot take copied rows: %s, so a row that a change has already inserted would be "
            "there twice, or stop the copy",
            label,
            plan->index == INDEX_NONE
                ? "it has no unique index on exactly the columns of the source's key"
                : "keys that differ in the source may be equal in it");
    if (plan->kind == 'v' || plan->kind == 'f')
        return err_hint(err, "while walpipe is stopped, map the source table to an empty ordinary "
                             "table with such an index, and delete the source table's rows from "
                             "walpipe.tables in the target");
    if (plan->index == INDEX_NONE)
        return err_hint(err, "create a primary key or a unique index on exactly these columns in "
                             "the target, then start again");
    return err_hint(err, "give the target's key the type and the collation of the source's, then "
                         "start again; if they are those, and the collation is nondeterministic, "
                         "leave the table out of the sink with tables");
}
