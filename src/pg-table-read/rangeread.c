/* rangeread.c: see rangeread.h. */
#include "pg-table-read/rangeread.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lsn.h"
#include "lib/opt.h"
#include "lib/pqx.h"
#include "pg-table-read/copytext.h"

/* The ctid, or the number of a key, and the columns. */
#define FIELDS_MAX (COLUMNS_MAX + 1)

int
rangeread_start(struct rangeread *r, const char *publications, struct range_order *order,
                struct snapshot *base, struct err *err)
{
    char *sql;
    bool sent;

    order->piece_blocks = pieces_blocks(order, PQserverVersion(r->conn));
    sql = rangesql_commands(r->conn, publications, order);
    sent = sql != NULL && PQsendQuery(r->conn, sql) == 1;
    free(sql);
    keybatch_free(&r->order.keys);
    r->order = *order;
    order->keys = (struct keybatch){0};
    if (!sent)
        return pqx_error(r->conn, NULL, "ask for rows", err);
    snapshot_free(&r->base);
    r->base = *base;
    *base = (struct snapshot){0};
    r->state = RANGEREAD_ASKED;
    r->rows = r->bytes = r->piece_rows = r->piece_bytes = 0;
    r->pieces_count = 0;
    rowpack_reset(&r->pack);
    keyrows_begin(&r->keyrows, &r->order);
    buf_reset(&r->frames, 2 * RANGE_BYTES_MAX);
    r->last = (struct ctid){0};
    r->copies = 0;
    r->copy_bytes = 0;
    r->result = RANGEREAD_GOING;
    return 0;
}

/* ---- output ---- */

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for rows");
}

/* The first piece, or one behind a piece that is complete. */
static int
put_range(struct rangeread *r, struct err *err)
{
    const struct range_order *o = &r->order;
    size_t before = buf_len(&r->frames), described;

    r->event.life = o->life;
    r->event.number = o->number;
    r->event.kind = o->kind;
    r->event.from = r->pieces_count == 0 ? o->span.from : r->pieces[r->pieces_count - 1].to;
    r->event.floor = o->floor;
    r->event.relation = *o->relation;
    if (range_encode(&r->frames, &r->event) != 0)
        return out_of_memory(err);
    described = PIECE_DESCRIBED * (buf_len(&r->frames) - before);
    r->piece_enough = described > PIECE_BYTES ? described : PIECE_BYTES;
    return 0;
}

/* Where a range ends, or the next one begins, behind the last row. */
static struct ctid
behind_last(const struct rangeread *r)
{
    struct ctid ctid = r->last;

    ctid.line++;
    return ctid;
}

/* next is where another range continues. It is not used if the range was read to its end. */
static int
put_range_end(struct rangeread *r, bool cut, struct err *err)
{
    const struct range_order *o = &r->order;
    struct range_end_event end = {.life = o->life,
                                  .number = o->number,
                                  .open = o->kind == RANGE_BLOCKS && o->span.open && !cut,
                                  .to = cut ? r->next : o->span.to,
                                  .rows = r->piece_rows + r->keyrows.absent_count};

    /* The last row may be large, and route takes no frame of a range behind 16 MiB. */
    if (rowpack_put(&r->keyrows.absent, FRAME_ABSENT, o, &r->frames, err) != 0 ||
        rowpack_put(&r->pack, FRAME_ROWS, o, &r->frames, err) != 0)
        return -1;
    return range_end_encode(&r->frames, &end) == 0 ? 0 : out_of_memory(err);
}

/* The next row goes into another piece. */
static int
end_piece(struct rangeread *r, struct ctid next, struct err *err)
{
    if (r->pieces_count == RANGE_PIECES_MAX)
        return 0;
    r->next = next;
    if (put_range_end(r, true, err) != 0)
        return -1;
    r->pieces[r->pieces_count++] = (struct range_piece){.to = r->next, .bytes = r->piece_bytes};
    r->piece_rows = r->piece_bytes = 0;
    r->order.number++;
    return put_range(r, err);
}

/* ---- failures ---- */

/* Discards the rest of the range. Then result is the outcome. */
static void
roll_back(struct rangeread *r, enum rangeread_result result)
{
    r->result = result;
    r->state = RANGEREAD_ROLLBACK;
}

