/* apply.c: see apply.h.
 *
 * A few changes go with the progress and the COMMIT in one pipeline and one round trip. Many go
 * table by table, each in the way that suits it. */
#include "sink-pg/apply.h"

#include <stdio.h>
#include <string.h>

#include "sink-pg/savepoint.h"
#include "sink-pg/sqltext.h"

/* A table that is updated in more different sets of columns loses its prepared statements now and
 * then, because the server keeps a plan for each. */
#define STATEMENTS_MAX 200

/* ---- plans ---- */

static int
plan_table(struct applier *a, struct table *table, uint64_t commit_lsn, struct err *err)
{
    bool fresh = table->plan == NULL || table->plan->generation != a->session.generation;

    if (tables_plan(a->tables, table, &a->session, err) != 0 ||
        (fresh && a->wholes != NULL &&
         wholes_check(a->wholes, &a->session, table, &a->unplaced, err) != 0)) {
        err->lsn = commit_lsn;
        if (table->staged && a->copies != NULL)
            staging_misfit(&a->copies->copying, table, &a->unplaced, err);
        return -1;
    }
    a->stale = a->stale || table->plan->statements_count > STATEMENTS_MAX;
    return 0;
}

/* Some tables may be visited several times. */
static int
each_table(struct applier *a, const struct apply_work *work,
           int (*visit)(struct applier *, struct table *, uint64_t commit_lsn, struct err *),
           struct err *err)
{
    const struct table *last = NULL;

    for (uint32_t i = 0; i < work->to; i++) {
        const struct op *op = &work->batch->ops[i];

        for (uint32_t t = 0; op->truncate != NULL && t < op->truncate->count; t++)
            if (visit(a, op->truncate->tables[t], op->commit_lsn, err) != 0)
                return -1;
        if (op->table == NULL || op->table == last)
            continue;
        if (visit(a, op->table, op->commit_lsn, err) != 0)
            return -1;
        last = op->table;
    }
    return 0;
}

static int
plan_tables(struct applier *a, const struct apply_work *work, struct err *err)
{
    if (a->stale && !a->session.tx_open) {
        a->stale = false;
        if (session_forget(&a->session, err) != 0)
            return -1;
    }
    return each_table(a, work, plan_table, err);
}

/* ---- checks that the tables still fit their plans ---- */

static int
ask_once(struct applier *a, struct table *table, uint64_t commit_lsn, struct err *err)
{
    (void)commit_lsn;
    (void)err;
    if (table->asked == a->watch.count)
        return 0;
    table->asked = a->watch.count;
    signatures_add(&a->signatures, table->plan->target, &table->plan->signature);
    watch_add(&a->watch, &table->plan->signature);
    return 0;
}

/* Then the transaction may also contain rows of ranges, and notes, which `copies` decides. */
static bool
is_copying(const struct applier *a)
{
    return a->copies != NULL && copying_is_busy(&a->copies->copying);
}

/* Those with a count got rows of ranges. */
static struct table *
written_tables(const struct applier *a)
{
    return is_copying(a) ? a->copies->first : NULL;
}

static int
make_question(struct applier *a, const struct apply_work *work, struct err *err)
{
    signatures_clear(&a->signatures);
    a->watch.count++;
    for (struct table *table = written_tables(a); table != NULL; table = table->segment_next)
        if (table->count > 0 && ask_once(a, table, 0, err) != 0)
            return -1;
    if (is_copying(a) && a->copies->held.applied != NULL &&
        ask_once(a, a->copies->held.applied, 0, err) != 0)
        return -1;
    return each_table(a, work, ask_once, err);
}

static int
is_covered(struct applier *a, struct table *table, uint64_t commit_lsn, struct err *err)
{
    (void)commit_lsn;
    (void)err;
    return watch_covers(&a->watch, &table->plan->signature, table->asked) ? 0 : -1;
}

/* A change of a table by the truncate itself. */
static bool
truncates(const struct apply_work *work)
{
    for (uint32_t i = 0; i < work->to; i++)
        if (work->batch->ops[i].truncate != NULL)
            return true;
    return false;
}

static bool
is_watched(struct applier *a, const struct apply_work *work)
{
    struct err unused = {0};

    return work->to > 0 && !truncates(work) && each_table(a, work, is_covered, &unused) == 0;
}

/* Another session sees the changes of others, but not those of this transaction, whose triggers may
 * create partitions. */
static int
ask_elsewhere(struct applier *a, bool *same, struct err *err)
{
    struct session other = a->session;
    int rc;

    if (session_open(&other, err) != 0)
        return -1;
    rc = signatures_ask(&a->signatures, &other, true, same, err);
    session_close(&other);
    return rc;
}

