/* ways.c: see ways.h. If a set-based way does not succeed, it is undone, and the changes are
 * applied one by one. */
#include "sink-pg/ways.h"

#include <string.h>

#include "sink-pg/savepoint.h"

/* Changes up to which one by one is faster than a COPY, a merge and their round trips. */
#define ONE_BY_ONE_MAX 50

/* A row from this size on is copied too, because COPY takes it in pieces, while parameters are one
 * more copy here and one in libpq. */
#define LARGE_ROW (4u << 20)

/* Few rows of a range are copied too if they are as large as this. More may come while they are. */
#define LARGE_ROWS (64u << 10)

static bool
has_large_row(const struct op_list *list)
{
    uint32_t at = list->first;

    for (uint32_t i = 0; i < list->count; i++) {
        if (list->batch->ops[at].length >= LARGE_ROW)
            return true;
        at = op_list_next(list, at);
    }
    return false;
}

bool
ways_suit_set(const struct op_list *list)
{
    return list->count > ONE_BY_ONE_MAX || has_large_row(list);
}

static enum outcome
one_by_one(struct ways *w, struct session *s, const struct op_list *list, bool deferred,
           struct err *err)
{
    struct rows *rows = &w->rows;

    if (rows_start(rows, s, err) != 0)
        return rows_outcome(rows, err);
    if (pipe_command(&rows->pipe, STEP_COMMAND, SAVEPOINT_SET, err) != 0 ||
        (deferred &&
         pipe_command(&rows->pipe, STEP_COMMAND, "SET CONSTRAINTS ALL DEFERRED", err) != 0))
        return rows_give_up(rows, err);
    if (rows_queue(rows, list, err) != 0)
        return rows_outcome(rows, err);
    if (pipe_command(&rows->pipe, STEP_COMMAND, SAVEPOINT_KEEP, err) != 0)
        return rows_give_up(rows, err);
    return rows_finish(rows, list->batch, err) != 0 ? rows_outcome(rows, err) : OUTCOME_DONE;
}

/* After one by one was refused. Another row may have a unique value of the change. */
static bool
is_key_taken(const struct ways *w)
{
    return strcmp(w->rows.pipe.failure.sqlstate, "23505") == 0;
}

static void
hint_key_taken(const struct table *table, struct err *err)
{
    if (table->plan->coarse_key)
        err_hint(err, "keys that differ in the source are equal in the target: give the target's "
                      "key the type and the collation of the source's, then start again; nothing "
                      "is lost");
    else if (table->relation.replica_identity == 'f')
        err_hint(err, "an insert replaces no row under REPLICA IDENTITY FULL: if the source's "
                      "constraint is DEFERRABLE, make the target's DEFERRABLE too; if the source "
                      "does not have the target's row, delete it there; then start again");
}

/* Applies them one by one. Repeats it if an insert met a row for the first time. The findings of an
 * attempt that is undone are dropped. */
static enum outcome
rows_one_by_one(struct ways *w, struct session *s, const struct op_list *list, bool deferred,
                struct err *err)
{
    struct plan *plan = list->table->plan;
    const struct found before = list->table->found;
    const bool met = plan->met;
    enum outcome outcome = one_by_one(w, s, list, deferred, err);

    if (outcome == OUTCOME_DONE)
        return outcome;
    list->table->found = before;
    if (outcome != OUTCOME_REFUSED || plan->met == met || !plan->overwrites)
        return outcome;
    outcome = savepoint_undo(s, err);
    if (outcome == OUTCOME_DONE)
        outcome = one_by_one(w, s, list, deferred, err);
    if (outcome != OUTCOME_DONE)
        list->table->found = before;
    return outcome;
}

/* Unique values change places within the batch, so the rows are deleted first. Not if that would
 * fire foreign keys' actions, or delete another row whose key is only equal. */
static enum outcome
evict(struct ways *w, struct session *s, const struct op_list *list, struct err *err)
{
    struct err first = *err;
    enum outcome outcome;

    if (!s->replica || list->table->plan->match != MATCH_KEY || list->table->plan->coarse_key)
        return OUTCOME_REFUSED;
    outcome = savepoint_undo(s, err);
    if (outcome == OUTCOME_DONE)
        outcome = merge_apply(&w->merge, s, list, true, err);
    if (outcome != OUTCOME_NOT)
        return outcome;
    *err = first;
    return OUTCOME_REFUSED;
}