/* A cancel that comes too late for this COPY may hit the next range, which is then tried again. */
static void
cancel(struct rangeread *r, enum rangeread_result result)
{
    PGcancel *cancel = PQgetCancel(r->conn);
    char ignored[256];

    if (cancel != NULL)
        (void)PQcancel(cancel, ignored, sizeof ignored);
    PQfreeCancel(cancel);
    roll_back(r, result);
}

static enum rangeread_result
connection_lost(struct rangeread *r, struct err *err)
{
    pqx_error(r->conn, NULL, "read rows", err);
    err->code = EXIT_PEER;
    return RANGEREAD_FAILED;
}

static void
hint_at_rights(struct err *err, const char *table)
{
    err_hint(err,
             "the role that copies needs USAGE on the schema and SELECT on %s; where row security "
             "would hide rows it needs BYPASSRLS as well",
             table);
}

/* The transaction that exported it has ended, or its rows were removed (old_snapshot_threshold). */
static bool
lost_snapshot(const char *sqlstate)
{
    return strcmp(sqlstate, "22023") == 0 || strcmp(sqlstate, "42704") == 0 ||
           strcmp(sqlstate, "55000") == 0 || strcmp(sqlstate, "72000") == 0;
}

/* Whether and how an error of the server ends the range. */
static void
judge_error(struct rangeread *r, const PGresult *result, struct err *err)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    char what[160];

    snprintf(what, sizeof what, "copy %s", r->order.part->name);
    pqx_error(r->conn, result, what, err);
    snprintf(err->relation, sizeof err->relation, "%s.%s", r->order.relation->schema,
             r->order.relation->name);
    if (sqlstate == NULL)
        roll_back(r, RANGEREAD_AGAIN);
    else if (r->order.snapshot != NULL && lost_snapshot(sqlstate))
        roll_back(r, RANGEREAD_CHANGED);
    else if (strcmp(sqlstate, "42P01") == 0 || strcmp(sqlstate, "42703") == 0)
        roll_back(r, RANGEREAD_CHANGED);
    else if (strcmp(sqlstate, "55P03") == 0 || strcmp(sqlstate, "57014") == 0 ||
             strcmp(sqlstate, "72000") == 0 || pqx_exit_code(sqlstate) == EXIT_PEER)
        roll_back(r, RANGEREAD_AGAIN);
    else
        roll_back(r, RANGEREAD_FAILED);
    if (sqlstate != NULL && strcmp(sqlstate, "42501") == 0)
        hint_at_rights(err, r->order.part->name);
}

/* ---- input ---- */

/* Reads the answer of the SELECT. Returns 0, or -1 with err. */
static int
read_answer(struct rangeread *r, const PGresult *a, struct err *err)
{
    uint64_t file, insert_lsn;

    snapshot_free(&r->event.snapshot);
    if (pqx_shape(a, "begin to read a range", 1, 1, "vvvvvv", err) != 0 ||
        snapshot_parse(PQgetvalue(a, 0, RANGE_FIELD_SNAPSHOT), &r->event.snapshot, err) != 0 ||
        opt_number("pg_relation_filenode", PQgetvalue(a, 0, RANGE_FIELD_FILE), 1, UINT32_MAX, &file,
                   err) != 0 ||
        opt_number("pg_relation_size", PQgetvalue(a, 0, RANGE_FIELD_BLOCKS), 0, UINT32_MAX,
                   &r->blocks, err) != 0)
        return -1;
    if (!lsn_parse(PQgetvalue(a, 0, RANGE_FIELD_INSERT_LSN), &insert_lsn))
        return err_set(err, EXIT_PEER, "the source's position of WAL is malformed");
    /* Keys belong to the table, no matter which file it has. */
    r->event.file =
        r->order.kind != RANGE_BLOCKS && r->order.file != 0 ? r->order.file : (uint32_t)file;
    r->event.mark = r->order.snapshot != NULL ? r->order.mark : session_mark(r->server, insert_lsn);
    return 0;
}

/* Whether the answer allows to use the rows that follow. */
static enum rangeread_result
judge_answer(const struct rangeread *r, const PGresult *a)
{
    const struct catalog_part *part = r->order.part;

    if (strcmp(PQgetvalue(a, 0, RANGE_FIELD_DEFINITION), part->definition) != 0 ||
        strcmp(PQgetvalue(a, 0, RANGE_FIELD_SHAPE), part->shape) != 0)
        return RANGEREAD_CHANGED;
    return r->order.file != 0 && r->order.file != r->event.file ? RANGEREAD_MOVED : RANGEREAD_GOING;
}