static enum outcome
ask_apart(struct applier *a, const struct apply_work *work, struct err *err)
{
    bool same;

    watch_forget(&a->watch);
    if (make_question(a, work, err) != 0 ||
        signatures_ask(&a->signatures, &a->session, false, &same, err) != 0 ||
        (!same && ask_elsewhere(a, &same, err) != 0))
        return outcome_of(&a->session, err);
    if (same)
        return OUTCOME_DONE;
    a->changed = true;
    err_set(err, EXIT_REFUSED, "the target's tables changed");
    return OUTCOME_REFUSED;
}

/* ---- the end of a transaction ---- */

/* Queues the commands behind the changes. The progress comes before the signatures. A change
 * between the analysis of its statement and the reading of the signatures makes them differ, and a
 * later change shows in the statement. */
static int
queue_end(struct applier *a, const struct apply_work *work, bool watched, struct err *err)
{
    struct pipe *pipe = &a->ways.rows.pipe;
    bool asks = !watched && !work->apart;

    if ((asks && make_question(a, work, err) != 0) ||
        progress_queue(&a->progress, pipe, work->commit, &a->watch, watched, err) != 0 ||
        (asks && signatures_queue(&a->signatures, pipe, err) != 0))
        return -1;
    a->asks = asks;
    return pipe_command(pipe, STEP_COMMIT, "COMMIT", err);
}

static void
note_commit(struct applier *a, const struct apply_work *work)
{
    if (a->asks)
        watch_take(&a->watch, a->ways.rows.pipe.watched);
    if (truncates(work))
        watch_forget(&a->watch);
    a->session.tx_open = false;
}

static bool
writes_copied_rows(struct applier *a)
{
    const struct table *table = written_tables(a);

    while (table != NULL && table->count == 0)
        table = table->segment_next;
    return table != NULL || (is_copying(a) && a->copies->held.applied != NULL);
}

/* The commit LSN of the batch's only transaction, 0 if it has several. */
static uint64_t
only_transaction(const struct apply_work *work)
{
    uint64_t only = 0;

    for (uint32_t i = 0; i < work->to; i++) {
        const struct op *op = &work->batch->ops[i];

        if (op->type == BATCH_CUT)
            continue;
        if (only != 0 && only != op->commit_lsn)
            return 0;
        only = op->commit_lsn;
    }
    return only;
}

/* Ends a pipeline that ends with queue_end's commands. */
static enum outcome
finish(struct applier *a, const struct apply_work *work, struct err *err)
{
    struct rows *rows = &a->ways.rows;
    const struct pipe_failure *f = &rows->pipe.failure;

    if (rows_finish(rows, work->batch, err) == 0) {
        note_commit(a, work);
        return OUTCOME_DONE;
    }
    if (!f->lost && f->kind == STEP_PROGRESS && strcmp(f->sqlstate, "22012") == 0) {
        progress_fenced(&a->progress, err);
        return OUTCOME_FAILED;
    }
    a->refused_commit = !f->lost && f->kind == STEP_COMMIT;
    a->refused_copy = a->refused_commit && writes_copied_rows(a);
    if (a->refused_commit)
        err->lsn = a->refused_copy ? 0 : only_transaction(work);
    a->changed = signatures_differ(f);
    a->noticed = !f->lost && f->kind == STEP_WATCH;
    return rows_outcome(rows, err);
}

static enum outcome
end_alone(struct applier *a, const struct apply_work *work, struct err *err)
{
    struct rows *rows = &a->ways.rows;
    enum outcome outcome = work->apart ? ask_apart(a, work, err) : OUTCOME_DONE;

    if (outcome != OUTCOME_DONE || work->commit == NULL)
        return outcome;
    if (rows_start(rows, &a->session, err) != 0)
        return rows_outcome(rows, err);
    if (queue_end(a, work, false, err) != 0)
        return rows_give_up(rows, err);
    return finish(a, work, err);
}

/* ---- all in one pipeline ---- */

