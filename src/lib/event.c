/* event.c: see event.h. Each frame's layout is in docs/events.7. */
#include "lib/event.h"

#include <stdlib.h>

/* ---- relation: [16, relid, replica identity, schema, name, [[name, key, type oid, typmod, type
 * schema, type name], ...]] ---- */

void
relation_pack(struct packer *p, const struct relation *r)
{
    pack_uint(p, r->relid);
    pack_str(p, (struct bytes){.data = (const uint8_t *)&r->replica_identity, .len = 1});
    pack_cstr(p, r->schema);
    pack_cstr(p, r->name);
    pack_array(p, r->columns_count);
    for (uint32_t i = 0; i < r->columns_count; i++) {
        const struct relation_column *col = &r->columns[i];

        pack_array(p, 6);
        pack_cstr(p, col->name);
        pack_bool(p, col->key);
        pack_uint(p, col->type_oid);
        pack_int(p, col->typmod);
        pack_cstr(p, col->type_schema);
        pack_cstr(p, col->type_name);
    }
}

int
relation_encode(struct buf *buf, const struct relation *r)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_RELATION, 1 + RELATION_ITEMS);
    relation_pack(&p, r);
    return frame_end(&p);
}

/* Copies strings one behind the other into the relation's block. A NUL inside one would hide the
 * rest of the name. */
static bool
take_string(struct cursor *c, char **free_space, const char **out)
{
    struct bytes s;

    if (!mp_str(c, &s) || (s.len > 0 && memchr(s.data, 0, s.len) != NULL))
        return false;
    *out = *free_space;
    if (s.len > 0)
        memcpy(*free_space, s.data, s.len);
    (*free_space)[s.len] = '\0';
    *free_space += s.len + 1;
    return true;
}

static bool
decode_columns(struct cursor *c, struct relation *r, char **strings)
{
    for (uint32_t i = 0; i < r->columns_count; i++) {
        struct relation_column *col = &r->columns[i];
        uint32_t elements;
        int64_t typmod;

        if (!mp_array(c, &elements) || elements != 6 || !take_string(c, strings, &col->name) ||
            !mp_bool(c, &col->key) || !mp_uint32(c, &col->type_oid) || !mp_int(c, &typmod) ||
            typmod < INT32_MIN || typmod > INT32_MAX ||
            !take_string(c, strings, &col->type_schema) ||
            !take_string(c, strings, &col->type_name))
            return false;
        col->typmod = (int32_t)typmod;
    }
    return c->left == 0;
}

int
relation_decode(struct cursor *body, uint32_t elements, struct relation *r, struct err *err)
{
    /* Every string in the frame has a tag of at least one byte, which pays for its NUL. */
    size_t strings_size = body->left + 1;
    struct bytes identity, skipped;
    struct cursor names, ahead;
    size_t columns_size;
    char *strings;

    *r = (struct relation){0};
    if (elements != RELATION_ITEMS || !mp_uint32(body, &r->relid) || !mp_str(body, &identity) ||
        identity.len != 1 || memchr("dnfi", identity.data[0], 4) == NULL)
        goto malformed;
    r->replica_identity = (char)identity.data[0];
    ahead = names = *body;
    if (!mp_str(&ahead, &skipped) || !mp_str(&ahead, &skipped) ||
        !mp_array(&ahead, &r->columns_count) || r->columns_count > COLUMNS_MAX)
        goto malformed;
    columns_size = r->columns_count * sizeof *r->columns;
    r->block = malloc(columns_size + strings_size);
    if (r->block == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a relation");
    r->columns = r->block;
    strings = (char *)r->block + columns_size;
    if (!take_string(&names, &strings, &r->schema) || !take_string(&names, &strings, &r->name) ||
        !mp_array(&names, &r->columns_count) || !decode_columns(&names, r, &strings))
        goto malformed;
    return 0;
malformed:
    relation_free(r);
    return err_set(err, EXIT_REFUSED, "malformed relation event");
}

void
relation_free(struct relation *r)
{
    free(r->block);
    *r = (struct relation){0};
}

/* ---- begin: [17, commit lsn, commit time, xid] ---- */

int
begin_encode(struct buf *buf, const struct begin_event *begin)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_BEGIN, 4);
    pack_uint(&p, begin->commit_lsn);
    pack_int(&p, begin->commit_time);
    pack_uint(&p, begin->xid);
    return frame_end(&p);
}

bool
begin_decode(struct cursor *body, uint32_t elements, struct begin_event *begin)
{
    return elements == 3 && mp_uint(body, &begin->commit_lsn) &&
           mp_int(body, &begin->commit_time) && mp_uint32(body, &begin->xid) && body->left == 0;
}

