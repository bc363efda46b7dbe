/* copied.c: see copied.h. */
#include "evcat/copied.h"

#include <inttypes.h>

#include "evcat/put.h"

static int
malformed(uint8_t type, struct err *err)
{
    return err_set(err, EXIT_REFUSED, "malformed frame of type %u", type);
}

/* ---- parts ---- */

static void
put_letter(struct json *j, const char *name, char letter)
{
    char text[2] = {letter, '\0'};

    json_cstr(j, name, text);
}

static void
put_ctid(struct json *j, const char *name, struct ctid ctid)
{
    json_cstr(j, name, ctid_format(ctid).text);
}

/* Writes it as pg_snapshot's text, because a reader of JSON need not hold 64 bits. */
static void
put_snapshot(struct json *j, const struct snapshot *s)
{
    json_name(j, "snapshot");
    fprintf(j->out, "\"%" PRIu64 ":%" PRIu64 ":", s->xmin, s->xmax);
    for (uint32_t i = 0; i < s->running_count; i++)
        fprintf(j->out, "%s%" PRIu64, i == 0 ? "" : ",", s->running[i]);
    putc('"', j->out);
}

static void
put_sinks(struct json *j, const struct sinklist *sinks)
{
    json_open_member(j, "sinks", '[');
    for (uint32_t i = 0; i < sinks->count; i++)
        json_string(j, NULL, sinks->names[i]);
    json_close(j, ']');
}

static void
put_hashes(struct json *j, const struct rows_event *rows)
{
    json_open_member(j, "key_hashes", '[');
    for (size_t at = 0; at < rows->hashes.len; at += 8)
        json_hex(j, NULL, (struct bytes){.data = rows->hashes.data + at, .len = 8});
    json_close(j, ']');
}

/* ---- frames ---- */

static int
show_table(FILE *out, struct cursor *body, uint32_t elements, struct err *err)
{
    struct copytable_event table;
    struct json j;

    if (copytable_decode(body, elements, &table, err) != 0)
        return -1;
    put_begin(out, &j, "table");
    json_uint(&j, "life", table.life);
    json_uint(&j, "part", table.part);
    json_uint(&j, "rows", table.rows);
    json_uint(&j, "bytes", table.bytes);
    json_cstr(&j, "definition", table.definition);
    put_sinks(&j, &table.sinks);
    if (table.resync)
        json_bool(&j, "resync", true);
    put_relation(&j, &table.relation);
    put_end(&j);
    relation_free(&table.relation);
    return 0;
}

/* Keeps its relation, whose columns name the values of the rows that follow. */
static int
show_range(struct copied *c, FILE *out, struct cursor *body, uint32_t elements, struct err *err)
{
    struct range_event range;
    struct json j;

    if (range_decode(body, elements, &range, err) != 0)
        return -1;
    put_begin(out, &j, "range");
    json_uint(&j, "life", range.life);
    json_uint(&j, "number", range.number);
    put_letter(&j, "kind", (char)range.kind);
    put_ctid(&j, "from", range.from);
    json_uint(&j, "file", range.file);
    put_snapshot(&j, &range.snapshot);
    json_lsn(&j, "mark", range.mark);
    json_lsn(&j, "floor", range.floor);
    put_sinks(&j, &range.sinks);
    put_relation(&j, &range.relation);
    put_end(&j);
    snapshot_free(&range.snapshot);
    relation_free(&c->relation);
    c->life = range.life;
    c->number = range.number;
    c->relation = range.relation;
    return 0;
}

/* The rows are read twice, so that no half line is written for malformed ones. */
static bool
rows_are_whole(struct copied *c, const struct rows_event *rows)
{
    struct cursor at = cursor_over(rows->rows.data, rows->rows.len);
    struct tuple row;

    for (uint32_t i = 0; i < rows->count; i++)
        if (!rows_next(&at, &row, c->values))
            return false;
    return at.left == 0;
}

