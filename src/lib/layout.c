/* layout.c: see layout.h. */
#include "lib/layout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/hash.h"

static const char column_prefix[] = "column:";

bool
layout_set_shard_key(struct layout *l, const char *text)
{
    size_t prefix = sizeof column_prefix - 1;

    if (strcmp(text, "key") == 0) {
        l->shard_key = SHARD_BY_KEY;
    } else if (strcmp(text, "table") == 0) {
        l->shard_key = SHARD_BY_TABLE;
    } else if (strncmp(text, column_prefix, prefix) == 0 && text[prefix] != '\0' &&
               strlen(text + prefix) < sizeof l->shard_column) {
        l->shard_key = SHARD_BY_COLUMN;
        snprintf(l->shard_column, sizeof l->shard_column, "%s", text + prefix);
    } else {
        return false;
    }
    return true;
}

/* ---- tables that go whole ---- */

struct layout_text
layout_show(const char *schema, const char *table)
{
    struct layout_text shown;
    size_t len;

    names_show(schema, shown.text, LAYOUT_NAME_MAX);
    len = strlen(shown.text);
    shown.text[len++] = '.';
    names_show(table, shown.text + len, sizeof shown.text - len);
    return shown;
}

/* The place of the table, or the place where it belongs. */
static size_t
find_place(const struct layout *l, const char *shown)
{
    size_t low = 0, high = l->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(l->entries[middle].table, shown) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int
put_entry(struct layout *l, const char *table, const char *group, struct err *err)
{
    size_t at = find_place(l, table);
    struct layout_entry entry = {.table = strdup(table), .group = strdup(group)}, *more;

    if (l->count == l->size) {
        more = realloc(l->entries, (l->size + 64) * 2 * sizeof *more);
        if (more == NULL)
            goto failed;
        l->entries = more;
        l->size = (l->size + 64) * 2;
    }
    if (entry.table == NULL || entry.group == NULL)
        goto failed;
    memmove(l->entries + at + 1, l->entries + at, (l->count - at) * sizeof *l->entries);
    l->entries[at] = entry;
    l->count++;
    return 0;
failed:
    free(entry.table);
    free(entry.group);
    return err_set(err, EXIT_PEER, "out of memory for a layout");
}

int
layout_add_whole(struct layout *l, const char *line, struct err *err)
{
    struct table_mapping mapping;
    struct layout_text table, group;
    const char *at = line;

    if (strcmp(line, "*") == 0) {
        l->all_whole = true;
        return 0;
    }
    if (names_next_mapping(&at, &mapping, err) != 0)
        return -1;
    if (at != NULL || mapping.to_schema[0] == '\0')
        return err_set(err, EXIT_REFUSED, "\"%.200s\" is not SCHEMA.TABLE -> SCHEMA.GROUP", line);
    table = layout_show(mapping.schema, mapping.table);
    group = layout_show(mapping.to_schema, mapping.to_table);
    if (layout_has(l, table.text))
        return err_set(err, EXIT_REFUSED, "table %.200s is listed twice", table.text);
    return put_entry(l, table.text, group.text, err);
}

bool
layout_has(const struct layout *l, const char *shown)
{
    size_t place = find_place(l, shown);

    return place < l->count && strcmp(l->entries[place].table, shown) == 0;
}

const char *
layout_group(const struct layout *l, const char *schema, const char *table)
{
    struct layout_text shown;

    if (l->all_whole)
        return "*";
    if (l->count == 0)
        return NULL;
    shown = layout_show(schema, table);
    return layout_has(l, shown.text) ? l->entries[find_place(l, shown.text)].group : NULL;
}

void
layout_free(struct layout *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->entries[i].table);
        free(l->entries[i].group);
    }
    free(l->entries);
    *l = (struct layout){0};
}

/* ---- text ---- */

int
layout_read_file(struct layout *l, const char *path, struct err *err)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    ssize_t len;
    int rc = 0;

    if (file == NULL)
        return err_set(err, EXIT_REFUSED, "could not open the layout %s: %s", path,
                       strerror(errno));
    while (rc == 0 && (len = getline(&line, &size, file)) >= 0) {
        if (len > 0 && line[len - 1] == '\n')
            line[len - 1] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            rc = layout_add_whole(l, line, err);
    }
    if (rc == 0 && ferror(file))
        rc = err_set(err, EXIT_PEER, "could not read the layout %s: %s", path, strerror(errno));
    free(line);
    fclose(file);
    return rc;
}

