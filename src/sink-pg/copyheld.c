/* copyheld.c: see copyheld.h. Must not decide the next step of a life. */
#include "sink-pg/copyheld.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/keylessplace.h"
#include "sink-pg/ownrows.h"
#include "sink-pg/owntables.h"
#include "sink-pg/savepoint.h"
#include "sink-pg/sqltext.h"

/* A piece is read at once: so many bytes, and one change that may be large. */
#define PIECE_BYTES (4u << 20)

/* A change's row in the target, beside its bytes. */
#define OVERHEAD_BYTES 96u

static const char create_table[] =
    "CREATE TABLE IF NOT EXISTS walpipe.held ("
    "pipeline text NOT NULL, sink text NOT NULL, relid oid NOT NULL, piece integer NOT NULL,"
    "number bigint NOT NULL, xid bigint NOT NULL, commit_lsn pg_lsn NOT NULL,"
    "type integer NOT NULL, change bytea NOT NULL,"
    "PRIMARY KEY (pipeline, sink, relid, piece, number))";

int
copyheld_make(struct session *s, struct err *err)
{
    bool exists;

    if (owntables_exist(s, "held", &exists, err) != 0)
        return -1;
    if (exists || session_exec(s, "create walpipe.held in the target", create_table, err) == 0)
        return 0;
    if (err->code == EXIT_REFUSED)
        err_hint(err, "grant CREATE on schema walpipe to the sink's role, or create the table as "
                      "in sink-pg(1)");
    return -1;
}

/* Runs a statement whose parameters are pipeline, sink and the table's oid. */
static int
run(const struct copyheld *h, struct session *s, const char *what, const char *sql, uint32_t relid,
    struct err *err)
{
    char text[16];
    const char *params[] = {h->pipeline, h->hello->sink, text};

    snprintf(text, sizeof text, "%" PRIu32, relid);
    return session_run(s, what, sql, 3, params, err);
}

int
copyheld_load(const struct copyheld *h, struct session *s, struct copying *c, struct err *err)
{
    static const char sql[] =
        "SELECT relid FROM walpipe.held WHERE pipeline = $1 AND sink = $2 AND piece = 0";
    const char *params[] = {h->pipeline, h->hello->sink};
    PGresult *rows = session_ask(s, "read walpipe.held", sql, 2, params, "v", err);

    if (rows == NULL)
        return -1;
    for (int i = 0; i < PQntuples(rows); i++) {
        uint32_t relid = (uint32_t)strtoul(PQgetvalue(rows, i, 0), NULL, 10);

        for (struct copypart *part = c->parts; part != NULL; part = part->next)
            if (part->relid == relid)
                part->keyless = true;
    }
    copyparts_look(c);
    PQclear(rows);
    return 0;
}

int
copyheld_drop(struct session *s, const char *pipeline, const char *sink, struct err *err)
{
    const char *params[] = {pipeline, sink};
    PGresult *result;
    bool exists;

    if (owntables_exist(s, "held", &exists, err) != 0)
        return -1;
    if (!exists)
        return 0;
    result = pqx_exec_params(s->conn, "delete from walpipe.held",
                             "DELETE FROM walpipe.held WHERE pipeline = $1 AND sink = $2", 2,
                             params, err);
    PQclear(result);
    return result == NULL ? -1 : 0;
}

/* ---- the stream ---- */

int
copyheld_place(const struct copyheld *h, const struct relation *relation, bool *mine,
               struct err *err)
{
    return keylessplace_look(h->hello, h->layout, relation, mine, err);
}

static void
spoil(const struct copyheld *h, struct copying *c, struct copypart *part, const struct log *log)
{
    keylesscopy_spoil(c, part);
    log_write(log, LOG_WARNING,
              "%s.%s: more than %" PRIu64 " bytes of changes came while it was copied; it has no "
              "key, so its copy begins again",
              part->schema, part->name, h->limit);
}

int
copyheld_add(struct copyheld *h, struct copying *c, const struct relation *relation,
             const struct heldchange *change, struct bytes body, const struct log *log,
             struct err *err)
{
    struct copypart *part = keylesscopy_of(c, relation->relid);
    struct heldchange held = *change;
    bool mine;

    if (copyheld_place(h, relation, &mine, err) != 0)
        return -1;
    if (!mine || !keylesscopy_lacks(part, change->xid))
        return 0;
    part->held_bytes += body.len + OVERHEAD_BYTES;
    if (part->held_bytes > h->limit) {
        spoil(h, c, part, log);
        return 0;
    }
    held.relid = relation->relid;
    held.number = ++part->held_count;
    held.piece = (uint32_t)(1 + part->held_bytes / PIECE_BYTES);
    return heldlist_add(&h->list, held, body, err);
}

