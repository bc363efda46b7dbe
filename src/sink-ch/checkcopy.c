/* checkcopy.c: see checkcopy.h. Follows the rules of copynotes.c. */
#include "sink-ch/checkcopy.h"

#include <stdio.h>

#include "sink-ch/positions.h"

/* Whether the table has a note of its own, or tables without one are streaming, for which a sink
 * that an older walpipe has followed has no note. */
static int
ask_notes(struct worker *w, const struct notetable *notes, uint32_t relid, bool *found,
          struct err *err)
{
    const struct buf *answer = &w->server.answer.body;
    struct buf sql = {0};
    struct cursor c;
    uint64_t own, star, streaming;

    server_put_text(&sql, "SELECT toUInt64(countIf(relid = ");
    notetable_put_number(&sql, relid);
    server_put_text(&sql, ")), toUInt64(countIf(relid = 0)), toUInt64(countIf(relid = 0 AND state "
                          "= 'streaming'))");
    notetable_put_from(notes, NOTETABLE_TABLES, &sql);
    server_put_text(&sql, " AND state <> 'gone' FORMAT RowBinary");
    if (server_query(&w->server, "read walpipe's notes", &sql, err) != 0)
        return -1;
    c = cursor_over(answer->data + answer->start, buf_len(answer));
    if (!notetable_take_number(&c, 8, &own) || !notetable_take_number(&c, 8, &star) ||
        !notetable_take_number(&c, 8, &streaming))
        return err_set(err, EXIT_REFUSED, "cannot read the rows of " NOTETABLE_TABLES);
    *found = *found && star == 0;
    *found = *found || own > 0 || streaming > 0;
    return 0;
}

static int
is_noted(struct worker *w, const struct notetable *notes, uint32_t relid, bool *noted,
         struct err *err)
{
    struct positions_summary progress;
    bool exists;

    if (positions_sum_up(&w->journal, &progress, err) != 0 ||
        notetable_exists(notes, NOTETABLE_TABLES, &exists, err) != 0)
        return -1;
    *noted = progress.any;
    return exists ? ask_notes(w, notes, relid, noted, err) : 0;
}

int
checkcopy_look(struct worker *w, const struct table *table, struct err *err)
{
    const struct copynotes notes = {
        .rows.table = {&w->server, w->options->database, w->options->pipeline, &w->intake.hello},
        .options = w->options};
    const struct relation *relation = &table->relation;
    struct copypart part = {.relid = relation->relid};
    bool noted;

    snprintf(part.schema, sizeof part.schema, "%s", relation->schema);
    snprintf(part.name, sizeof part.name, "%s", relation->name);
    if (is_noted(w, &notes.rows.table, relation->relid, &noted, err) != 0)
        return -1;
    return noted ? 0 : copynotes_require_empty(&notes, &part, table->target_sql, err);
}