static void
put_text(struct buf *out, const char *text)
{
    buf_append(out, text, strlen(text));
}

int
layout_format(const struct layout *l, struct buf *out)
{
    char number[16];

    snprintf(number, sizeof number, "%" PRIu32, l->shards);
    put_text(out, "shards ");
    put_text(out, number);
    put_text(out, "\nshard_key ");
    if (l->shard_key == SHARD_BY_COLUMN) {
        put_text(out, column_prefix);
        put_text(out, l->shard_column);
    } else {
        put_text(out, l->shard_key == SHARD_BY_KEY ? "key" : "table");
    }
    put_text(out, "\n");
    if (l->all_whole)
        put_text(out, "whole *\n");
    for (size_t i = 0; i < l->count && !l->all_whole; i++) {
        put_text(out, "whole ");
        put_text(out, l->entries[i].table);
        put_text(out, " -> ");
        put_text(out, l->entries[i].group);
        put_text(out, "\n");
    }
    return out->failed ? -1 : 0;
}

int
layout_hash(const struct layout *l, uint64_t *hash)
{
    struct buf text = {0};
    int rc = layout_format(l, &text);

    if (rc == 0)
        *hash = hash_finish(hash_bytes(HASH_SEED, text.data + text.start, buf_len(&text)));
    buf_free(&text);
    return rc;
}

static int
parse_line(struct layout *l, const char *line, struct err *err)
{
    if (strncmp(line, "whole ", 6) == 0)
        return layout_add_whole(l, line + 6, err);
    if (strncmp(line, "shard_key ", 10) == 0 && layout_set_shard_key(l, line + 10))
        return 0;
    if (strncmp(line, "shards ", 7) == 0 && line[7] >= '1' && line[7] <= '9') {
        char *end;
        unsigned long n = strtoul(line + 7, &end, 10);

        l->shards = (uint32_t)n;
        if (*end == '\0' && n <= WORKERS_MAX)
            return 0;
    }
    return err_set(err, EXIT_REFUSED, "\"%.200s\" is not a line of a layout", line);
}

int
layout_parse(struct layout *l, struct bytes text, struct err *err)
{
    const char *at = (const char *)text.data, *end = at + text.len;

    *l = (struct layout){0};
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        char line[3 * LAYOUT_TABLE_MAX];
        size_t len = stop == NULL ? 0 : (size_t)(stop - at);

        if (stop == NULL || len >= sizeof line || memchr(at, 0, len) != NULL)
            return err_set(err, EXIT_REFUSED, "malformed layout");
        memcpy(line, at, len);
        line[len] = '\0';
        if (parse_line(l, line, err) != 0)
            return -1;
        at = stop + 1;
    }
    return l->shards > 0 ? 0 : err_set(err, EXIT_REFUSED, "malformed layout: no number of workers");
}

/* ---- the rule ---- */

static uint64_t
hash_string(uint64_t h, const char *s)
{
    return hash_bytes(h, s, strlen(s) + 1);
}

static uint64_t
hash_column(uint64_t h, const struct relation_column *column)
{
    return hash_bytes(hash_string(h, column->name), &column->type_oid, sizeof column->type_oid);
}

static void
fix(const struct layout *l, struct placement *p, uint64_t hash)
{
    p->fixed = true;
    p->shard = (uint32_t)(hash_finish(hash) % l->shards);
    p->hash = hash_bytes(hash_string(HASH_SEED, "fixed"), &p->shard, sizeof p->shard);
}

/* The shard column must be part of the replica identity. Otherwise its old value would not be
 * known, and a row could leave its worker unseen. A table without the column is sharded by its
 * key. */
