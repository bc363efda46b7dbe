/* merge.c: see merge.h. In the temporary table a delete fills the key's columns only. */
#include "sink-pg/merge.h"

#include <stdlib.h>
#include <string.h>

#include "sink-pg/mergesql.h"
#include "sink-pg/savepoint.h"
#include "sink-pg/sqltext.h"

/* Fewer inserts beside other changes go through the temporary table, because that saves a round
 * trip. */
#define DIRECT_INSERTS_MIN 100

/* More sets of updated columns than this are faster one by one. */
#define MASKS_MAX 16

/* One attempt. Its steps end with OUTCOME_DONE, OUTCOME_NOT, or, for any error, with
 * OUTCOME_REFUSED and err. settle checks whether the connection is still there. */
struct attempt {
    struct merge *m;
    struct session *session;
    const struct op_list *list; /* of a merge */
    struct table *table;
    struct plan *plan;
    enum copy_format format;
    bool evict;
    bool direct; /* inserts go into the target at once, not by the temporary table */
};

/* After OUTCOME_DONE the changes stay, otherwise they are undone. */
static enum outcome
settle(const struct attempt *a, enum outcome outcome, const struct err *why, struct err *err)
{
    struct session *s = a->session;

    if (outcome == OUTCOME_DONE)
        return a->m->savepoint ? savepoint_keep(s, err) : OUTCOME_DONE;
    log_write(s->log, LOG_DEBUG, "%s: not applied as a set: %s", a->table->label,
              why->message[0] == '\0' ? "not possible as a set" : why->message);
    if (PQstatus(s->conn) != CONNECTION_OK) {
        *err = *why;
        return OUTCOME_RETRY;
    }
    if (a->m->savepoint) {
        outcome = savepoint_undo(s, err);
        if (outcome != OUTCOME_DONE)
            return outcome;
    }
    return OUTCOME_NOT;
}

/* ---- copying ---- */

static int
copy_full_row(struct merge *m, const struct plan *plan, const struct value *row, struct err *err)
{
    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (copyout_value(&m->copy, &row[plan->columns[i].source], plan->columns[i].recode, err) !=
            0)
            return -1;
    return copyout_row_end(&m->copy, err);
}

/* A value that COPY cannot take unchanged. */
static enum outcome
not_copied(const struct attempt *a)
{
    if (a->m->copy.not_recoded)
        a->plan->copy = COPIES_BINARY;
    copyout_abort(&a->m->copy);
    return OUTCOME_NOT;
}

/* The format of the table's rows, which the first of them decides. */
static void
take_format(struct attempt *a, const struct value *row)
{
    a->format = a->plan->copy == COPIES_RECODED
                    ? COPY_BINARY
                    : copyout_format(row, a->table->relation.columns_count);
}

static int
first_format(struct attempt *a, struct err *err)
{
    const struct batch *batch = a->list->batch;
    struct change change;

    if (change_decode(batch, &batch->ops[a->list->first], a->m->values, &change, err) != 0)
        return -1;
    take_format(a, change.new_row != NULL ? change.new_row : change.match);
    return 0;
}

static bool
takes_format(const struct attempt *a)
{
    return a->format != COPY_BINARY || a->plan->copy >= COPIES_BINARY;
}