/* ---- origin: [18, origin lsn, name] ---- */

int
origin_encode(struct buf *buf, const struct origin_event *origin)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_ORIGIN, 3);
    pack_uint(&p, origin->origin_lsn);
    pack_str(&p, origin->name);
    return frame_end(&p);
}

bool
origin_decode(struct cursor *body, uint32_t elements, struct origin_event *origin)
{
    return elements == 2 && mp_uint(body, &origin->origin_lsn) && mp_str(body, &origin->name) &&
           body->left == 0;
}

/* ---- commit: [24, commit lsn, end lsn, commit time, events] ---- */

int
commit_encode(struct buf *buf, const struct commit_event *commit)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_COMMIT, 5);
    pack_uint(&p, commit->commit_lsn);
    pack_uint(&p, commit->end_lsn);
    pack_int(&p, commit->commit_time);
    pack_uint(&p, commit->events);
    return frame_end(&p);
}

bool
commit_decode(struct cursor *body, uint32_t elements, struct commit_event *commit)
{
    return elements == 4 && mp_uint(body, &commit->commit_lsn) && mp_uint(body, &commit->end_lsn) &&
           mp_int(body, &commit->commit_time) && mp_uint(body, &commit->events) && body->left == 0;
}

/* ---- watermark: [25, lsn] ---- */

int
watermark_encode(struct buf *buf, uint64_t lsn)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_WATERMARK, 2);
    pack_uint(&p, lsn);
    return frame_end(&p);
}

bool
watermark_decode(struct cursor *body, uint32_t elements, uint64_t *lsn)
{
    return elements == 1 && mp_uint(body, lsn) && body->left == 0;
}

/* ---- insert: [19, key hash, relid, ordinal, new]
 *      update: [20, key hash, relid, ordinal, old key hash, old kind, old, new]
 *      delete: [21, key hash, relid, ordinal, old kind, old] ---- */

static const uint32_t row_elements[] = {[FRAME_INSERT] = 5, [FRAME_UPDATE] = 8, [FRAME_DELETE] = 6};

void
tuple_pack(struct packer *p, const struct tuple *tuple)
{
    pack_array(p, tuple->count);
    for (uint32_t i = 0; i < tuple->count; i++)
        pack_value(p, &tuple->values[i]);
}

static void
pack_old_row(struct packer *p, const struct row_event *row)
{
    char kind = (char)row->old_kind;

    if (row->old_kind == OLD_NONE) {
        pack_nil(p);
        pack_nil(p);
        return;
    }
    pack_str(p, (struct bytes){.data = (const uint8_t *)&kind, .len = 1});
    tuple_pack(p, &row->old_row);
}

int
row_encode(struct buf *buf, uint8_t type, const struct row_event *row)
{
    struct packer p;

    frame_begin(&p, buf, type, row_elements[type]);
    pack_uint(&p, row->header.key_hash);
    pack_uint(&p, row->header.relid);
    pack_uint(&p, row->header.ordinal);
    if (type == FRAME_UPDATE)
        pack_uint(&p, row->header.old_key_hash);
    if (type != FRAME_INSERT)
        pack_old_row(&p, row);
    if (type != FRAME_DELETE)
        tuple_pack(&p, &row->new_row);
    return frame_end(&p);
}

bool
row_header_decode(struct cursor *body, uint8_t type, struct row_header *h)
{
    if (!mp_uint(body, &h->key_hash) || !mp_uint32(body, &h->relid) || !mp_uint(body, &h->ordinal))
        return false;
    h->old_key_hash = h->key_hash;
    return type != FRAME_UPDATE || mp_uint(body, &h->old_key_hash);
}

bool
tuple_unpack(struct cursor *c, struct tuple *tuple, struct value *values)
{
    if (!mp_array(c, &tuple->count) || tuple->count > COLUMNS_MAX)
        return false;
    tuple->values = values;
    for (uint32_t i = 0; i < tuple->count; i++)
        if (!mp_value(c, &values[i]))
            return false;
    return true;
}

static bool
decode_old_row(struct cursor *c, struct row_event *row, struct value *values)
{
    struct value kind;

    if (!mp_value(c, &kind))
        return false;
    if (kind.kind == VALUE_NULL)
        return mp_value(c, &kind) && kind.kind == VALUE_NULL;
    if (kind.kind != VALUE_TEXT || kind.len != 1 ||
        (kind.data[0] != OLD_KEY && kind.data[0] != OLD_FULL))
        return false;
    row->old_kind = kind.data[0] == OLD_KEY ? OLD_KEY : OLD_FULL;
    return tuple_unpack(c, &row->old_row, values);
}