/* ---- writing ---- */

static struct value
binary(const void *data, size_t len)
{
    return (struct value){.kind = VALUE_BINARY, .len = (uint32_t)len, .data = data};
}

static int
put_text(struct copyout *out, const char *text, struct err *err)
{
    struct value value = binary(text, strlen(text));

    return copyout_value(out, &value, RECODE_SAME, err);
}

static int
put_number(struct copyout *out, uint64_t number, struct err *err)
{
    uint64_t order = htobe64(number);
    struct value value = binary(&order, sizeof order);

    return copyout_value(out, &value, RECODE_SAME, err);
}

static int
put_change(struct copyheld *h, uint32_t at, struct err *err)
{
    const struct heldchange *change = &h->list.list[at];
    struct bytes body = heldlist_body(&h->list, at);
    struct value value = binary(body.data, body.len);

    copyout_row(&h->out, 9);
    if (put_text(&h->out, h->pipeline, err) != 0 || put_text(&h->out, h->hello->sink, err) != 0)
        return -1;
    copyout_number(&h->out, change->relid);
    copyout_number(&h->out, change->piece);
    if (put_number(&h->out, change->number, err) != 0 ||
        put_number(&h->out, change->xid, err) != 0 ||
        put_number(&h->out, change->commit_lsn, err) != 0)
        return -1;
    copyout_number(&h->out, change->type);
    return copyout_value(&h->out, &value, RECODE_SAME, err) == 0 ? copyout_row_end(&h->out, err)
                                                                 : -1;
}

static int
write_changes(struct copyheld *h, struct session *s, struct err *err)
{
    static const char sql[] =
        "COPY walpipe.held (pipeline, sink, relid, piece, number, xid, commit_lsn, type, change) "
        "FROM STDIN WITH (FORMAT binary)";
    uint64_t ignored;

    if (copyout_begin(&h->out, s, sql, COPY_BINARY, &ignored, 0, err) != 0)
        return -1;
    for (uint32_t i = 0; i < h->list.to; i++)
        if (put_change(h, i, err) != 0) {
            copyout_abort(&h->out);
            return -1;
        }
    return copyout_end(&h->out, err);
}

enum outcome
copyheld_write(struct copyheld *h, struct session *s, struct err *err)
{
    return h->list.to == 0 || write_changes(h, s, err) == 0 ? OUTCOME_DONE : outcome_of(s, err);
}

/* ---- a life's beginning and end ---- */

static enum outcome
exec(struct session *s, const char *verb, const char *rows, const char *rest, struct err *err)
{
    struct buf sql = {0};
    enum outcome outcome = OUTCOME_DONE;

    sqltext_add(&sql, "%s %s%s", verb, rows, rest);
    if (sqltext_get(&sql) == NULL)
        err_set(err, EXIT_PEER, "out of memory for a truncate");
    if (sqltext_get(&sql) == NULL || session_exec(s, "empty a table", sqltext_get(&sql), err) != 0)
        outcome = outcome_of(s, err);
    buf_free(&sql);
    return outcome;
}

/* One that cannot be truncated, since a foreign key refers to it, is emptied by DELETE. */
static enum outcome
empty(struct session *s, const char *const target[2], bool restart, struct err *err)
{
    struct buf rows = {0};
    enum outcome outcome;

    if (ownrows_name(s, target[0], target[1], &rows, err) != 0) {
        buf_free(&rows);
        return outcome_of(s, err);
    }
    outcome = savepoint_set(s, err);
    if (outcome == OUTCOME_DONE)
        outcome = exec(s, "TRUNCATE", sqltext_get(&rows), restart ? " RESTART IDENTITY" : "", err);
    if (outcome == OUTCOME_REFUSED) {
        outcome = savepoint_undo(s, err);
        if (outcome == OUTCOME_DONE)
            outcome = savepoint_set(s, err);
        if (outcome == OUTCOME_DONE)
            outcome = exec(s, "DELETE FROM", sqltext_get(&rows), "", err);
    }
    buf_free(&rows);
    return outcome == OUTCOME_DONE ? savepoint_keep(s, err) : outcome;
}

static void
find_target(const struct copyheld *h, const struct copypart *part, const char *target[2])
{
    mapping_target(h->tables->mapping, part->schema, part->name, &target[0], &target[1]);
}

/* A life begins by emptying the target table, so no row there may be another table's. */
static int
require_own_target(const struct copyheld *h, const struct copying *c, const struct copypart *part,
                   struct err *err)
{
    const char *own[2], *other[2];