static enum outcome
apply_direct(struct applier *a, const struct apply_work *work, struct err *err)
{
    struct op_list list = {.batch = work->batch, .end = work->to, .count = work->to};
    struct rows *rows = &a->ways.rows;
    bool inside = a->session.tx_open;

    if (rows_start(rows, &a->session, err) != 0)
        return rows_outcome(rows, err);
    a->session.tx_open = true;
    a->session.tx += !inside;
    if (pipe_command(&rows->pipe, STEP_COMMAND, inside ? SAVEPOINT_SET : "BEGIN", err) != 0)
        return rows_give_up(rows, err);
    if (rows_queue(rows, &list, err) != 0)
        return rows_outcome(rows, err);
    if ((inside && pipe_command(&rows->pipe, STEP_COMMAND, SAVEPOINT_KEEP, err) != 0) ||
        (!work->apart && queue_end(a, work, is_watched(a, work), err) != 0))
        return rows_give_up(rows, err);
    if (!work->apart)
        return finish(a, work, err);
    return rows_finish(rows, work->batch, err) == 0 ? end_alone(a, work, err)
                                                    : rows_outcome(rows, err);
}

/* Call it after the server noticed a change of the tables. The signatures tell which change. */
static enum outcome
apply_exactly(struct applier *a, const struct apply_work *work, struct err *err)
{
    watch_forget(&a->watch);
    session_rollback(&a->session);
    return a->session.conn != NULL ? apply_direct(a, work, err) : OUTCOME_RETRY;
}

/* ---- segments: rows between two truncates or changes of a table's description ---- */

/* Runs of one table's rows, in the source's order. */
static enum outcome
apply_in_order(struct applier *a, const struct apply_work *work, uint32_t from, uint32_t to,
               struct err *err)
{
    enum outcome outcome = OUTCOME_DONE;

    while (from < to && outcome == OUTCOME_DONE) {
        const struct op *ops = work->batch->ops;
        struct op_list list = {
            .batch = work->batch, .table = ops[from].table, .first = from, .end = from};

        for (; list.end < to && ops[list.end].table == list.table; list.end++)
            list.inserts += ops[list.end].type == FRAME_INSERT;
        list.count = list.end - from;
        from = list.end;
        outcome = ways_apply(&a->ways, &a->session, &list, work->careful, err);
    }
    return outcome;
}

/* Links each table's rows, and the tables in the order of their first row. */
static struct table *
link_tables(struct batch *batch, uint32_t from, uint32_t to)
{
    struct table *first = NULL, **tail = &first;

    for (uint32_t i = from; i < to; i++) {
        struct op *op = &batch->ops[i];
        struct table *table = op->table;

        op->next = OP_NONE;
        if (table->first == OP_NONE) {
            table->first = i;
            table->count = table->inserts = 0;
            table->segment_next = NULL;
            *tail = table;
            tail = &table->segment_next;
        } else {
            batch->ops[table->last].next = i;
        }
        table->last = i;
        table->count++;
        table->inserts += op->type == FRAME_INSERT;
    }
    return first;
}

static enum outcome
apply_by_table(struct applier *a, const struct apply_work *work, uint32_t from, uint32_t to,
               struct err *err)
{
    enum outcome outcome = OUTCOME_DONE;

    for (struct table *table = link_tables(work->batch, from, to); table != NULL;
         table = table->segment_next) {
        struct op_list list = {.batch = work->batch,
                               .table = table,
                               .linked = true,
                               .first = table->first,
                               .count = table->count,
                               .inserts = table->inserts};

        if (outcome == OUTCOME_DONE)
            outcome = ways_apply(&a->ways, &a->session, &list, work->careful, err);
        table->first = OP_NONE;
    }
    return outcome;
}

static enum outcome
apply_segment(struct applier *a, const struct apply_work *work, uint32_t from, uint32_t to,
              struct err *err)
{
    bool ordered = !a->session.replica;

    for (uint32_t i = from; i < to && !ordered; i++) {
        const struct table *table = work->batch->ops[i].table;

        ordered = table->shared || table->plan->fires != FIRES_NOTHING;
    }
    return ordered ? apply_in_order(a, work, from, to, err)
                   : apply_by_table(a, work, from, to, err);
}

static enum outcome
delete_all(struct applier *a, const struct table *table, struct err *err)
{
    struct buf *sql = &a->ways.rows.sql;

    buf_reset(sql, 1u << 16);
    sqltext_add(sql, "DELETE FROM %s", table->plan->rows);
    if (sqltext_get(sql) == NULL) {
        err_set(err, EXIT_PEER, "out of memory for a truncate");
        return OUTCOME_FAILED;
    }
    if (session_exec(&a->session, "delete the rows of a truncated table", sqltext_get(sql), err) ==
        0)
        return OUTCOME_DONE;
    snprintf(err->relation, sizeof err->relation, "%s", table->label);
    err->culprit = table->relation.relid;
    return outcome_of(&a->session, err);
}