/* Runs m->sql, whose last command is a COPY, behind a savepoint. */
static int
begin_copy(const struct attempt *a, struct err *err)
{
    struct merge *m = a->m;

    if (sqltext_get(&m->sql) == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a statement");
    m->savepoint = true;
    return copyout_begin(&m->copy, a->session, sqltext_get(&m->sql), a->format, NULL, 0, err);
}

/* row is the first one. */
static int
copy_rows(const struct attempt *a, const struct row_source *rows, const struct value *row,
          struct err *err)
{
    struct merge *m = a->m;
    int found;

    do {
        copyout_row(&m->copy, a->plan->columns_count);
        if (copy_full_row(m, a->plan, row, err) != 0) {
            if (!m->copy.not_recoded)
                a->plan->copy = COPIES_NOTHING;
            return -1;
        }
        found = rows->next(rows->context, &row, err);
    } while (found == 1);
    return found;
}

static enum outcome
run_copy(struct attempt *a, const struct row_source *rows, struct err *err)
{
    struct merge *m = a->m;
    const struct value *row;
    int found;

    if (a->plan->copy == COPIES_NOTHING || a->plan->verified || a->plan->columns_count == 0)
        return OUTCOME_NOT;
    found = rows->next(rows->context, &row, err);
    if (found != 1)
        return found == 0 ? OUTCOME_DONE : OUTCOME_REFUSED;
    take_format(a, row);
    if (!takes_format(a))
        return OUTCOME_NOT;
    buf_reset(&m->sql, 1u << 16);
    sqltext_add(&m->sql, SAVEPOINT_SET "; ");
    mergesql_copy_into_target(&m->sql, a->plan, a->format);
    if (begin_copy(a, err) != 0)
        return OUTCOME_REFUSED;
    if (copy_rows(a, rows, row, err) != 0)
        return not_copied(a);
    return copyout_end(&m->copy, err) == 0 ? OUTCOME_DONE : OUTCOME_REFUSED;
}

static struct attempt
attempt_of(struct merge *m, struct session *s, struct table *table)
{
    m->savepoint = false;
    return (struct attempt){.m = m, .session = s, .table = table, .plan = table->plan};
}

enum outcome
merge_copy_rows(struct merge *m, struct session *s, struct table *table,
                const struct row_source *rows, struct err *err)
{
    struct attempt a = attempt_of(m, s, table);
    struct err why = {0};
    enum outcome outcome = run_copy(&a, rows, &why);

    return settle(&a, outcome, &why, err);
}

struct list_reading {
    const struct op_list *list;
    struct row_values *values;
    uint32_t at;
    uint32_t left;
};

static int
next_of_list(void *context, const struct value **row, struct err *err)
{
    struct list_reading *r = context;
    const struct batch *batch = r->list->batch;
    struct change change;

    if (r->left == 0)
        return 0;
    if (change_decode(batch, &batch->ops[r->at], r->values, &change, err) != 0)
        return -1;
    *row = change.new_row;
    r->at = op_list_next(r->list, r->at);
    r->left--;
    return 1;
}

enum outcome
merge_copy(struct merge *m, struct session *s, const struct op_list *list, struct err *err)
{
    struct list_reading reading = {
        .list = list, .values = m->values, .at = list->first, .left = list->count};
    struct row_source rows = {.next = next_of_list, .context = &reading};

    return merge_copy_rows(m, s, list->table, &rows, err);
}

/* ---- merging ---- */

static enum outcome
compact_list(const struct attempt *a, struct err *err)
{
    const struct op_list *list = a->list;
    enum outcome outcome = OUTCOME_DONE;
    struct merge *m = a->m;

    if (compact_start(&m->compact, list, a->evict && !a->plan->overwrites, err) != 0)
        return OUTCOME_REFUSED;
    for (uint32_t at = list->first, i = 0; i < list->count && outcome == OUTCOME_DONE; i++) {
        struct change change;

        if (change_decode(list->batch, &list->batch->ops[at], m->values, &change, err) != 0)
            return OUTCOME_REFUSED;
        outcome = compact_add(&m->compact, at, &change, err);
        at = op_list_next(list, at);
    }
    return outcome;
}

/* The number of the update's set of columns, or MASKS_MAX if there are too many. */
static uint32_t
mask_number(struct merge *m, const struct plan *plan, const struct value *row)
{
    size_t n = plan->columns_count;
    uint8_t *mask;

    if (buf_reserve(&m->masks, n + 1) != 0)
        return MASKS_MAX;
    mask = m->masks.data + m->masks.end;
    for (uint32_t i = 0; i < n; i++)
        mask[i] = row[plan->columns[i].source].kind == VALUE_UNCHANGED;
    for (uint32_t number = 0; number < m->masks_count; number++)
        if (memcmp(m->masks.data + number * n, mask, n) == 0)
            return number;
    if (m->masks_count == MASKS_MAX)
        return MASKS_MAX;
    m->masks.end += n;
    m->mask_rows[m->masks_count] = 0;
    return m->masks_count++;
}

static int
copy_key(struct merge *m, const struct plan *plan, const struct value *row, struct err *err)
{
    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (!plan->columns[i].key)
            copyout_null(&m->copy);
        else if (copyout_value(&m->copy, &row[plan->columns[i].source], plan->columns[i].recode,
                               err) != 0)
            return -1;
    return copyout_row_end(&m->copy, err);
}

static int
copy_update(struct merge *m, const struct plan *plan, const struct value *row, struct err *err)
{
    for (uint32_t i = 0; i < plan->columns_count; i++) {
        const struct value *v = &row[plan->columns[i].source];

        if (v->kind == VALUE_UNCHANGED)
            copyout_null(&m->copy);
        else if (copyout_value(&m->copy, v, plan->columns[i].recode, err) != 0)
            return -1;
    }
    return copyout_row_end(&m->copy, err);
}

/* One line of the temporary table. */
static int
copy_net(struct merge *m, const struct plan *plan, const struct net *net, struct err *err)
{
    const struct value *row;
    uint32_t mask = 0;

    if (compact_row(&m->compact, net, m->values, &row, err) != 0)
        return -1;
    if (net->kind == NET_UPDATE) {
        mask = mask_number(m, plan, row);
        if (mask == MASKS_MAX)
            return err_set(err, EXIT_REFUSED, "too many sets of updated columns");
        m->mask_rows[mask]++;
    }
    copyout_row(&m->copy, plan->columns_count + 2);
    copyout_char(&m->copy, (char)net->kind);
    copyout_number(&m->copy, mask);
    return net->kind == NET_DELETE   ? copy_key(m, plan, row, err)
           : net->kind == NET_UPDATE ? copy_update(m, plan, row, err)
                                     : copy_full_row(m, plan, row, err);
}

static enum outcome
fill_temp(const struct attempt *a, struct err *err)
{
    struct merge *m = a->m;

    buf_reset(&m->sql, 1u << 16);
    sqltext_add(&m->sql, SAVEPOINT_SET "; ");
    mergesql_fill_temp(&m->sql, a->session, a->plan, a->format);
    if (begin_copy(a, err) != 0)
        return OUTCOME_REFUSED;
    for (uint32_t i = 0; i < m->compact.count; i++) {
        const struct net *net = &m->compact.nets[i];

        if (net->kind == NET_NONE || (net->kind == NET_INSERT && a->direct))
            continue;
        if (copy_net(m, a->plan, net, err) != 0)
            return not_copied(a);
    }
    return copyout_end(&m->copy, err) == 0 ? OUTCOME_DONE : OUTCOME_REFUSED;
}

static enum outcome
copy_inserts(const struct attempt *a, struct err *err)
{
    struct merge *m = a->m;

    for (uint32_t i = 0; i < m->compact.count; i++) {
        const struct net *net = &m->compact.nets[i];
        const struct value *row;

        if (net->kind != NET_INSERT)
            continue;
        copyout_row(&m->copy, a->plan->columns_count);
        if (compact_row(&m->compact, net, m->values, &row, err) != 0 ||
            copy_full_row(m, a->plan, row, err) != 0)
            return not_copied(a);
    }
    return copyout_end(&m->copy, err) == 0 ? OUTCOME_DONE : OUTCOME_REFUSED;
}

/* Deletes that must find a row. */
static uint64_t
expected_deletes(const struct compact *c)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < c->count; i++)
        n += c->nets[i].expected &&
             (c->nets[i].kind == NET_DELETE || c->nets[i].kind == NET_REPLACE);
    return n;
}