    find_target(h, part, own);
    for (const struct copypart *at = c->parts; at != NULL; at = at->next) {
        find_target(h, at, other);
        if (at->gone || at->relid == part->relid || strcmp(own[0], other[0]) != 0 ||
            strcmp(own[1], other[1]) != 0)
            continue;
        snprintf(err->relation, sizeof err->relation, "%s.%s", part->schema, part->name);
        err_set(err, EXIT_REFUSED,
                "%s.%s cannot be copied: it has no key, and the rows of %s.%s go to the same table",
                part->schema, part->name, at->schema, at->name);
        return err_hint(
            err, "give it a primary key that is not DEFERRABLE and REPLICA IDENTITY DEFAULT, "
                 "or a target table of its own by map");
    }
    return 0;
}

/* Every worker says that the copy is one without a key. */
static int
note_kind(const struct copyheld *h, const struct copypart *part, struct session *s, struct err *err)
{
    return run(h, s, "write walpipe.held",
               "INSERT INTO walpipe.held (pipeline, sink, relid, piece, number, xid, commit_lsn, "
               "type, change) VALUES ($1, $2, $3::oid, 0, 0, 0, '0/0', 0, '') "
               "ON CONFLICT DO NOTHING",
               part->relid, err);
}

/* The row that says so stays. */
static enum outcome
discard(const struct copyheld *h, const struct copypart *part, struct session *s, struct err *err)
{
    return run(h, s, "delete from walpipe.held",
               "DELETE FROM walpipe.held WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid "
               "AND piece > 0",
               part->relid, err) == 0
               ? OUTCOME_DONE
               : outcome_of(s, err);
}

static enum outcome
begin(const struct copyheld *h, const struct copying *c, const struct copypart *part, bool mine,
      struct session *s, struct err *err)
{
    const char *target[2];
    enum outcome outcome;

    if (require_own_target(h, c, part, err) != 0 || note_kind(h, part, s, err) != 0)
        return outcome_of(s, err);
    if (!mine)
        return OUTCOME_DONE;
    outcome = discard(h, part, s, err);
    find_target(h, part, target);
    return outcome == OUTCOME_DONE && part->clears ? empty(s, target, false, err) : outcome;
}

/* ---- applying ---- */

static int
take_table(struct copyheld *h, const struct copypart *part, struct session *s, bool *unplaced,
           struct err *err)
{
    bool fresh;

    h->applied = tables_get(h->tables, part->relid);
    if (h->applied == NULL)
        return err_set(err, EXIT_BUG, "changes of %s.%s wait, and it was never described",
                       part->schema, part->name);
    fresh = h->applied->plan == NULL || h->applied->plan->generation != s->generation;
    h->applied->copied = false;
    if (tables_plan(h->tables, h->applied, s, err) != 0)
        return -1;
    return fresh && h->wholes != NULL ? wholes_check(h->wholes, s, h->applied, unplaced, err) : 0;
}

static enum outcome
apply_batch(struct copyheld *h, struct ways *ways, struct session *s, struct err *err)
{
    struct op_list list = {
        .batch = &h->batch, .table = h->applied, .end = h->batch.count, .count = h->batch.count};
    enum outcome outcome = OUTCOME_DONE;

    for (uint32_t i = 0; i < h->batch.count; i++)
        list.inserts += h->batch.ops[i].type == FRAME_INSERT;
    if (list.count > 0)
        outcome = ways_apply(ways, s, &list, false, err);
    batch_drop(&h->batch, h->batch.count);
    return outcome;
}

enum field { FIELD_XID, FIELD_LSN, FIELD_TYPE, FIELD_CHANGE };

static uint64_t
get_number(const PGresult *rows, int row, int column)
{
    uint64_t number;

    memcpy(&number, PQgetvalue(rows, row, column), sizeof number);
    return be64toh(number);
}

static enum outcome
apply_truncate(struct copyheld *h, const struct copypart *part, struct ways *ways,
               struct session *s, struct bytes flags, struct err *err)
{
    enum outcome outcome = apply_batch(h, ways, s, err);
    const char *target[2];

    find_target(h, part, target);
    return outcome != OUTCOME_DONE
               ? outcome
               : empty(s, target, flags.len > 0 && flags.data[0] & TRUNCATE_RESTART_IDENTITY, err);
}

