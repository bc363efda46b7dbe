/* copykeyless.c: see copykeyless.h.
 *
 * Inserts that the snapshot lacks are sent at once, because no later change can affect their rows.
 * Until the snapshot is known they wait in memory. ackd may confirm them during this time. After a
 * crash the note shows that the table is being copied, so its copy begins again, and the next
 * snapshot contains them. */
#include "sink-ch/copykeyless.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/keylesscopy.h"
#include "lib/keylessplace.h"
#include "sink-ch/copydoubt.h"
#include "sink-ch/repeated.h"
#include "sink-ch/rows.h"
#include "sink-ch/send.h"
#include "sink-ch/tables.h"

static int
is_mine(const struct worker *w, const struct relation *relation, bool *mine, struct err *err)
{
    return keylessplace_look(&w->intake.hello, &w->intake.layout, relation, mine, err);
}

/* The table's columns need no check, because a table that needs one was refused before. */
static int
part_is_mine(const struct worker *w, const struct copypart *part, bool *mine, struct err *err)
{
    const struct relation relation = {
        .relid = part->relid, .replica_identity = 'n', .schema = part->schema, .name = part->name};

    return is_mine(w, &relation, mine, err);
}

/* ---- the stream ---- */

static int
hold(struct worker *w, struct copypart *part, uint8_t type, struct bytes body, struct err *err)
{
    const struct heldchange change = {.commit_lsn = w->intake.begin.commit_lsn,
                                      .xid = w->intake.begin.xid,
                                      .len = (uint32_t)body.len,
                                      .type = type};
    int rc = copyheld_add(&w->copies.held, part->relid, &change, body, err);

    if (rc > 0)
        copydoubt_spoil(w, part, "too many changes came before it could be read");
    return rc < 0 ? -1 : 0;
}

int
copykeyless_row(struct worker *w, const struct table *table, uint8_t type, struct bytes body,
                bool *pass, struct err *err)
{
    struct copypart *part = keylesscopy_of(&w->copies.copying, table->relation.relid);
    bool mine;

    *pass = true;
    if (is_mine(w, &table->relation, &mine, err) != 0)
        return -1;
    if (!mine)
        return 0;
    if (!part->snapshot_known)
        return hold(w, part, type, body, err);
    *pass = !keylesscopy_lacks(part, w->intake.begin.xid);
    part->sent += !*pass;
    return 0;
}

/* If the snapshot lacks the TRUNCATE, ranges may still contain rows from before it. */
int
copykeyless_truncate(struct worker *w, const struct table *table, struct err *err)
{
    struct copypart *part = keylesscopy_of(&w->copies.copying, table->relation.relid);
    bool mine;

    if (is_mine(w, &table->relation, &mine, err) != 0)
        return -1;
    if (!mine)
        return 0;
    if (!part->snapshot_known)
        return hold(w, part, FRAME_TRUNCATE, (struct bytes){0}, err);
    if (keylesscopy_lacks(part, w->intake.begin.xid))
        copydoubt_spoil(w, part, "it was truncated while it was copied");
    return 0;
}

/* ---- changes that have waited ---- */

static int
apply_row(struct worker *w, struct table *table, struct copypart *part,
          const struct heldchange *change, struct bytes body, struct err *err)
{
    struct cursor cursor = cursor_over(body.data, body.len);
    struct row_event row;
    uint32_t elements;
    uint8_t type;

    if (!frame_type(&cursor, &type, &elements) ||
        !row_decode(&cursor, type, elements, &row, &w->values) ||
        (change->type != FRAME_DELETE && row.new_row.count != table->relation.columns_count)) {
        err_set(err, EXIT_REFUSED, "malformed row event for table \"%s\"", table->source_name);
        return table_place(table, change->commit_lsn, err);
    }
    w->transaction.commit_lsn = change->commit_lsn;
    part->sent++;
    if (rows_apply(w, table, type, &row, err) != 0)
        return -1;
    return w->batch.alive >= w->options->batch_rows || batch_bytes(&w->batch) >= BATCH_BYTES_MAX
               ? send_batch(w, err)
               : 0;
}