/* Rows that come out of the temporary table. */
static uint64_t
expected_upserts(const struct attempt *a)
{
    return a->m->compact.replaces + (a->direct ? 0 : a->m->compact.inserts);
}

/* An insert that meets a row makes the attempt fail, the first time. */
static bool
notices(const struct attempt *a)
{
    return a->plan->overwrites && (a->evict ? a->m->compact.evicts > 0
                                            : a->plan->met && !a->table->of_ranges && !a->direct &&
                                                  expected_upserts(a) > 0);
}

/* affected has a count for the look at other rows if there is one, for the DELETE if there is one,
 * for each mask's UPDATE, and for the insert from the temporary table. Updates that found no row
 * are left to the slow path, which inserts the row and reports it. So are rows whose identity
 * column would have to change. */
static enum outcome
check_counts(const struct attempt *a, const uint64_t *affected)
{
    const struct merge *m = a->m;
    bool deletes = m->compact.deletes + m->compact.replaces > 0;
    uint64_t expected = deletes && !a->evict ? expected_deletes(&m->compact) : 0;
    uint64_t overwritten = notices(a) ? *affected++ : 0;

    for (uint32_t i = 0; i < m->masks_count; i++)
        if (affected[i + deletes] != m->mask_rows[i])
            return OUTCOME_NOT;
    if (plan_has_identity(a->plan) && expected_upserts(a) > 0 &&
        affected[m->masks_count + deletes] != expected_upserts(a))
        return OUTCOME_NOT;
    if (affected[0] < expected)
        a->table->found.missing_deletes += expected - affected[0];
    a->table->found.overwriting_inserts += overwritten;
    return OUTCOME_DONE;
}

/* If all columns but the key's are unchanged, there is nothing to set. */
static bool
sets_something(const struct plan *plan, const uint8_t *mask)
{
    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (!plan->columns[i].key && mask[i] == 0 && plan_can_set(plan, i))
            return true;
    return false;
}

