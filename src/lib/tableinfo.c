/* tableinfo.c: see tableinfo.h. The frame is [type, relid, lsn, replica identity, schema, name,
 * [attnum, ...], [attnum, ...], [[attnum, name, type oid, typmod, not null, has default, missing],
 * ...]] */
#include "lib/tableinfo.h"

#include <stdlib.h>

/* ---- to the stream ---- */

static void
pack_key(struct packer *p, const struct tableinfo_key *key)
{
    pack_array(p, key->count);
    for (uint32_t i = 0; i < key->count; i++)
        pack_uint(p, key->attnums[i]);
}

int
tableinfo_encode(struct buf *buf, uint8_t type, const struct tableinfo *info)
{
    struct packer p;

    frame_begin(&p, buf, type, 9);
    pack_uint(&p, info->relid);
    pack_uint(&p, info->lsn);
    pack_str(&p, (struct bytes){.data = (const uint8_t *)&info->replica_identity, .len = 1});
    pack_cstr(&p, info->schema);
    pack_cstr(&p, info->name);
    pack_key(&p, &info->primary);
    pack_key(&p, &info->identity);
    pack_array(&p, info->columns_count);
    for (uint32_t i = 0; i < info->columns_count; i++) {
        const struct tableinfo_column *c = &info->columns[i];

        pack_array(&p, 7);
        pack_uint(&p, c->attnum);
        pack_cstr(&p, c->name);
        pack_uint(&p, c->type_oid);
        pack_int(&p, c->typmod);
        pack_bool(&p, c->not_null);
        pack_bool(&p, c->has_default);
        if (c->missing == NULL)
            pack_nil(&p);
        else
            pack_cstr(&p, c->missing);
    }
    return frame_end(&p);
}

/* ---- from the stream ---- */

/* Copies a string into the block. A NUL inside it would hide the rest. */
static bool
keep_string(struct bytes s, char **free_space, const char **out)
{
    if (s.len > 0 && memchr(s.data, 0, s.len) != NULL)
        return false;
    *out = *free_space;
    if (s.len > 0)
        memcpy(*free_space, s.data, s.len);
    (*free_space)[s.len] = '\0';
    *free_space += s.len + 1;
    return true;
}

static bool
read_key(struct cursor *c, struct tableinfo_key *key)
{
    if (!mp_array(c, &key->count) || key->count > TABLEINFO_KEYS_MAX)
        return false;
    for (uint32_t i = 0; i < key->count; i++)
        if (!mp_uint32(c, &key->attnums[i]))
            return false;
    return true;
}

static bool
read_missing(struct cursor *c, char **strings, const char **out)
{
    struct value value;

    *out = NULL;
    if (!mp_value(c, &value))
        return false;
    return value.kind == VALUE_NULL ||
           (value.kind == VALUE_TEXT &&
            keep_string((struct bytes){.data = value.data, .len = value.len}, strings, out));
}

static bool
read_column(struct cursor *c, struct tableinfo_column *column, char **strings)
{
    uint32_t elements;
    struct bytes name;
    int64_t typmod;

    if (!mp_array(c, &elements) || elements != 7 || !mp_uint32(c, &column->attnum) ||
        !mp_str(c, &name) || !keep_string(name, strings, &column->name) ||
        !mp_uint32(c, &column->type_oid) || !mp_int(c, &typmod) || typmod < INT32_MIN ||
        typmod > INT32_MAX || !mp_bool(c, &column->not_null) || !mp_bool(c, &column->has_default))
        return false;
    column->typmod = (int32_t)typmod;
    return read_missing(c, strings, &column->missing);
}

static bool
read_head(struct cursor *body, struct tableinfo *info, struct bytes *schema, struct bytes *name)
{
    struct bytes identity;

    if (!mp_uint32(body, &info->relid) || !mp_uint(body, &info->lsn) || !mp_str(body, &identity) ||
        identity.len != 1 || memchr("dnfi", identity.data[0], 4) == NULL)
        return false;
    info->replica_identity = (char)identity.data[0];
    return mp_str(body, schema) && mp_str(body, name) && read_key(body, &info->primary) &&
           read_key(body, &info->identity) && mp_array(body, &info->columns_count) &&
           info->columns_count <= COLUMNS_MAX;
}

static bool
read_rest(struct cursor *body, struct tableinfo *info, struct bytes schema, struct bytes name,
          char *strings)
{
    if (!keep_string(schema, &strings, &info->schema) || !keep_string(name, &strings, &info->name))
        return false;
    for (uint32_t i = 0; i < info->columns_count; i++)
        if (!read_column(body, &info->columns[i], &strings))
            return false;
    return body->left == 0;
}

int
tableinfo_decode(struct cursor *body, uint32_t elements, struct tableinfo *info, struct err *err)
{
    /* Every string in the frame has a tag of at least one byte, which pays for its NUL. */
    size_t strings_size = body->left + 1, columns_size;
    struct bytes schema, name;

    *info = (struct tableinfo){0};
    if (elements != 8 || !read_head(body, info, &schema, &name))
        goto malformed;
    columns_size = info->columns_count * sizeof *info->columns;
    info->block = malloc(columns_size + strings_size);
    if (info->block == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table's description");
    info->columns = info->block;
    if (read_rest(body, info, schema, name, (char *)info->block + columns_size))
        return 0;
malformed:
    tableinfo_free(info);
    return err_set(err, EXIT_REFUSED, "malformed tableinfo event");
}

void
tableinfo_free(struct tableinfo *info)
{
    free(info->block);
    *info = (struct tableinfo){0};
}

/* ---- its columns ---- */

const struct tableinfo_column *
tableinfo_named(const struct tableinfo *info, const char *name)
{
    for (uint32_t i = 0; i < info->columns_count; i++)
        if (strcmp(info->columns[i].name, name) == 0)
            return &info->columns[i];
    return NULL;
}

const struct tableinfo_column *
tableinfo_at(const struct tableinfo *info, uint32_t attnum)
{
    for (uint32_t i = 0; i < info->columns_count; i++)
        if (info->columns[i].attnum == attnum)
            return &info->columns[i];
    return NULL;
}

/* The key flags of a replica identity by index mark exactly its columns. */
static bool
identity_agrees(const struct tableinfo *info, const struct relation *relation)
{
    uint32_t flags = 0;

    if (relation->replica_identity == 'f')
        return true;
    for (uint32_t i = 0; i < relation->columns_count; i++)
        flags += relation->columns[i].key;
    if (flags != info->identity.count)
        return false;
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        const struct tableinfo_column *c = tableinfo_named(info, relation->columns[i].name);
        bool found = false;

        for (uint32_t k = 0; k < info->identity.count; k++)
            found = found || info->identity.attnums[k] == c->attnum;
        if (found != relation->columns[i].key)
            return false;
    }
    return true;
}

/* The table may have columns that are not published. */
bool
tableinfo_agrees(const struct tableinfo *info, const struct relation *relation)
{
    if (info->relid != relation->relid || info->replica_identity != relation->replica_identity ||
        strcmp(info->schema, relation->schema) != 0 || strcmp(info->name, relation->name) != 0)
        return false;
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        const struct relation_column *known = &relation->columns[i];
        const struct tableinfo_column *c = tableinfo_named(info, known->name);

        if (c == NULL || c->type_oid != known->type_oid || c->typmod != known->typmod)
            return false;
    }
    return identity_agrees(info, relation);
}
