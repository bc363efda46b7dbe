/* copyevent.c: see copyevent.h. Each frame's layout is in docs/events.7. */
#include "lib/copyevent.h"

#include <stdlib.h>

static int
malformed(const char *frame, struct err *err)
{
    return err_set(err, EXIT_REFUSED, "malformed %s event", frame);
}

static bool
unpack_letter(struct cursor *c, const char *letters, char *out)
{
    struct bytes text;

    if (!mp_str(c, &text) || text.len != 1 ||
        memchr(letters, text.data[0], strlen(letters)) == NULL)
        return false;
    *out = (char)text.data[0];
    return true;
}

static void
pack_letter(struct packer *p, char letter)
{
    pack_str(p, (struct bytes){.data = (const uint8_t *)&letter, .len = 1});
}

static enum range_kind
range_kind_of(char letter)
{
    switch (letter) {
    case 'b':
        return RANGE_BLOCKS;
    case 'k':
        return RANGE_KEYS;
    default:
        return RANGE_ASKS;
    }
}

static void
pack_ctid(struct packer *p, struct ctid ctid)
{
    pack_array(p, 2);
    pack_uint(p, ctid.block);
    pack_uint(p, ctid.line);
}

static bool
unpack_ctid(struct cursor *c, struct ctid *ctid)
{
    uint32_t elements, line;

    if (!mp_array(c, &elements) || elements != 2 || !mp_uint32(c, &ctid->block) ||
        !mp_uint32(c, &line) || line > UINT16_MAX)
        return false;
    ctid->line = (uint16_t)line;
    return true;
}

/* ---- table: [32, life, part, rows, bytes, definition, sinks, resync, relation's
 * items], resync only if it is true ---- */

int
copytable_encode(struct buf *buf, const struct copytable_event *table)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_COPYTABLE, 7 + RELATION_ITEMS + (table->resync ? 1 : 0));
    pack_uint(&p, table->life);
    pack_uint(&p, table->part);
    pack_uint(&p, table->rows);
    pack_uint(&p, table->bytes);
    pack_cstr(&p, table->definition);
    sinklist_pack(&p, &table->sinks);
    if (table->resync)
        pack_bool(&p, true);
    relation_pack(&p, &table->relation);
    return frame_end(&p);
}

int
copytable_decode(struct cursor *body, uint32_t elements, struct copytable_event *table,
                 struct err *err)
{
    bool marked = elements == 7 + RELATION_ITEMS;

    *table = (struct copytable_event){0};
    if ((elements != 6 + RELATION_ITEMS && !marked) || !mp_uint(body, &table->life) ||
        !mp_uint32(body, &table->part) || !mp_uint(body, &table->rows) ||
        !mp_uint(body, &table->bytes) ||
        !mp_cstr(body, table->definition, sizeof table->definition) ||
        !sinklist_unpack(body, &table->sinks) || (marked && !mp_bool(body, &table->resync)))
        return malformed("table", err);
    return relation_decode(body, RELATION_ITEMS, &table->relation, err);
}

/* ---- range: [33, life, number, kind, [block, line], file, snapshot, mark, floor, sinks,
 * relation's items] ---- */

int
range_encode(struct buf *buf, const struct range_event *range)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_RANGE, 10 + RELATION_ITEMS);
    pack_uint(&p, range->life);
    pack_uint(&p, range->number);
    pack_letter(&p, (char)range->kind);
    pack_ctid(&p, range->from);
    pack_uint(&p, range->file);
    snapshot_pack(&p, &range->snapshot);
    pack_uint(&p, range->mark);
    pack_uint(&p, range->floor);
    sinklist_pack(&p, &range->sinks);
    relation_pack(&p, &range->relation);
    return frame_end(&p);
}

int
range_decode(struct cursor *body, uint32_t elements, struct range_event *range, struct err *err)
{
    char kind;

    *range = (struct range_event){0};
    if (elements != 9 + RELATION_ITEMS || !mp_uint(body, &range->life) ||
        !mp_uint(body, &range->number) || !unpack_letter(body, "bkq", &kind) ||
        !unpack_ctid(body, &range->from) || !mp_uint32(body, &range->file))
        return malformed("range", err);
    range->kind = range_kind_of(kind);
    if (snapshot_unpack(body, &range->snapshot, err) != 0)
        goto failed;
    if (!mp_uint(body, &range->mark) || !mp_uint(body, &range->floor) ||
        !sinklist_unpack(body, &range->sinks)) {
        malformed("range", err);
        goto failed;
    }
    if (relation_decode(body, RELATION_ITEMS, &range->relation, err) == 0)
        return 0;
failed:
    snapshot_free(&range->snapshot);
    return -1;
}