static bool
show_rows(struct copied *c, FILE *out, uint8_t type, struct cursor *body, uint32_t elements)
{
    struct rows_event rows;
    struct cursor at;
    struct tuple row;
    struct json j;
    bool known;

    if (!rows_decode(body, elements, &rows) || !rows_are_whole(c, &rows))
        return false;
    known = c->relation.block != NULL && rows.life == c->life && rows.number == c->number;
    at = cursor_over(rows.rows.data, rows.rows.len);
    put_begin(out, &j, type == FRAME_ROWS ? "rows" : "absent");
    json_uint(&j, "life", rows.life);
    json_uint(&j, "number", rows.number);
    json_open_member(&j, "rows", '[');
    while (at.left > 0 && rows_next(&at, &row, c->values))
        put_tuple(&j, NULL, known ? &c->relation : NULL, &row, type == FRAME_ABSENT);
    json_close(&j, ']');
    if (rows.hashes.len > 0)
        put_hashes(&j, &rows);
    put_end(&j);
    return true;
}

static bool
show_range_end(FILE *out, struct cursor *body, uint32_t elements)
{
    struct range_end_event end;
    struct json j;

    if (!range_end_decode(body, elements, &end))
        return false;
    put_begin(out, &j, "range end");
    json_uint(&j, "life", end.life);
    json_uint(&j, "number", end.number);
    if (end.open)
        json_null(&j, "to");
    else
        put_ctid(&j, "to", end.to);
    json_uint(&j, "rows", end.rows);
    put_end(&j);
    return true;
}

static int
show_horizon(FILE *out, struct cursor *body, uint32_t elements, struct err *err)
{
    struct snapshot snapshot;
    struct json j;

    if (horizon_decode(body, elements, &snapshot, err) != 0)
        return -1;
    put_begin(out, &j, "horizon");
    put_snapshot(&j, &snapshot);
    put_end(&j);
    snapshot_free(&snapshot);
    return 0;
}

static bool
show_touched(struct copied *c, FILE *out, const struct relmap *tables, struct cursor *body,
             uint32_t elements)
{
    struct touched_event touched;
    struct json j;

    if (!touched_decode(body, elements, &touched, c->values))
        return false;
    put_begin(out, &j, "touched");
    put_table(&j, "relation", tables, touched.relid);
    json_uint(&j, "ordinal", touched.ordinal);
    if (touched.whole)
        json_null(&j, "key");
    else
        put_tuple(&j, "key", relmap_get(tables, touched.relid), &touched.key, true);
    put_end(&j);
    return true;
}

static bool
show_table_end(FILE *out, struct cursor *body, uint32_t elements)
{
    enum life_end how;
    uint64_t life;
    struct json j;

    if (!table_end_decode(body, elements, &life, &how))
        return false;
    put_begin(out, &j, "table end");
    json_uint(&j, "life", life);
    put_letter(&j, "kind", (char)how);
    put_end(&j);
    return true;
}

int
copied_show(struct copied *c, FILE *out, const struct relmap *tables, uint8_t type,
            struct cursor *body, uint32_t elements, struct err *err)
{
    bool ok;

    switch (type) {
    case FRAME_COPYTABLE:
        return show_table(out, body, elements, err);
    case FRAME_RANGE:
        return show_range(c, out, body, elements, err);
    case FRAME_HORIZON:
        return show_horizon(out, body, elements, err);
    case FRAME_ROWS:
    case FRAME_ABSENT:
        ok = show_rows(c, out, type, body, elements);
        break;
    case FRAME_RANGE_END:
        ok = show_range_end(out, body, elements);
        break;
    case FRAME_TOUCHED:
        ok = show_touched(c, out, tables, body, elements);
        break;
    case FRAME_TABLE_END:
        ok = show_table_end(out, body, elements);
        break;
    default:
        return err_set(err, EXIT_REFUSED, "unknown frame type %u in the event stream", type);
    }
    return ok ? 0 : malformed(type, err);
}

void
copied_free(struct copied *c)
{
    relation_free(&c->relation);
}