static int
take_answer(struct rangeread *r, const PGresult *a, struct err *err)
{
    if (PQntuples(a) == 0) {
        r->result = RANGEREAD_CHANGED;
        return 0;
    }
    if (read_answer(r, a, err) != 0)
        return -1;
    r->result = judge_answer(r, a);
    return r->result == RANGEREAD_GOING ? put_range(r, err) : 0;
}

/* Results up to the beginning of COPY. */
static int
take_first_result(struct rangeread *r, const PGresult *result, struct err *err)
{
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
        return 0;
    case PGRES_TUPLES_OK:
        return take_answer(r, result, err);
    case PGRES_COPY_OUT:
        if (r->result != RANGEREAD_GOING)
            cancel(r, r->result);
        else
            r->state = RANGEREAD_COPYING;
        return 0;
    default:
        judge_error(r, result, err);
        return 0;
    }
}

static bool
is_behind(struct ctid a, struct ctid b)
{
    return a.block > b.block || (a.block == b.block && a.line > b.line);
}

static int
refuse_row(const struct rangeread *r, const char *why, struct err *err)
{
    return err_set(err, EXIT_BUG, "%s: the row behind (%" PRIu32 ",%u) %s", r->order.part->name,
                   r->last.block, r->last.line, why);
}

static bool
has_ctids(const struct rangeread *r)
{
    return r->order.kind == RANGE_BLOCKS && r->order.piece_blocks == 0;
}

/* The row's ctid must be higher than that of the row before. */
static int
take_place(struct rangeread *r, const struct value *value, struct err *err)
{
    struct ctid ctid;

    if (!copytext_ctid(value, &ctid))
        return refuse_row(r, "is malformed", err);
    if (r->rows > 0 && !is_behind(ctid, r->last))
        return refuse_row(r, "comes out of order", err);
    r->last = ctid;
    return 0;
}

/* Takes one row of COPY, of len bytes. */
static int
take_row(struct rangeread *r, char *line, size_t len, struct err *err)
{
    struct value values[FIELDS_MAX];
    struct tuple row = {.count = r->order.relation->columns_count, .values = values + 1};
    bool found = true, alone = r->order.piece_blocks > 0;

    if (!copytext_row(line, len, values + alone, row.count + !alone))
        return refuse_row(r, "is malformed", err);
    if (has_ctids(r)) {
        if ((r->piece_bytes >= r->piece_enough && end_piece(r, behind_last(r), err) != 0) ||
            take_place(r, &values[0], err) != 0)
            return -1;
    } else if (!alone &&
               keyrows_take(&r->keyrows, &r->order, values, &found, &r->frames, err) != 0) {
        return -1;
    }
    if (!found)
        return 0;
    if (rowpack_add(&r->pack, FRAME_ROWS, &r->order, &row, len, &r->frames, err) != 0)
        return -1;
    r->rows++;
    r->bytes += len;
    r->copy_bytes += len;
    r->piece_rows++;
    r->piece_bytes += len;
    return 0;
}

static int
cut(struct rangeread *r, struct ctid next, struct err *err)
{
    r->next = next;
    if (put_range_end(r, true, err) != 0)
        return -1;
    cancel(r, RANGEREAD_CUT);
    return 0;
}

/* Behind a row. A range without ctids is cut between two COPYs only. */
static int
keep_size(struct rangeread *r, struct err *err)
{
    if (r->order.piece_blocks > 0) {
        if (r->copy_bytes > PIECE_BYTES_MOST)
            cancel(r, RANGEREAD_DENSE);
        return 0;
    }
    if (r->bytes < RANGE_BYTES_MAX)
        return 0;
    return cut(r, has_ctids(r) ? behind_last(r) : r->last, err);
}

/* Another COPY begins. */
static int
next_copy(struct rangeread *r, struct err *err)
{
    struct span span;

    if (!pieces_take(&r->order, ++r->copies, &span))
        return err_set(err, EXIT_BUG, "%s: a COPY that was not asked for", r->order.part->name);
    if (r->bytes >= RANGE_BYTES_MAX)
        return cut(r, span.from, err);
    r->state = RANGEREAD_COPYING;
    r->copy_bytes = 0;
    return r->piece_bytes >= r->piece_enough / 2 ? end_piece(r, span.from, err) : 0;
}

