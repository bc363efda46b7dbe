/* apply.c: see apply.h.
 *
 * Few changes: all of them, the progress and the COMMIT in one pipeline, one round trip. Many:
 * table by table, as sets of rows where that works, else one by one. Whatever a set-based way does
 * not manage is undone to a savepoint and done one by one. */
#include "sink-pg/apply.h"

#include <string.h>

#include "sink-pg/sqltext.h"

/* Changes of one table (or, all together, of a batch) up to which one by one is faster than a
 * COPY, a merge and their round trips. */
#define ONE_BY_ONE_MAX 50

/* A row from this size on is copied too: COPY takes it in pieces, parameters are one more copy here
 * and one in libpq. */
#define LARGE_ROW (4u << 20)

/* A table updated in more different sets of columns than this loses its prepared statements now and
 * then: the server keeps a plan for each. */
#define STATEMENTS_MAX 200

static enum apply_result
classify(struct applier *a, const struct err *err)
{
    if (PQstatus(a->session.conn) != CONNECTION_OK || err->code == EXIT_PEER)
        return APPLY_RETRY;
    return err->code == EXIT_REFUSED ? APPLY_REFUSED : APPLY_FAILED;
}

static enum apply_result
classify_pipe(struct applier *a, struct err *err)
{
    const struct pipe_failure *f = &a->rows.pipe.failure;

    if (f->lost) {
        err->code = EXIT_PEER;
        return APPLY_RETRY;
    }
    if (f->kind == STEP_PROGRESS && strcmp(f->sqlstate, "22012") == 0) {
        progress_fenced(&a->progress, err);
        return APPLY_FAILED;
    }
    return classify(a, err);
}

/* ---- plans ---- */

static int
plan_table(struct applier *a, struct table *table, uint64_t commit_lsn, struct err *err)
{
    if (tables_plan(table, &a->session, err) != 0) {
        err->lsn = commit_lsn;
        return -1;
    }
    a->stale = a->stale || table->plan->statements_count > STATEMENTS_MAX;
    return 0;
}