static int
place_by_column(const struct layout *l, const struct relation *relation, struct placement *p,
                struct err *err)
{
    for (uint32_t i = 0; i < relation->columns_count; i++) {
        const struct relation_column *column = &relation->columns[i];

        if (strcmp(column->name, l->shard_column) != 0)
            continue;
        if (!column->key || !hash_type_is_canonical(column->type_oid)) {
            err_set(err, EXIT_REFUSED,
                    "cannot shard table %s.%s by column \"%s\": it is not part of the replica "
                    "identity, or its type has several spellings of one value",
                    relation->schema, relation->name, column->name);
            return err_hint(err, "make the column part of the key, set REPLICA IDENTITY FULL for "
                                 "the table, or set shard_key = key or table");
        }
        p->by_column = true;
        p->column = i;
        p->column_type = column->type_oid;
        p->hash = hash_column(hash_string(HASH_SEED, "column"), column);
        return 0;
    }
    return 0;
}

int
layout_place(const struct layout *l, const struct relation *relation, struct placement *p,
             struct err *err)
{
    bool keyless = relation->replica_identity == 'f' || relation->replica_identity == 'n';
    const char *group = layout_group(l, relation->schema, relation->name);

    *p = (struct placement){.hash = HASH_SEED};
    if (l->shards < 2 || group != NULL || l->shard_key == SHARD_BY_TABLE) {
        fix(l, p, group != NULL ? hash_string(HASH_SEED, group) : relation->relid);
        return 0;
    }
    if (l->shard_key == SHARD_BY_COLUMN && place_by_column(l, relation, p, err) != 0)
        return -1;
    for (uint32_t i = 0; i < relation->columns_count && !keyless && !p->by_column; i++)
        if (relation->columns[i].key && hash_type_is_canonical(relation->columns[i].type_oid))
            p->hash = hash_column(p->hash, &relation->columns[i]);
    return 0;
}

/* Returns false for a value that is none of the column's type. */
static bool
shard_of_value(const struct layout *l, const struct placement *p, const struct value *value,
               uint32_t *shard)
{
    uint64_t h = HASH_SEED;

    if (!hash_value(&h, p->column_type, value))
        return false;
    *shard = (uint32_t)(hash_finish(h) % l->shards);
    return true;
}

static bool
pick_value(const struct placement *p, const struct tuple *tuple, const struct value **value)
{
    if (p->column >= tuple->count)
        return false;
    *value = &tuple->values[p->column];
    return true;
}

/* Shards by the shard column of the new row, and of the old one if it was sent. It is not sent if
 * the identity, which includes the column, did not change. */
static bool
shards_by_column(const struct layout *l, const struct placement *p, uint8_t type,
                 struct cursor body, uint32_t elements, struct row_values *values,
                 struct row_shards *shards)
{
    const struct value *new_value = NULL, *old_value = NULL;
    struct row_event row;

    if (!row_decode_rest(&body, type, elements, &row, values) ||
        (row.old_kind != OLD_NONE && !pick_value(p, &row.old_row, &old_value)) ||
        (type != FRAME_DELETE && !pick_value(p, &row.new_row, &new_value)))
        return false;
    if (new_value == NULL || (new_value->kind == VALUE_UNCHANGED && old_value != NULL))
        new_value = old_value;
    if (old_value == NULL)
        old_value = new_value;
    if (new_value->kind == VALUE_UNCHANGED || old_value->kind == VALUE_UNCHANGED)
        return false;
    return shard_of_value(l, p, new_value, &shards->new_shard) &&
           shard_of_value(l, p, old_value, &shards->old_shard);
}

bool
layout_shards(const struct layout *l, const struct placement *p, uint8_t type,
              const struct row_header *header, struct cursor body, uint32_t elements,
              struct row_values *values, struct row_shards *shards)
{
    if (p->by_column)
        return shards_by_column(l, p, type, body, elements, values, shards);
    if (p->fixed) {
        shards->new_shard = shards->old_shard = p->shard;
    } else {
        shards->new_shard = (uint32_t)(header->key_hash % l->shards);
        shards->old_shard = (uint32_t)(header->old_key_hash % l->shards);
    }
    return true;
}

bool
layout_shard_of_row(const struct layout *l, const struct placement *p, uint64_t key_hash,
                    const struct tuple *row, uint32_t *shard)
{
    const struct value *value;

    if (p->by_column)
        return pick_value(p, row, &value) && value->kind != VALUE_UNCHANGED &&
               shard_of_value(l, p, value, shard);
    *shard = p->fixed ? p->shard : (uint32_t)(key_hash % l->shards);
    return true;
}