/* One by one, so that an error is that of one table. */
static enum outcome
delete_rows(struct applier *a, const struct op_truncate *truncate, struct err *err)
{
    enum outcome outcome = savepoint_set(&a->session, err);

    for (uint32_t i = 0; i < truncate->count && outcome == OUTCOME_DONE; i++)
        outcome = delete_all(a, truncate->tables[i], err);
    return outcome == OUTCOME_DONE ? savepoint_keep(&a->session, err) : outcome;
}

/* A table that a foreign key refers to cannot be truncated in any role of the session, so its rows
 * are deleted. CASCADE is never passed on, because it would reach tables that are not replicated
 * (trap 85). */
static enum outcome
apply_truncate(struct applier *a, const struct op_truncate *truncate, struct err *err)
{
    struct session *s = &a->session;
    const char *text = rows_truncate_sql(&a->ways.rows, truncate);
    enum outcome outcome;

    if (text == NULL) {
        err_set(err, EXIT_PEER, "out of memory for a truncate");
        return OUTCOME_FAILED;
    }
    outcome = savepoint_set(s, err);
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (session_exec(s, "truncate", text, err) == 0)
        return savepoint_keep(s, err);
    if (outcome_of(s, err) != OUTCOME_REFUSED)
        return outcome_of(s, err);
    outcome = savepoint_undo(s, err);
    return outcome == OUTCOME_DONE ? delete_rows(a, truncate, err) : outcome;
}

static const char check_constraints[] =
    "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED";

/* Whether the transaction of op ends before the change at this place. */
static bool
ends_transaction(const struct apply_work *work, const struct op *op, uint32_t at)
{
    while (at < work->to && work->batch->ops[at].type == BATCH_CUT)
        at++;
    return op->type != BATCH_CUT &&
           (at == work->to || work->batch->ops[at].commit_lsn != op->commit_lsn);
}

static enum outcome
apply_segments(struct applier *a, const struct apply_work *work, struct err *err)
{
    enum outcome outcome = OUTCOME_DONE;
    uint32_t at = 0;

    while (at < work->to && outcome == OUTCOME_DONE) {
        const struct op *op = &work->batch->ops[at];
        uint32_t end = at;

        while (end < work->to && work->batch->ops[end].table != NULL &&
               !(work->each && work->batch->ops[end].commit_lsn != op->commit_lsn))
            end++;
        if (op->type == FRAME_TRUNCATE) {
            outcome = apply_truncate(a, op->truncate, err);
            err->lsn = op->commit_lsn;
        } else if (end > at) {
            outcome = apply_segment(a, work, at, end, err);
        }
        at = end > at ? end : at + 1;
        if (work->each && outcome == OUTCOME_DONE && ends_transaction(work, op, at) &&
            session_exec(&a->session, "commit", check_constraints, err) != 0) {
            err->lsn = op->commit_lsn;
            a->refused_commit = true;
            return outcome_of(&a->session, err);
        }
    }
    return outcome;
}

/* ---- copies of tables ---- */

static enum outcome
apply_copies(struct applier *a, const struct apply_work *work, struct err *err)
{
    enum outcome outcome = copyranges_missed(a->copies, &a->session, work->batch, work->to, err);

    if (outcome != OUTCOME_DONE || work->commit == NULL)
        return outcome;
    outcome = copyranges_write(a->copies, &a->ways, &a->session, &a->unplaced, err);
    a->refused_copy = outcome != OUTCOME_DONE;
    if (a->refused_copy)
        err->lsn = 0; /* that of a range is no transaction's */
    return outcome;
}

/* ---- a batch ---- */

/* Only an attempt in parts can note that a row is missing. Where a direct one meets such a row it
 * is refused. */
static int
let_lack(struct applier *a, struct table *table, uint64_t commit_lsn, struct err *err)
{
    (void)a;
    (void)commit_lsn;
    (void)err;
    table->lacks = table->may_lack || table->tolerates;
    return 0;
}

static int
let_lack_nothing(struct applier *a, struct table *table, uint64_t commit_lsn, struct err *err)
{
    (void)a;
    (void)commit_lsn;
    (void)err;
    table->lacks = false;
    return 0;
}

static bool
any_missed(const struct apply_work *work)
{
    uint32_t i = 0;

    while (i < work->to && !work->batch->ops[i].missed)
        i++;
    return i < work->to;
}

/* The commit passes a transaction that is skipped. */
static bool
notes_skips(const struct applier *a, const struct apply_work *work)
{
    const struct position *to = work->commit;
    size_t i = 0;

    if (a->skips == NULL || to == NULL)
        return false;
    while (i < a->skips->count &&
           !(a->skips->list[i].met &&
             skips_passes(a->skips->list[i].lsn, to->lsn, to->partial_commit_lsn)))
        i++;
    return i < a->skips->count;
}