static int
plan_tables(struct applier *a, const struct batch *batch, uint32_t to, struct err *err)
{
    const struct table *last = NULL;

    if (a->stale && !a->session.tx_open) {
        a->stale = false;
        if (session_forget(&a->session, err) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < to; i++) {
        const struct op *op = &batch->ops[i];

        for (uint32_t t = 0; op->truncate != NULL && t < op->truncate->count; t++)
            if (plan_table(a, op->truncate->tables[t], op->commit_lsn, err) != 0)
                return -1;
        if (op->table == NULL || op->table == last)
            continue;
        if (plan_table(a, op->table, op->commit_lsn, err) != 0)
            return -1;
        last = op->table;
    }
    return 0;
}

/* ---- one by one ---- */

static int
queue_commit(struct applier *a, const struct position *commit, struct err *err)
{
    if (progress_queue(&a->progress, &a->rows.pipe, commit, err) != 0)
        return -1;
    return pipe_command(&a->rows.pipe, STEP_COMMIT, "COMMIT", err);
}

/* A command of our own could not be queued: the connection is lost, and the pipeline with it. */
static enum apply_result
give_up_pipe(struct applier *a, const struct err *err)
{
    struct err ignored;

    a->rows.pipe.failure.lost = true;
    if (pipe_finish(&a->rows.pipe, &ignored) != 0)
        session_close(&a->session);
    return err->code == EXIT_PEER ? APPLY_RETRY : APPLY_FAILED;
}

static enum apply_result
apply_direct(struct applier *a, const struct batch *batch, uint32_t to,
             const struct position *commit, struct err *err)
{
    struct op_list list = {.first = 0, .end = to, .count = to};
    struct pipe *pipe = &a->rows.pipe;
    bool inside = a->session.tx_open;

    if (rows_start(&a->rows, &a->session, err) != 0)
        return classify_pipe(a, err);
    a->session.tx_open = true;
    a->session.tx += !inside;
    if (pipe_command(pipe, STEP_COMMAND, inside ? "SAVEPOINT walpipe" : "BEGIN", err) != 0)
        return give_up_pipe(a, err);
    if (rows_queue(&a->rows, batch, &list, err) != 0)
        return classify_pipe(a, err);
    if ((inside && pipe_command(pipe, STEP_COMMAND, "RELEASE SAVEPOINT walpipe", err) != 0) ||
        (commit != NULL && queue_commit(a, commit, err) != 0))
        return give_up_pipe(a, err);
    if (rows_finish(&a->rows, batch, err) != 0)
        return classify_pipe(a, err);
    a->session.tx_open = commit == NULL;
    return APPLY_DONE;
}

static enum apply_result
apply_one_by_one(struct applier *a, const struct batch *batch, const struct op_list *list,
                 bool deferred, struct err *err)
{
    struct pipe *pipe = &a->rows.pipe;

    if (rows_start(&a->rows, &a->session, err) != 0)
        return classify_pipe(a, err);
    if (pipe_command(pipe, STEP_COMMAND, "SAVEPOINT walpipe", err) != 0 ||
        (deferred && pipe_command(pipe, STEP_COMMAND, "SET CONSTRAINTS ALL DEFERRED", err) != 0))
        return give_up_pipe(a, err);
    if (rows_queue(&a->rows, batch, list, err) != 0)
        return classify_pipe(a, err);
    if (pipe_command(pipe, STEP_COMMAND, "RELEASE SAVEPOINT walpipe", err) != 0)
        return give_up_pipe(a, err);
    return rows_finish(&a->rows, batch, err) != 0 ? classify_pipe(a, err) : APPLY_DONE;
}

/* ---- one table ---- */

static int
to_savepoint(struct applier *a, struct err *err)
{
    return session_exec(&a->session, "roll back to the savepoint",
                        "ROLLBACK TO SAVEPOINT walpipe; RELEASE SAVEPOINT walpipe", err);
}

/* From a set-based attempt: done (released), or undone. *undone tells which. */
static enum apply_result
settle(struct applier *a, enum merge_result result, bool *undone, struct err *err)
{
    *undone = result != MERGE_DONE;
    if (result == MERGE_FAILED && PQstatus(a->session.conn) != CONNECTION_OK)
        return APPLY_RETRY;
    if (result == MERGE_DONE)
        return session_exec(&a->session, "release the savepoint", "RELEASE SAVEPOINT walpipe",
                            err) == 0
                   ? APPLY_DONE
                   : classify(a, err);
    if (!a->merge.savepoint)
        return APPLY_DONE;
    return to_savepoint(a, err) == 0 ? APPLY_DONE : classify(a, err);
}

static enum apply_result
apply_as_set(struct applier *a, const struct batch *batch, struct table *table,
             const struct op_list *list, bool inserts_only, bool evict, bool *undone,
             struct err *err)
{
    struct err why = {0};
    enum merge_result result;

    a->merge.savepoint = false;
    result = inserts_only ? merge_copy(&a->merge, &a->session, batch, table, list, &why)
                          : merge_apply(&a->merge, &a->session, batch, table, list, evict, &why);
    if (result != MERGE_DONE)
        log_write(a->session.log, LOG_DEBUG, "%s: one by one instead of as a set: %s", table->label,
                  why.message[0] == '\0' ? "not a case for it" : why.message);
    if (PQstatus(a->session.conn) != CONNECTION_OK)
        *err = why;
    return settle(a, result, undone, err);
}

/* Unique values that change places within the batch: the rows are taken out first. Not where that
 * would fire foreign keys' actions. */
static bool
may_evict(const struct applier *a, const struct table *table)
{
    return a->session.replica && table->plan->match == MATCH_KEY &&
           strcmp(a->rows.pipe.failure.sqlstate, "23505") == 0;
}

static void
hint_key_taken(const struct applier *a, const struct table *table, struct err *err)
{
    if (table->relation.replica_identity == 'f' &&
        strcmp(a->rows.pipe.failure.sqlstate, "23505") == 0)
        err_hint(err, "under REPLICA IDENTITY FULL no row takes another one's place: if the "
                      "source's constraint is DEFERRABLE, the target's must be too; if the source "
                      "does not have the target's row, delete it");
}

static enum apply_result
apply_rows(struct applier *a, const struct batch *batch, struct table *table,
           const struct op_list *list, bool deferred, struct err *err)
{
    enum apply_result result = apply_one_by_one(a, batch, list, deferred, err);
    struct err first;
    bool undone;

    if (result == APPLY_REFUSED)
        hint_key_taken(a, table, err);
    if (result != APPLY_REFUSED || !may_evict(a, table))
        return result;
    first = *err;
    if (to_savepoint(a, err) != 0)
        return classify(a, err);
    result = apply_as_set(a, batch, table, list, false, true, &undone, err);
    if (result != APPLY_DONE || !undone)
        return result;
    *err = first;
    return APPLY_REFUSED;
}

static bool
has_large_row(const struct batch *batch, const struct op_list *list)
{
    uint32_t at = list->first;

    for (uint32_t i = 0; i < list->count; i++) {
        if (batch->ops[at].length >= LARGE_ROW)
            return true;
        at = op_list_next(list, batch, at);
    }
    return false;
}

/* One by one is not better. */
static bool
suits_a_set(const struct batch *batch, const struct op_list *list)
{
    return list->count > ONE_BY_ONE_MAX || has_large_row(batch, list);
}

static enum apply_result
apply_list(struct applier *a, const struct batch *batch, struct table *table,
           const struct op_list *list, bool inserts_only, bool careful, struct err *err)
{
    bool undone = false;
    enum apply_result result;

    if (!careful && suits_a_set(batch, list)) {
        result = apply_as_set(a, batch, table, list, inserts_only, false, &undone, err);
        if (result != APPLY_DONE || !undone)
            return result;
    }
    return apply_rows(a, batch, table, list, careful || undone, err);
}

/* The list's next part that is all inserts, or has none; *at moves behind it. */
static struct op_list
next_part(const struct batch *batch, const struct op_list *list, uint32_t *at, bool *inserts)
{
    struct op_list part = {.linked = list->linked, .first = *at, .end = list->end};

    *inserts = batch->ops[*at].type == FRAME_INSERT;
    do {
        part.count++;
        *at = op_list_next(list, batch, *at);
    } while (*at != OP_NONE && (batch->ops[*at].type == FRAME_INSERT) == *inserts);
    return part;
}

/* Without a key that could be merged by, only runs of inserts go as sets. */
static enum apply_result
apply_keyless(struct applier *a, const struct batch *batch, struct table *table,
              const struct op_list *list, bool careful, struct err *err)
{
    enum apply_result result = APPLY_DONE;
    uint32_t at = list->first;

    while (at != OP_NONE && result == APPLY_DONE) {
        bool inserts;
        struct op_list part = next_part(batch, list, &at, &inserts);

        result = inserts ? apply_list(a, batch, table, &part, true, careful, err)
                         : apply_rows(a, batch, table, &part, careful, err);
    }
    return result;
}

static enum apply_result
apply_table(struct applier *a, const struct batch *batch, struct table *table,
            const struct op_list *list, uint32_t inserts, bool careful, struct err *err)
{
    bool only = inserts == list->count;

    if (!only && table->plan->index != INDEX_ARBITER)
        return apply_keyless(a, batch, table, list, careful, err);
    return apply_list(a, batch, table, list, only, careful, err);
}

/* ---- segments: rows between two truncates or changes of a table's description ---- */

/* Runs of one table's rows, in the source's order. */
static enum apply_result
apply_in_order(struct applier *a, const struct batch *batch, uint32_t from, uint32_t to,
               bool careful, struct err *err)
{
    enum apply_result result = APPLY_DONE;

    while (from < to && result == APPLY_DONE) {
        struct table *table = batch->ops[from].table;
        struct op_list list = {.first = from, .end = from};
        uint32_t inserts = 0;

        for (; list.end < to && batch->ops[list.end].table == table; list.end++)
            inserts += batch->ops[list.end].type == FRAME_INSERT;
        list.count = list.end - from;
        from = list.end;
        result = apply_table(a, batch, table, &list, inserts, careful, err);
    }
    return result;
}

/* Links each table's rows; the tables in the order of their first row. */
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

static enum apply_result
apply_by_table(struct applier *a, struct batch *batch, uint32_t from, uint32_t to, bool careful,
               struct err *err)
{
    enum apply_result result = APPLY_DONE;

    for (struct table *table = link_tables(batch, from, to); table != NULL;
         table = table->segment_next) {
        struct op_list list = {.linked = true, .first = table->first, .count = table->count};

        if (result == APPLY_DONE)
            result = apply_table(a, batch, table, &list, table->inserts, careful, err);
        table->first = OP_NONE;
    }
    return result;
}

static enum apply_result
apply_segment(struct applier *a, struct batch *batch, uint32_t from, uint32_t to, bool careful,
              struct err *err)
{
    bool ordered = !a->session.replica;

    for (uint32_t i = from; i < to && !ordered; i++)
        ordered = batch->ops[i].table->shared;
    return ordered ? apply_in_order(a, batch, from, to, careful, err)
                   : apply_by_table(a, batch, from, to, careful, err);
}

/* A table that a foreign key refers to cannot be truncated, whatever the session's role: then its
 * rows are deleted. CASCADE is never passed on: it would reach tables that are not replicated
 * (trap 85). */
static enum apply_result
apply_truncate(struct applier *a, const struct op_truncate *truncate, struct err *err)
{
    struct session *s = &a->session;
    struct buf *sql = &a->rows.sql;
    const char *text = rows_truncate_sql(&a->rows, truncate);

    if (text == NULL || session_exec(s, "set a savepoint", "SAVEPOINT walpipe", err) != 0)
        return classify(a, err);
    if (session_exec(s, "truncate", text, err) == 0)
        goto release;
    if (classify(a, err) != APPLY_REFUSED || to_savepoint(a, err) != 0)
        return classify(a, err);
    buf_reset(sql, 1u << 16);
    sqltext_add(sql, "SAVEPOINT walpipe");
    for (uint32_t i = 0; i < truncate->count; i++)
        sqltext_add(sql, "; DELETE FROM %s%s", truncate->tables[i]->plan->ordinary ? "ONLY " : "",
                    truncate->tables[i]->plan->target);
    if (sqltext_get(sql) == NULL)
        return APPLY_FAILED;
    if (session_exec(s, "delete the rows of truncated tables", sqltext_get(sql), err) != 0)
        return classify(a, err);
release:
    return session_exec(s, "release the savepoint", "RELEASE SAVEPOINT walpipe", err) == 0
               ? APPLY_DONE
               : classify(a, err);
}

static enum apply_result
apply_segments(struct applier *a, struct batch *batch, uint32_t to, bool careful, struct err *err)
{
    enum apply_result result = APPLY_DONE;
    uint32_t at = 0;

    while (at < to && result == APPLY_DONE) {
        const struct op *op = &batch->ops[at];
        uint32_t end = at;

        while (end < to && batch->ops[end].table != NULL)
            end++;
        if (op->type == FRAME_TRUNCATE) {
            result = apply_truncate(a, op->truncate, err);
            err->lsn = op->commit_lsn;
        } else if (end > at) {
            result = apply_segment(a, batch, at, end, careful, err);
        }
        at = end > at ? end : at + 1;
    }
    return result;
}

/* ---- a batch ---- */

static enum apply_result
apply_in_parts(struct applier *a, struct batch *batch, uint32_t to, const struct position *commit,
               bool careful, struct err *err)
{
    enum apply_result result;

    if (!a->session.tx_open) {
        a->session.tx_open = true;
        a->session.tx++;
        if (session_exec(&a->session, "begin",
                         careful ? "BEGIN; SET CONSTRAINTS ALL DEFERRED" : "BEGIN", err) != 0)
            return classify(a, err);
    }
    result = apply_segments(a, batch, to, careful, err);
    if (result != APPLY_DONE || commit == NULL)
        return result;
    if (rows_start(&a->rows, &a->session, err) != 0)
        return classify_pipe(a, err);
    if (queue_commit(a, commit, err) != 0)
        return give_up_pipe(a, err);
    if (rows_finish(&a->rows, batch, err) != 0)
        return classify_pipe(a, err);
    a->session.tx_open = false;
    return APPLY_DONE;
}

/* After a direct attempt that the server refused: what earlier pieces did must still be there. */
static enum apply_result
undo_direct(struct applier *a, bool pieces, const struct err *why, struct err *err)
{
    if (!pieces) {
        session_rollback(&a->session);
        return a->session.conn != NULL ? APPLY_DONE : APPLY_RETRY;
    }
    if (PQtransactionStatus(a->session.conn) != PQTRANS_INERROR) {
        *err = *why;
        return APPLY_REFUSED;
    }
    return to_savepoint(a, err) == 0 ? APPLY_DONE : classify(a, err);
}

static enum apply_result
attempt(struct applier *a, struct batch *batch, uint32_t to, const struct position *commit,
        bool careful, struct err *err)
{
    struct op_list all = {.first = 0, .end = to, .count = to};
    bool pieces = a->session.tx_open;
    enum apply_result result;

    if (plan_tables(a, batch, to, err) != 0)
        return classify(a, err);
    if (!careful && !suits_a_set(batch, &all)) {
        struct err why = *err;

        result = apply_direct(a, batch, to, commit, &why);
        if (result == APPLY_REFUSED && to > 0) {
            result = undo_direct(a, pieces, &why, err);
            return result == APPLY_DONE ? apply_in_parts(a, batch, to, commit, false, err) : result;
        }
        *err = why;
        return result;
    }
    return apply_in_parts(a, batch, to, commit, careful, err);
}

enum apply_result
apply_batch(struct applier *a, struct batch *batch, uint32_t to, const struct position *commit,
            bool careful, struct err *err)
{
    enum apply_result result;

    err->lsn = 0;
    err->relation[0] = '\0';
    err->hint[0] = '\0';
    result = attempt(a, batch, to, commit, careful, err);
    if (result == APPLY_DONE) {
        err->lsn = 0;
        return result;
    }
    if (a->session.conn != NULL && PQstatus(a->session.conn) != CONNECTION_OK)
        session_close(&a->session);
    session_rollback(&a->session);
    return result;
}

void
apply_free(struct applier *a)
{
    session_close(&a->session);
    rows_free(&a->rows);
    merge_free(&a->merge);
}