static enum outcome
apply_rows(struct ways *w, struct session *s, const struct op_list *list, bool deferred,
           struct err *err)
{
    enum outcome outcome = rows_one_by_one(w, s, list, deferred, err);

    if (outcome != OUTCOME_REFUSED || !is_key_taken(w))
        return outcome;
    hint_key_taken(list->table, err);
    return evict(w, s, list, err);
}

/* COPY into the table fails if a row of an insert's key is there. In the stream that is rare. In
 * the ranges of a table that changes meanwhile it is common, so after the first time they are
 * merged. */
enum outcome
ways_copy(struct ways *w, struct session *s, struct table *table, uint32_t count, size_t bytes,
          const struct row_source *rows, struct err *err)
{
    if (table->plan->fires != FIRES_NOTHING || table->covered ||
        (count <= ONE_BY_ONE_MAX && bytes < LARGE_ROWS))
        return OUTCOME_NOT;
    return merge_copy_rows(&w->merge, s, table, rows, err);
}

/* Rows of ranges have been through ways_copy. */
static enum outcome
apply_set(struct ways *w, struct session *s, const struct op_list *list, struct err *err)
{
    struct table *table = list->table;
    enum outcome outcome;

    if (list->inserts == list->count && !table->of_ranges)
        return merge_copy(&w->merge, s, list, err);
    outcome = merge_apply(&w->merge, s, list, false, err);
    table->covered = table->covered || (table->of_ranges && outcome == OUTCOME_DONE);
    return outcome;
}

static enum outcome
apply_best(struct ways *w, struct session *s, const struct op_list *list, bool careful,
           struct err *err)
{
    enum outcome outcome;

    if (careful || !ways_suit_set(list))
        return apply_rows(w, s, list, careful, err);
    outcome = apply_set(w, s, list, err);
    if (outcome != OUTCOME_NOT)
        return outcome;
    log_write(s->log, LOG_DEBUG, "%s: one by one instead of as a set", list->table->label);
    return apply_rows(w, s, list, true, err);
}

/* The list's next part that is all inserts, or has none. *at moves behind it. */
static struct op_list
next_part(const struct op_list *list, uint32_t *at)
{
    const struct op *ops = list->batch->ops;
    struct op_list part = *list;
    bool inserts = ops[*at].type == FRAME_INSERT;

    part.first = *at;
    part.count = 0;
    do {
        part.count++;
        *at = op_list_next(list, *at);
    } while (*at != OP_NONE && (ops[*at].type == FRAME_INSERT) == inserts);
    part.inserts = inserts ? part.count : 0;
    return part;
}

/* Without a key to merge by, only runs of inserts go as sets. */
static enum outcome
apply_keyless(struct ways *w, struct session *s, const struct op_list *list, bool careful,
              struct err *err)
{
    enum outcome outcome = OUTCOME_DONE;
    uint32_t at = list->first;

    while (at != OP_NONE && outcome == OUTCOME_DONE) {
        struct op_list part = next_part(list, &at);

        outcome = part.inserts > 0 ? apply_best(w, s, &part, careful, err)
                                   : apply_rows(w, s, &part, careful, err);
    }
    return outcome;
}

/* Triggers see each change as the source made it, or cancel it. */
static enum outcome
fire_one_by_one(struct ways *w, struct session *s, const struct op_list *list, bool careful,
                struct err *err)
{
    enum outcome outcome = one_by_one(w, s, list, careful, err);

    if (outcome == OUTCOME_REFUSED && is_key_taken(w))
        hint_key_taken(list->table, err);
    return outcome;
}

enum outcome
ways_apply(struct ways *w, struct session *s, const struct op_list *list, bool careful,
           struct err *err)
{
    if (list->table->plan->fires != FIRES_NOTHING)
        return fire_one_by_one(w, s, list, careful, err);
    if (list->inserts < list->count && list->table->plan->index != INDEX_ARBITER)
        return apply_keyless(w, s, list, careful, err);
    return apply_best(w, s, list, careful, err);
}

void
ways_free(struct ways *w)
{
    rows_free(&w->rows);
    merge_free(&w->merge);
}