static int
apply_change(struct worker *w, struct table *table, struct copypart *part,
             const struct heldchange *change, struct bytes body, struct err *err)
{
    if (part->spoiled || !keylesscopy_lacks(part, change->xid))
        return 0;
    if (change->type == FRAME_TRUNCATE) {
        copydoubt_spoil(w, part, "it was truncated while it was copied");
        return 0;
    }
    return apply_row(w, table, part, change, body, err);
}

static int
apply_part(struct worker *w, struct copypart *part, struct heldtable *held, struct err *err)
{
    struct table *table = relmap_get(&w->tables, part->relid);
    struct heldchange change;
    struct bytes body;

    if (copyheld_lacks(held, &part->snapshot)) {
        copydoubt_spoil(w, part, "too many changes came before it could be read");
        return 0;
    }
    if (table == NULL)
        return intake_unknown_relation(&w->intake, part->relid, err);
    if (tables_make_ready(w, table, err) != 0)
        return -1;
    table->filling = true;
    while (copyheld_take(held, &change, &body)) {
        if (apply_change(w, table, part, &change, body, err) != 0)
            return -1;
        if (part->spoiled) /* which has dropped the rest */
            return 0;
    }
    copyheld_drop(&w->copies.held, part->relid);
    return 0;
}

int
copykeyless_apply(struct worker *w, struct err *err)
{
    for (struct copypart *part = w->copies.copying.parts; part != NULL; part = part->next) {
        struct heldtable *held = part->keyless ? copyheld_of(&w->copies.held, part->relid) : NULL;

        if (held == NULL || (!part->spoiled && !part->snapshot_known))
            continue;
        if (part->spoiled)
            copyheld_drop(&w->copies.held, part->relid);
        else if (apply_part(w, part, held, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- a life's beginning ---- */

static int
refuse(const struct copypart *part, const char *why, const char *hint, struct err *err)
{
    snprintf(err->relation, sizeof err->relation, "%s.%s", part->schema, part->name);
    err_set(err, EXIT_REFUSED, "%s.%s cannot be copied: it has no key, and %s", part->schema,
            part->name, why);
    return err_hint(err, "%s", hint);
}

/* The table is the reason, and not the sink's rights. */
static int
refuse_table(const struct copypart *part, const char *why, const char *hint, struct err *err)
{
    refuse(part, why, hint, err);
    err->culprit = part->relid;
    return -1;
}

/* A life begins by emptying the target table, so no row there may be another table's. */
static int
require_own_target(const struct worker *w, const struct copypart *part, struct err *err)
{
    const struct copynotes *notes = &w->copies.notes;
    char *own = copynotes_target(notes, part, err);
    int rc = 0;

    if (own == NULL)
        return -1;
    for (const struct copypart *at = w->copies.copying.parts; at != NULL && rc == 0;
         at = at->next) {
        char *other =
            at->gone || at->relid == part->relid ? NULL : copynotes_target(notes, at, err);

        *err = (struct err){0}; /* of one that may not be written */
        if (other != NULL && strcmp(own, other) == 0)
            rc = refuse_table(part, "rows of another table go to its target",
                              "give it a target table of its own by map", err);
        free(other);
    }
    free(own);
    return rc;
}

static int
look_at_begin(struct worker *w, const struct copypart *part, struct err *err)
{
    const struct table *table;
    bool mine;

    if (part_is_mine(w, part, &mine, err) != 0)
        return -1;
    copyheld_drop(&w->copies.held, part->relid);
    if (!mine)
        return 0;
    if (w->journal.off)
        return refuse(part, "the sink's user may not write walpipe_progress",
                      "grant it CREATE TABLE, SELECT and INSERT in the sink's database", err);
    if (require_own_target(w, part, err) != 0)
        return -1;
    table = tables_of_described(w, &part->described, err);
    if (table == NULL)
        return -1;
    return !table->keyed ? 0
                         : refuse_table(part, "its target replaces rows",
                                        "set REPLICA IDENTITY DEFAULT if it has a primary key, or "
                                        "let the target be a MergeTree",
                                        err);
}

static int
empty(struct worker *w, const struct table *table, struct err *err)
{
    enum http_outcome outcome = HTTP_RETRY;
    struct buf sql = {0};
    char query_id[200];

    server_put_text(&sql, "TRUNCATE TABLE ");
    server_put_text(&sql, table->target_sql);
    /* A late insert or TRUNCATE of an earlier request must not be executed when the new life has
     * rows. */
    while (outcome == HTTP_RETRY && repeated_wait(w, err) == 0) {
        struct http_request request = {.query_id = query_id,
                                       .body = {.data = sql.data, .len = buf_len(&sql)},
                                       .once = true,
                                       .expect_empty = true};

        snprintf(query_id, sizeof query_id, "%s-%" PRIu64, w->server.query_id, ++w->server.queries);
        outcome = server_request(&w->server, "empty a table that is copied again", &request, err);
    }
    buf_free(&sql);
    if (outcome == HTTP_DONE)
        return 0;
    if (err->code == EXIT_REFUSED)
        err_hint(err, "grant the sink's user TRUNCATE on the table, or empty it yourself while "
                      "walpipe is stopped, and start again");
    return table_error(table, 0, err);
}

int
copykeyless_clear(struct worker *w, struct err *err)
{
    for (const struct copypart *part = w->copies.copying.parts; part != NULL; part = part->next) {
        const struct table *table;
        bool mine;

        if (!part->begins || !part->clears)
            continue;
        if (part_is_mine(w, part, &mine, err) != 0)
            return -1;
        if (!mine)
            continue;
        table = tables_of_described(w, &part->described, err);
        if (table == NULL || empty(w, table, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- its end ---- */

static int
count_rows(struct worker *w, const struct table *table, uint64_t *count, struct err *err)
{
    struct buf sql = {0}, *answer = &w->server.answer.body;

    server_put_text(&sql, "SELECT count() FROM ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " FORMAT TabSeparated");
    if (server_query(&w->server, "count the rows of a table", &sql, err) != 0)
        return -1;
    buf_append(answer, "", 1);
    if (answer->failed)
        return err_set(err, EXIT_PEER, "out of memory for an answer");
    *count = strtoull((const char *)answer->data + answer->start, NULL, 10);
    return 0;
}

/* More rows mean that a request of a killed sink was executed late. Fewer rows may be an effect of
 * the table's TTL. */
static int
look_at_rows(struct worker *w, struct copypart *part, struct err *err)
{
    const struct table *table = tables_of_described(w, &part->described, err);
    uint64_t count;

    if (table == NULL || count_rows(w, table, &count, err) != 0)
        return -1;
    if (count <= part->sent)
        return 0;
    copydoubt_spoil(w, part, "its target has more rows than were copied");
    keylesscopy_end(&w->copies.copying, part);
    return 0;
}

/* Every transaction that committed before this position is in the target, or was in the snapshot,
 * so a replay must not apply it again. Therefore the sink's position is noted before the table's
 * state streaming. */
static int
look_at_end(struct worker *w, struct copypart *part, struct err *err)
{
    bool mine;

    copyheld_drop(&w->copies.held, part->relid);
    if (part->state != COPY_STREAMING)
        return 0;
    if (part_is_mine(w, part, &mine, err) != 0 || (mine && look_at_rows(w, part, err) != 0))
        return -1;
    if (part->state != COPY_STREAMING)
        return 0;
    part->l0 = state_position(w);
    return journal_note(&w->journal, part->l0, err);
}

int
copykeyless_look(struct worker *w, struct err *err)
{
    for (struct copypart *part = w->copies.copying.parts; part != NULL; part = part->next) {
        if (!part->keyless)
            continue;
        if (part->begins && look_at_begin(w, part, err) != 0)
            return -1;
        if (part->ended_life != 0 && look_at_end(w, part, err) != 0)
            return -1;
    }
    return 0;
}