bool
row_decode_rest(struct cursor *body, uint8_t type, uint32_t elements, struct row_event *row,
                struct row_values *values)
{
    row->old_kind = OLD_NONE;
    row->old_row.count = 0;
    row->new_row.count = 0;
    if (type < FRAME_INSERT || type > FRAME_DELETE || elements + 1 != row_elements[type])
        return false;
    if (type != FRAME_INSERT && !decode_old_row(body, row, values->old_values))
        return false;
    if (type == FRAME_DELETE && row->old_kind == OLD_NONE)
        return false;
    if (type != FRAME_DELETE && !tuple_unpack(body, &row->new_row, values->new_values))
        return false;
    return body->left == 0;
}

bool
row_decode(struct cursor *body, uint8_t type, uint32_t elements, struct row_event *row,
           struct row_values *values)
{
    return row_header_decode(body, type, &row->header) &&
           row_decode_rest(body, type, elements, row, values);
}

/* ---- truncate: [22, ordinal, flags, [relid, ...]] ---- */

int
truncate_encode(struct buf *buf, const struct truncate_event *truncate)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_TRUNCATE, 4);
    pack_uint(&p, truncate->ordinal);
    pack_uint(&p, truncate->flags);
    pack_array(&p, truncate->count);
    for (uint32_t i = 0; i < truncate->count; i++)
        pack_uint(&p, truncate->relids[i]);
    return frame_end(&p);
}

int
truncate_decode(struct cursor *body, uint32_t elements, struct truncate_event *truncate,
                struct err *err)
{
    uint64_t flags;

    *truncate = (struct truncate_event){0};
    if (elements != 3 || !mp_uint(body, &truncate->ordinal) || !mp_uint(body, &flags) ||
        flags > UINT8_MAX || !mp_array(body, &truncate->count) || truncate->count == 0 ||
        truncate->count > TRUNCATE_RELATIONS_MAX)
        return err_set(err, EXIT_REFUSED, "malformed truncate event");
    truncate->flags = (uint8_t)flags;
    truncate->relids = malloc(truncate->count * sizeof *truncate->relids);
    if (truncate->relids == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a truncate event");
    for (uint32_t i = 0; i < truncate->count; i++)
        if (!mp_uint32(body, &truncate->relids[i]))
            goto malformed;
    if (body->left == 0)
        return 0;
malformed:
    free(truncate->relids);
    truncate->relids = NULL;
    return err_set(err, EXIT_REFUSED, "malformed truncate event");
}

/* ---- message: [23, transactional, lsn, prefix, content] ---- */

int
message_encode(struct buf *buf, const struct message_event *message)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_MESSAGE, 5);
    pack_bool(&p, message->transactional);
    pack_uint(&p, message->lsn);
    pack_str(&p, message->prefix);
    pack_bin(&p, message->content);
    return frame_end(&p);
}

bool
message_decode(struct cursor *body, uint32_t elements, struct message_event *message)
{
    return elements == 4 && mp_bool(body, &message->transactional) &&
           mp_uint(body, &message->lsn) && mp_str(body, &message->prefix) &&
           mp_bin(body, &message->content) && body->left == 0;
}

/* ---- barrier: [26, id, applier] ---- */

int
barrier_encode(struct buf *buf, const struct barrier_event *barrier)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_BARRIER, 3);
    pack_uint(&p, barrier->id);
    pack_uint(&p, barrier->applier);
    return frame_end(&p);
}

bool
barrier_decode(struct cursor *body, uint32_t elements, struct barrier_event *barrier)
{
    return elements == 2 && mp_uint(body, &barrier->id) && mp_uint32(body, &barrier->applier) &&
           body->left == 0;
}

/* ---- layout: [27, text] ---- */

int
layout_encode(struct buf *buf, struct bytes text)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_LAYOUT, 2);
    pack_str(&p, text);
    return frame_end(&p);
}

bool
layout_decode(struct cursor *body, uint32_t elements, struct bytes *text)
{
    return elements == 1 && mp_str(body, text) && body->left == 0;
}

/* ---- left out: [29, relid] ---- */

int
left_out_encode(struct buf *buf, uint32_t relid)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_LEFT_OUT, 2);
    pack_uint(&p, relid);
    return frame_end(&p);
}

bool
left_out_decode(struct cursor *body, uint32_t elements, uint32_t *relid)
{
    return elements == 1 && mp_uint32(body, relid) && body->left == 0;
}
