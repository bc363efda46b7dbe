/* rows.c: see rows.h. */
#include "sink-pg/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink-pg/explain.h"
#include "sink-pg/sqltext.h"

/* Commands and parameter bytes that are queued before the server's answers are read, because libpq
 * keeps both directions in memory. */
#define STEPS_PER_SYNC 1000
#define BYTES_PER_SYNC (4u << 20)

int
rows_start(struct rows *rows, struct session *session, struct err *err)
{
    return pipe_start(&rows->pipe, session, err);
}

const char *
rows_truncate_sql(struct rows *rows, const struct op_truncate *truncate)
{
    struct buf *sql = &rows->sql;

    buf_reset(sql, 1u << 16);
    sqltext_add(sql, "TRUNCATE ");
    for (uint32_t i = 0; i < truncate->count; i++)
        sqltext_add(sql, "%s%s", i == 0 ? "" : ", ", truncate->tables[i]->plan->rows);
    if ((truncate->flags & TRUNCATE_RESTART_IDENTITY) != 0)
        sqltext_add(sql, " RESTART IDENTITY");
    return sqltext_get(sql);
}

static int
queue_truncate(struct rows *rows, const struct op *op, uint32_t at, struct err *err)
{
    const char *sql = rows_truncate_sql(rows, op->truncate);

    if (sql == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a truncate");
    if (pipe_command(&rows->pipe, STEP_CHANGE, sql, err) != 0)
        return -1;
    rows->pipe.steps[rows->pipe.count - 1].change = at;
    return 0;
}

static int
queue_op(struct rows *rows, struct batch *batch, uint32_t at, struct err *err)
{
    struct op *op = &batch->ops[at];
    struct change change;
    bool queued;

    if (op->type == BATCH_CUT)
        return 0;
    if (op->type == FRAME_TRUNCATE)
        return queue_truncate(rows, op, at, err);
    if (change_decode(batch, op, rows->values, &change, err) != 0)
        return -1;
    op->missed = false;
    if (statements_queue(&rows->pipe, op->table->plan, &change, at, &rows->params, &queued, err) ==
        0) {
        /* There is nothing to set, and no statement has checked that the row is there. */
        op->missed = !queued && change.copied && !change.complete;
        return 0;
    }
    if (!rows->pipe.failure.lost) {
        change_name(op, &change, err);
        err->culprit = op->table->relation.relid;
    }
    return -1;
}

static void
explain_failure(struct rows *rows, const struct batch *batch, struct err *err)
{
    const struct pipe_failure *f = &rows->pipe.failure;
    const struct op *op = &batch->ops[f->change];
    struct change change;
    struct err ignored = {0};

    err->lsn = op->commit_lsn;
    if (op->type == FRAME_TRUNCATE ||
        change_decode(batch, op, rows->values, &change, &ignored) != 0)
        return;
    explain_refusal(op, &change, f, rows->copies, err);
    change_name(op, &change, err);
    err->culprit = op->table->relation.relid;
    if (strcmp(f->sqlstate, "23505") == 0 && op->type == FRAME_INSERT)
        op->table->plan->met = true;
}

/* Counts rows that were not there, from the numbers of affected rows. */
static void
count_missing(const struct rows *rows, struct batch *batch)
{
    for (size_t i = 0; i < rows->pipe.count; i++) {
        const struct step *step = &rows->pipe.steps[i];
        struct op *op = &batch->ops[step->change];

        if (step->kind != STEP_CHANGE || op->table == NULL)
            continue;
        if (op->type == FRAME_DELETE && step->affected == 0)
            op->table->found.missing_deletes++;
        if (step->upsert && step->affected > 0)
            op->table->found.missing_updates++;
        if (op->type == FRAME_UPDATE && !step->upsert && step->affected == 0) {
            op->table->found.skipped_updates++;
            op->missed = op->table->copied || op->table->lacks;
        }
        if (step->notices)
            op->table->found.overwriting_inserts += step->affected;
    }
}

/* What is staged has no constraint but its key. */
static void
note_clash(struct rows *rows, const struct batch *batch)
{
    const struct pipe_failure *f = &rows->pipe.failure;
    const struct table *table = NULL;

    if (f->lost || (strcmp(f->sqlstate, "23505") != 0 && strcmp(f->sqlstate, "23P01") != 0))
        return;
    if (f->kind == STEP_CHANGE)
        table = batch->ops[f->change].table;
    if (table == NULL && f->kind != STEP_COMMIT)
        return;
    rows->clash = (struct rows_clash){.met = table == NULL || !table->staged,
                                      .relid = table == NULL ? 0 : table->relation.relid};
}

int
rows_finish(struct rows *rows, struct batch *batch, struct err *err)
{
    if (pipe_finish(&rows->pipe, err) == 0) {
        count_missing(rows, batch);
        return 0;
    }
    note_clash(rows, batch);
    if (!rows->pipe.failure.lost && rows->pipe.failure.kind == STEP_CHANGE)
        explain_failure(rows, batch, err);
    return -1;
}

int
rows_queue(struct rows *rows, const struct op_list *list, struct err *err)
{
    struct batch *batch = list->batch;
    uint64_t bytes = 0;
    uint32_t at = list->first;

    for (uint32_t i = 0; i < list->count && at != OP_NONE; i++) {
        if (rows->pipe.count >= STEPS_PER_SYNC || bytes >= BYTES_PER_SYNC) {
            if (rows_finish(rows, batch, err) != 0 ||
                rows_start(rows, rows->pipe.session, err) != 0)
                return -1;
            bytes = 0;
        }
        if (queue_op(rows, batch, at, err) != 0) {
            struct pipe_failure failure = rows->pipe.failure;
            struct err ignored = {0};

            if (pipe_finish(&rows->pipe, &ignored) != 0 && rows->pipe.failure.lost)
                *err = ignored;
            rows->pipe.failure.lost |= failure.lost;
            return -1;
        }
        bytes += batch->ops[at].length;
        at = op_list_next(list, at);
    }
    return 0;
}

enum outcome
rows_outcome(const struct rows *rows, struct err *err)
{
    if (!rows->pipe.failure.lost)
        return outcome_of(rows->pipe.session, err);
    err->code = EXIT_PEER;
    return OUTCOME_RETRY;
}

enum outcome
rows_give_up(struct rows *rows, const struct err *err)
{
    struct err ignored;

    rows->pipe.failure.lost = true;
    if (pipe_finish(&rows->pipe, &ignored) != 0)
        session_close(rows->pipe.session);
    return err->code == EXIT_PEER ? OUTCOME_RETRY : OUTCOME_FAILED;
}

void
rows_free(struct rows *rows)
{
    pipe_free(&rows->pipe);
    parameters_free(&rows->params);
    buf_free(&rows->sql);
}