/* Takes the rows that are there. Sets *waits if more must come first. */
static int
take_rows(struct rangeread *r, bool *waits, struct err *err)
{
    while (r->state == RANGEREAD_COPYING) {
        char *line;
        int len = PQgetCopyData(r->conn, &line, 1), rc;

        if (len == 0) {
            *waits = true;
            return 0;
        }
        if (len < 0) {
            r->state = RANGEREAD_ENDING;
            return 0;
        }
        rc = take_row(r, line, (size_t)len, err);
        PQfreemem(line);
        if (rc != 0 || keep_size(r, err) != 0)
            return -1;
    }
    return 0;
}

/* Discards the data that the server still sends. */
static bool
skip_rows(struct rangeread *r)
{
    char *line;
    int len;

    while ((len = PQgetCopyData(r->conn, &line, 1)) > 0)
        PQfreemem(line);
    return len == 0;
}

/* Behind the last result of the commands. */
static int
end_commands(struct rangeread *r, struct err *err)
{
    struct span left;

    if (PQtransactionStatus(r->conn) == PQTRANS_INERROR ||
        PQtransactionStatus(r->conn) == PQTRANS_INTRANS) {
        if (PQsendQuery(r->conn, "ROLLBACK") == 1)
            return 0;
        return pqx_error(r->conn, NULL, "roll back", err);
    }
    if (r->state == RANGEREAD_ENDING && !pieces_take(&r->order, r->copies + 1, &left)) {
        r->result = RANGEREAD_DONE;
        if (r->keyrows.left > 0)
            return err_set(err, EXIT_BUG, "%s: %" PRIu32 " keys were not answered",
                           r->order.part->name, r->keyrows.left);
        if (put_range_end(r, false, err) != 0)
            return -1;
    } else if (r->state != RANGEREAD_ROLLBACK) {
        return err_set(err, EXIT_PEER, "the source ended a range before its rows came");
    }
    r->state = RANGEREAD_IDLE;
    return 0;
}

static int
take_result(struct rangeread *r, struct err *err)
{
    PGresult *result = PQgetResult(r->conn);
    int rc = 0;

    if (result == NULL)
        return end_commands(r, err);
    if (r->state == RANGEREAD_ASKED)
        rc = take_first_result(r, result, err);
    else if (r->state == RANGEREAD_ENDING && PQresultStatus(result) == PGRES_COPY_OUT)
        rc = next_copy(r, err);
    else if (r->state == RANGEREAD_ENDING && PQresultStatus(result) != PGRES_COMMAND_OK)
        judge_error(r, result, err);
    PQclear(result);
    return rc;
}

/* Takes everything that libpq holds. Sets *waits if more must come first. */
static int
take_input(struct rangeread *r, bool *waits, struct err *err)
{
    *waits = false;
    while (r->state != RANGEREAD_IDLE && !*waits) {
        if (r->state == RANGEREAD_COPYING) {
            if (take_rows(r, waits, err) != 0)
                return -1;
        } else if ((r->state == RANGEREAD_ROLLBACK && skip_rows(r)) || PQisBusy(r->conn)) {
            *waits = true;
        } else if (take_result(r, err) != 0) {
            return -1;
        }
    }
    return 0;
}

enum rangeread_result
rangeread_step(struct rangeread *r, struct err *err)
{
    bool waits;

    if (take_input(r, &waits, err) != 0)
        return RANGEREAD_FAILED;
    if (waits) {
        if (PQconsumeInput(r->conn) != 1)
            return connection_lost(r, err);
        if (take_input(r, &waits, err) != 0)
            return RANGEREAD_FAILED;
    }
    if (PQstatus(r->conn) == CONNECTION_BAD)
        return connection_lost(r, err);
    return r->state == RANGEREAD_IDLE ? r->result : RANGEREAD_GOING;
}

void
rangeread_free(struct rangeread *r)
{
    PQfinish(r->conn);
    snapshot_free(&r->base);
    snapshot_free(&r->event.snapshot);
    buf_free(&r->frames);
    keybatch_free(&r->order.keys);
    rowpack_free(&r->pack);
    keyrows_free(&r->keyrows);
    *r = (struct rangeread){0};
}