/* ---- rows: [34, life, number, count, rows, hashes], absent: [35, and the same] ---- */

int
rows_encode(struct buf *buf, uint8_t type, const struct rows_event *rows)
{
    struct packer p;

    frame_begin(&p, buf, type, 6);
    pack_uint(&p, rows->life);
    pack_uint(&p, rows->number);
    pack_uint(&p, rows->count);
    pack_bin(&p, rows->rows);
    pack_bin(&p, rows->hashes);
    return frame_end(&p);
}

bool
rows_decode(struct cursor *body, uint32_t elements, struct rows_event *rows)
{
    return elements == 5 && mp_uint(body, &rows->life) && mp_uint(body, &rows->number) &&
           mp_uint32(body, &rows->count) && mp_bin(body, &rows->rows) &&
           rows->count <= rows->rows.len && mp_bin(body, &rows->hashes) &&
           (rows->hashes.len == 0 || rows->hashes.len == (size_t)rows->count * 8) &&
           body->left == 0;
}

void
rows_add(struct buf *rows, const struct tuple *row)
{
    struct packer p = {.buf = rows};

    tuple_pack(&p, row);
}

bool
rows_next(struct cursor *rows, struct tuple *row, struct value values[COLUMNS_MAX])
{
    return tuple_unpack(rows, row, values);
}

/* ---- range end: [36, life, number, [block, line] or nil, rows] ---- */

int
range_end_encode(struct buf *buf, const struct range_end_event *end)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_RANGE_END, 5);
    pack_uint(&p, end->life);
    pack_uint(&p, end->number);
    if (end->open)
        pack_nil(&p);
    else
        pack_ctid(&p, end->to);
    pack_uint(&p, end->rows);
    return frame_end(&p);
}

bool
range_end_decode(struct cursor *body, uint32_t elements, struct range_end_event *end)
{
    *end = (struct range_end_event){0};
    if (elements != 4 || !mp_uint(body, &end->life) || !mp_uint(body, &end->number))
        return false;
    end->open = mp_nil(body);
    return (end->open || unpack_ctid(body, &end->to)) && mp_uint(body, &end->rows) &&
           body->left == 0;
}

/* ---- horizon: [37, snapshot] ---- */

int
horizon_encode(struct buf *buf, const struct snapshot *snapshot)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_HORIZON, 2);
    snapshot_pack(&p, snapshot);
    return frame_end(&p);
}

int
horizon_decode(struct cursor *body, uint32_t elements, struct snapshot *snapshot, struct err *err)
{
    *snapshot = (struct snapshot){0};
    if (elements != 1)
        return malformed("horizon", err);
    if (snapshot_unpack(body, snapshot, err) == 0 && body->left == 0)
        return 0;
    snapshot_free(snapshot);
    return malformed("horizon", err);
}

/* ---- touched: [38, relid, ordinal, key or nil] ---- */

int
touched_encode(struct buf *buf, const struct touched_event *touched)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_TOUCHED, 4);
    pack_uint(&p, touched->relid);
    pack_uint(&p, touched->ordinal);
    if (touched->whole)
        pack_nil(&p);
    else
        tuple_pack(&p, &touched->key);
    return frame_end(&p);
}

bool
touched_decode(struct cursor *body, uint32_t elements, struct touched_event *touched,
               struct value values[COLUMNS_MAX])
{
    *touched = (struct touched_event){0};
    if (elements != 3 || !mp_uint32(body, &touched->relid) || !mp_uint(body, &touched->ordinal))
        return false;
    touched->whole = mp_nil(body);
    return (touched->whole || tuple_unpack(body, &touched->key, values)) && body->left == 0;
}

/* ---- table end: [39, life, how] ---- */

int
table_end_encode(struct buf *buf, uint64_t life, enum life_end how)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_TABLE_END, 3);
    pack_uint(&p, life);
    pack_letter(&p, (char)how);
    return frame_end(&p);
}

bool
table_end_decode(struct cursor *body, uint32_t elements, uint64_t *life, enum life_end *how)
{
    char letter;

    if (elements != 2 || !mp_uint(body, life) || !unpack_letter(body, "dgakl", &letter) ||
        body->left != 0)
        return false;
    switch (letter) {
    case 'd':
        *how = LIFE_DONE;
        break;
    case 'g':
        *how = LIFE_GONE;
        break;
    case 'a':
        *how = LIFE_AGAIN;
        break;
    case 'k':
        *how = LIFE_KEPT;
        break;
    default:
        *how = LIFE_LISTED;
    }
    return true;
}
