/* pipe.c: see pipe.h. Must not know the commands' meaning.
 *
 * The connection stays in blocking mode. libpq's pqSendSome reads while it waits to write, so two
 * full socket buffers do not deadlock (trap 93). The caller bounds the queue. */
#include "sink-pg/pipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
pipe_start(struct pipe *p, struct session *session, struct err *err)
{
    p->session = session;
    p->count = 0;
    p->watched[0] = '\0';
    p->failure = (struct pipe_failure){0};
    if (PQenterPipelineMode(session->conn) == 1)
        return 0;
    p->failure.lost = true;
    return pqx_error(session->conn, NULL, "enter pipeline mode", err);
}

/* A command cannot be queued, because the connection is broken or memory is out. */
static int
send_failed(struct pipe *p, struct err *err)
{
    p->failure.lost = true;
    return pqx_error(p->session->conn, NULL, "send a command to the target", err);
}

static int
add_step(struct pipe *p, struct step step, struct err *err)
{
    if (p->count == p->size) {
        size_t size = p->size == 0 ? 64 : p->size * 2;
        struct step *steps = realloc(p->steps, size * sizeof *steps);

        if (steps == NULL) {
            p->failure.lost = true;
            return err_set(err, EXIT_PEER, "out of memory for a pipeline of %zu commands", size);
        }
        p->steps = steps;
        p->size = size;
    }
    p->steps[p->count++] = step;
    return 0;
}

int
pipe_command(struct pipe *p, enum step_kind kind, const char *sql, struct err *err)
{
    if (PQsendQueryParams(p->session->conn, sql, 0, NULL, NULL, NULL, NULL, 0) != 1)
        return send_failed(p, err);
    return add_step(p, (struct step){.kind = kind}, err);
}

int
pipe_prepare(struct pipe *p, struct stmt *stmt, const char *sql, int count, const Oid *types,
             struct err *err)
{
    if (PQsendPrepare(p->session->conn, stmt->name, sql, count, types) != 1)
        return send_failed(p, err);
    stmt->state = STMT_SENT;
    return add_step(p, (struct step){.kind = STEP_PREPARE, .stmt = stmt}, err);
}

int
pipe_execute(struct pipe *p, enum step_kind kind, uint32_t change, const struct stmt *stmt,
             int count, const char *const *values, const int *lengths, const int *formats,
             struct err *err)
{
    if (PQsendQueryPrepared(p->session->conn, stmt->name, count, values, lengths, formats, 0) != 1)
        return send_failed(p, err);
    return add_step(p, (struct step){.kind = kind, .change = change}, err);
}

static void
note_watched(struct pipe *p, const struct step *step, const PGresult *result)
{
    if (step->kind == STEP_PROGRESS && PQntuples(result) == 1 && PQnfields(result) == 2)
        snprintf(p->watched, sizeof p->watched, "%s", PQgetvalue(result, 0, 1));
}

static void
copy_field(const PGresult *result, int field, char *out, size_t size)
{
    const char *text = PQresultErrorField(result, field);

    snprintf(out, size, "%s", text == NULL ? "" : text);
}

static void
note_failure(struct pipe *p, const struct step *step, const PGresult *result, struct err *err)
{
    struct pipe_failure *f = &p->failure;

    f->kind = step->kind;
    f->change = step->change;
    copy_field(result, PG_DIAG_SQLSTATE, f->sqlstate, sizeof f->sqlstate);
    copy_field(result, PG_DIAG_CONSTRAINT_NAME, f->constraint, sizeof f->constraint);
    copy_field(result, PG_DIAG_COLUMN_NAME, f->column, sizeof f->column);
    copy_field(result, PG_DIAG_DATATYPE_NAME, f->type, sizeof f->type);
    pqx_error(p->session->conn, result, step->kind == STEP_COMMIT ? "commit" : "apply", err);
}

/* Takes one step's results up to the NULL between two commands. Returns 0, -1 (failed or not run),
 * or -2 (the connection is lost). */
static int
take_result(struct pipe *p, struct step *step, bool first_failure, struct err *err)
{
    PGresult *result = PQgetResult(p->session->conn);
    ExecStatusType status = PQresultStatus(result);
    int rc = 0;

    if (result == NULL || PQstatus(p->session->conn) != CONNECTION_OK) {
        if (first_failure)
            pqx_error(p->session->conn, result, "apply", err);
        PQclear(result);
        return -2;
    }
    if (step->kind == STEP_COMMIT && status == PGRES_COMMAND_OK &&
        strcmp(PQcmdStatus(result), "COMMIT") != 0) {
        /* COMMIT of a failed transaction is a ROLLBACK, and no error. */
        rc = err_set(err, EXIT_BUG, "the target answered %s to COMMIT", PQcmdStatus(result));
    } else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        step->done = true;
        step->affected = strtoull(PQcmdTuples(result), NULL, 10);
        note_watched(p, step, result);
    } else {
        rc = -1;
        if (first_failure && status != PGRES_PIPELINE_ABORTED)
            note_failure(p, step, result, err);
    }
    PQclear(result);
    PQclear(PQgetResult(p->session->conn));
    return rc;
}

static void
settle_statements(struct pipe *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->steps[i].kind == STEP_PREPARE)
            p->steps[i].stmt->state = p->steps[i].done ? STMT_READY : STMT_NEW;
}

int
pipe_finish(struct pipe *p, struct err *err)
{
    PGconn *conn = p->session->conn;
    bool failed = p->failure.lost;

    if (!failed && PQpipelineSync(conn) != 1) {
        failed = true;
        send_failed(p, err);
    }
    for (size_t i = 0; i < p->count && !p->failure.lost; i++) {
        int rc = take_result(p, &p->steps[i], !failed, err);

        if (rc == -2)
            p->failure.lost = true;
        failed = failed || rc != 0;
    }
    settle_statements(p);
    if (!p->failure.lost) {
        PQclear(PQgetResult(conn)); /* the Sync's own result */
        if (PQexitPipelineMode(conn) != 1) {
            p->failure.lost = true;
            pqx_error(conn, NULL, "leave pipeline mode", err);
        }
    }
    if (p->failure.lost)
        err->code = EXIT_PEER;
    return failed || p->failure.lost ? -1 : 0;
}

void
pipe_free(struct pipe *p)
{
    free(p->steps);
    *p = (struct pipe){0};
}