static enum outcome
apply_in_parts(struct applier *a, const struct apply_work *work, struct err *err)
{
    enum outcome outcome;

    if (each_table(a, work, let_lack, err) != 0)
        return outcome_of(&a->session, err);
    if (!a->session.tx_open) {
        a->session.tx_open = true;
        a->session.tx++;
        if (session_exec(&a->session, "begin",
                         work->careful ? "BEGIN; SET CONSTRAINTS ALL DEFERRED" : "BEGIN", err) != 0)
            return outcome_of(&a->session, err);
    }
    outcome = apply_segments(a, work, err);
    if (outcome == OUTCOME_DONE && (is_copying(a) || any_missed(work)))
        outcome = apply_copies(a, work, err);
    if (outcome == OUTCOME_DONE && notes_skips(a, work) &&
        skipnotes_write(a->skipnotes, &a->session, a->skips, work->commit, err) != 0)
        outcome = outcome_of(&a->session, err);
    return outcome == OUTCOME_DONE ? end_alone(a, work, err) : outcome;
}

/* Call it after a direct attempt that the server refused. The changes of earlier pieces must still
 * be there. */
static enum outcome
undo_direct(struct applier *a, bool pieces, const struct err *why, struct err *err)
{
    if (!pieces) {
        session_rollback(&a->session);
        return a->session.conn != NULL ? OUTCOME_DONE : OUTCOME_RETRY;
    }
    if (PQtransactionStatus(a->session.conn) != PQTRANS_INERROR) {
        *err = *why;
        return OUTCOME_REFUSED;
    }
    return savepoint_undo(&a->session, err);
}

/* Its changes may miss rows, or have a part in a copy. */
static int
is_plain(struct applier *a, struct table *table, uint64_t commit_lsn, struct err *err)
{
    (void)a;
    (void)commit_lsn;
    (void)err;
    return table->copied || table->doubles || table->staged || table->tolerates ? -1 : 0;
}

/* While one table is copied, changes of the others go as quickly as ever. */
static bool
writes_copies(struct applier *a, const struct apply_work *work)
{
    struct err unused = {0};

    return is_copying(a) && (a->copies->copying.pending || a->copies->held.list.to > 0 ||
                             each_table(a, work, is_plain, &unused) != 0);
}

static enum outcome
attempt(struct applier *a, const struct apply_work *work, struct err *err)
{
    struct op_list all = {.batch = work->batch, .end = work->to, .count = work->to};
    bool pieces = a->session.tx_open;
    enum outcome outcome;
    struct err why;

    if (a->copies != NULL)
        copyranges_begin(a->copies);
    if (each_table(a, work, let_lack_nothing, err) != 0 || plan_tables(a, work, err) != 0)
        return outcome_of(&a->session, err);
    watch_begin(&a->watch, a->session.generation);
    if (work->careful || ways_suit_set(&all) || writes_copies(a, work) || notes_skips(a, work))
        return apply_in_parts(a, work, err);
    why = *err;
    outcome = apply_direct(a, work, &why);
    if (outcome == OUTCOME_REFUSED && a->noticed)
        outcome = apply_exactly(a, work, &why);
    if (outcome != OUTCOME_REFUSED || work->to == 0 || a->changed) {
        *err = why;
        return outcome;
    }
    outcome = undo_direct(a, pieces, &why, err);
    return outcome == OUTCOME_DONE ? apply_in_parts(a, work, err) : outcome;
}

enum outcome
apply_batch(struct applier *a, const struct apply_work *work, struct err *err)
{
    enum outcome outcome;

    err->lsn = 0;
    err->relation[0] = '\0';
    err->hint[0] = '\0';
    a->changed = a->noticed = a->refused_commit = a->refused_copy = false;
    err->sqlstate[0] = err->schema[0] = err->table[0] = err->constraint[0] = '\0';
    err->culprit = 0;
    a->ways.rows.clash = (struct rows_clash){0};
    outcome = attempt(a, work, err);
    if (outcome == OUTCOME_DONE) {
        err->lsn = 0;
        return outcome;
    }
    watch_forget(&a->watch);
    if (a->session.conn != NULL && PQstatus(a->session.conn) != CONNECTION_OK)
        session_close(&a->session);
    session_rollback(&a->session);
    return outcome;
}

void
apply_free(struct applier *a)
{
    session_close(&a->session);
    ways_free(&a->ways);
    signatures_free(&a->signatures);
    watch_free(&a->watch);
}