static enum outcome
apply_rows(struct copyheld *h, const struct copypart *part, struct ways *ways, struct session *s,
           const PGresult *rows, struct err *err)
{
    enum outcome outcome = OUTCOME_DONE;

    for (int i = 0; i < PQntuples(rows) && outcome == OUTCOME_DONE; i++) {
        uint8_t type = (uint8_t)PQgetvalue(rows, i, FIELD_TYPE)[3];
        struct bytes change = {.data = (const uint8_t *)PQgetvalue(rows, i, FIELD_CHANGE),
                               .len = (size_t)PQgetlength(rows, i, FIELD_CHANGE)};

        if (!keylesscopy_lacks(part, (uint32_t)get_number(rows, i, FIELD_XID)))
            continue;
        if (type == FRAME_TRUNCATE)
            outcome = apply_truncate(h, part, ways, s, change, err);
        else if (batch_add_row(&h->batch, h->applied, type, change, get_number(rows, i, FIELD_LSN),
                               err) != 0)
            outcome = outcome_of(s, err);
    }
    return outcome == OUTCOME_DONE ? apply_batch(h, ways, s, err) : outcome;
}

static PGresult *
read_piece(const struct copyheld *h, struct session *s, uint32_t relid, uint64_t piece,
           struct err *err)
{
    static const char sql[] =
        "SELECT xid, commit_lsn, type, change FROM walpipe.held WHERE pipeline = $1 AND sink = $2 "
        "AND relid = $3::oid AND piece = $4::integer ORDER BY number";
    char oid[16], number[24];
    const char *params[] = {h->pipeline, h->hello->sink, oid, number};
    PGresult *rows;

    snprintf(oid, sizeof oid, "%" PRIu32, relid);
    snprintf(number, sizeof number, "%" PRIu64, piece);
    rows = PQexecParams(s->conn, sql, 4, NULL, params, NULL, NULL, 1);
    if (PQresultStatus(rows) == PGRES_TUPLES_OK)
        return rows;
    pqx_error(s->conn, rows, "read walpipe.held", err);
    PQclear(rows);
    return NULL;
}

static enum outcome
apply(struct copyheld *h, const struct copypart *part, struct ways *ways, struct session *s,
      bool *unplaced, struct err *err)
{
    enum outcome outcome = OUTCOME_DONE;

    batch_drop(&h->batch, h->batch.count);
    if (part->held_count > 0 && take_table(h, part, s, unplaced, err) != 0)
        return outcome_of(s, err);
    for (uint64_t piece = 1; piece <= 1 + part->held_bytes / PIECE_BYTES && part->held_count > 0;
         piece++) {
        PGresult *rows = read_piece(h, s, part->relid, piece, err);

        outcome = rows == NULL ? outcome_of(s, err) : apply_rows(h, part, ways, s, rows, err);
        PQclear(rows);
        if (outcome != OUTCOME_DONE)
            return outcome;
    }
    return discard(h, part, s, err);
}

/* ---- the commit ---- */

/* No longer published. */
static enum outcome
forget(const struct copyheld *h, const struct copypart *part, struct session *s, struct err *err)
{
    return run(h, s, "delete from walpipe.held",
               "DELETE FROM walpipe.held WHERE pipeline = $1 AND sink = $2 AND relid = $3::oid",
               part->relid, err) == 0
               ? OUTCOME_DONE
               : outcome_of(s, err);
}

static enum outcome
settle(struct copyheld *h, struct copying *c, const struct copypart *part, struct ways *ways,
       struct session *s, bool *unplaced, struct err *err)
{
    /* Its columns play no part: where they do, it is refused before. */
    const struct relation relation = {
        .relid = part->relid, .replica_identity = 'n', .schema = part->schema, .name = part->name};
    bool mine;

    if (copyheld_place(h, &relation, &mine, err) != 0)
        return outcome_of(s, err);
    if (part->begins)
        return begin(h, c, part, mine, s, err);
    if (!mine)
        return OUTCOME_DONE;
    if (part->gone)
        return forget(h, part, s, err);
    if (part->spoiled)
        return discard(h, part, s, err);
    return part->ended_life != 0 ? apply(h, part, ways, s, unplaced, err) : OUTCOME_DONE;
}

enum outcome
copyheld_settle(struct copyheld *h, struct copying *c, struct ways *ways, struct session *s,
                bool *unplaced, struct err *err)
{
    enum outcome outcome = OUTCOME_DONE;

    for (const struct copypart *part = c->parts; part != NULL && outcome == OUTCOME_DONE;
         part = part->next)
        if (part->changed && part->keyless)
            outcome = settle(h, c, part, ways, s, unplaced, err);
    return outcome;
}

void
copyheld_free(struct copyheld *h)
{
    heldlist_free(&h->list);
    batch_free(&h->batch);
    copyout_free(&h->out);
}