/* Returns false if a merge is not possible. */
static bool
write_merge(const struct attempt *a)
{
    struct merge *m = a->m;

    buf_reset(&m->sql, 1u << 16);
    if (notices(a))
        mergesql_other_rows(&m->sql, a->plan);
    if (m->compact.deletes + m->compact.replaces > 0)
        mergesql_delete(&m->sql, a->plan);
    for (uint32_t i = 0; i < m->masks_count; i++) {
        const uint8_t *mask = m->masks.data + (size_t)i * a->plan->columns_count;

        if (!sets_something(a->plan, mask))
            return false;
        mergesql_update(&m->sql, a->plan, i, mask);
    }
    if (expected_upserts(a) > 0)
        mergesql_upsert(&m->sql, a->plan,
                        a->plan->overwrites && (a->plan->met || a->table->of_ranges));
    if (a->direct)
        mergesql_copy_into_target(&m->sql, a->plan, a->format);
    return sqltext_get(&m->sql) != NULL;
}

static enum outcome
run_merge(const struct attempt *a, struct err *err)
{
    struct merge *m = a->m;
    uint64_t affected[MASKS_MAX + 4] = {0};
    enum outcome outcome = OUTCOME_DONE;

    if (!write_merge(a))
        return OUTCOME_NOT;
    if (a->direct) {
        if (copyout_begin(&m->copy, a->session, sqltext_get(&m->sql), a->format, affected,
                          MASKS_MAX + 4, err) != 0)
            return OUTCOME_REFUSED;
        outcome = copy_inserts(a, err);
    } else if (copyout_script(a->session, "merge a batch", sqltext_get(&m->sql), affected,
                              MASKS_MAX + 4, err) != 0) {
        return OUTCOME_REFUSED;
    }
    return outcome == OUTCOME_DONE ? check_counts(a, affected) : outcome;
}

/* Turns every whole row into a replaced one. Not possible if the target has columns of its own,
 * whose values would be lost. */
static bool
make_evicting(struct merge *m, const struct plan *plan)
{
    if (plan->extras_count > 0)
        return false;
    for (uint32_t i = 0; i < m->compact.count && !m->compact.by_row; i++) {
        struct net *net = &m->compact.nets[i];
        const struct value *row;
        struct err ignored = {0};
        bool whole = true;

        if (net->kind == NET_DELETE)
            continue;
        if (compact_row(&m->compact, net, m->values, &row, &ignored) != 0)
            return false;
        for (uint32_t k = 0; k < plan->columns_count; k++)
            whole = whole && row[plan->columns[k].source].kind != VALUE_UNCHANGED;
        if (whole)
            net->kind = net->kind == NET_INSERT ? NET_EVICT : NET_REPLACE;
    }
    return true;
}

static bool
can_merge(const struct attempt *a)
{
    return a->plan->match == MATCH_KEY && a->plan->index == INDEX_ARBITER &&
           a->plan->copy != COPIES_NOTHING && !a->session->no_temp;
}

static enum outcome
compact_and_merge(struct attempt *a, struct err *err)
{
    struct merge *m = a->m;
    enum outcome outcome;

    if (!can_merge(a))
        return OUTCOME_NOT;
    if (m->mask_rows == NULL)
        m->mask_rows = calloc(MASKS_MAX, sizeof *m->mask_rows);
    if (m->mask_rows == NULL)
        return OUTCOME_NOT;
    outcome = compact_list(a, err);
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (a->evict && !make_evicting(m, a->plan))
        return OUTCOME_NOT;
    compact_count(&m->compact);
    m->masks_count = 0;
    buf_reset(&m->masks, 1u << 16);
    if (first_format(a, err) != 0)
        return OUTCOME_REFUSED;
    if (!takes_format(a))
        return OUTCOME_NOT;
    /* A list of inserts only comes here when COPY into the table was refused. */
    a->direct = m->compact.inserts >= DIRECT_INSERTS_MIN && !a->plan->verified &&
                a->list->inserts < a->list->count;
    outcome = fill_temp(a, err);
    return outcome == OUTCOME_DONE ? run_merge(a, err) : outcome;
}

enum outcome
merge_apply(struct merge *m, struct session *s, const struct op_list *list, bool evict,
            struct err *err)
{
    struct attempt a = attempt_of(m, s, list->table);
    struct err why = {0};
    enum outcome outcome;

    a.list = list;
    a.evict = evict;
    outcome = compact_and_merge(&a, &why);
    return settle(&a, outcome, &why, err);
}

void
merge_free(struct merge *m)
{
    compact_free(&m->compact);
    copyout_free(&m->copy);
    buf_free(&m->sql);
    buf_free(&m->masks);
    free(m->mask_rows);
}
