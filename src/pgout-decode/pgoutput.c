/* pgoutput.c: see pgoutput.h. */
#include "pgout-decode/pgoutput.h"

const char *
pgoutput_name(uint8_t tag)
{
    switch (tag) {
    case PGOUTPUT_BEGIN:
        return "Begin";
    case PGOUTPUT_COMMIT:
        return "Commit";
    case PGOUTPUT_ORIGIN:
        return "Origin";
    case PGOUTPUT_RELATION:
        return "Relation";
    case PGOUTPUT_TYPE:
        return "Type";
    case PGOUTPUT_INSERT:
        return "Insert";
    case PGOUTPUT_UPDATE:
        return "Update";
    case PGOUTPUT_DELETE:
        return "Delete";
    case PGOUTPUT_TRUNCATE:
        return "Truncate";
    case PGOUTPUT_MESSAGE:
        return "Message";
    case PGOUTPUT_STREAM_START:
        return "Stream Start";
    case PGOUTPUT_STREAM_STOP:
        return "Stream Stop";
    case PGOUTPUT_STREAM_COMMIT:
        return "Stream Commit";
    case PGOUTPUT_STREAM_ABORT:
        return "Stream Abort";
    case PGOUTPUT_BEGIN_PREPARE:
        return "Begin Prepare";
    case PGOUTPUT_PREPARE:
        return "Prepare";
    case PGOUTPUT_COMMIT_PREPARED:
        return "Commit Prepared";
    case PGOUTPUT_ROLLBACK_PREPARED:
        return "Rollback Prepared";
    case PGOUTPUT_STREAM_PREPARE:
        return "Stream Prepare";
    default:
        return NULL;
    }
}

int
pgoutput_protocol(uint8_t tag)
{
    switch (tag) {
    case PGOUTPUT_STREAM_START:
    case PGOUTPUT_STREAM_STOP:
    case PGOUTPUT_STREAM_COMMIT:
    case PGOUTPUT_STREAM_ABORT:
        return 2;
    case PGOUTPUT_BEGIN_PREPARE:
    case PGOUTPUT_PREPARE:
    case PGOUTPUT_COMMIT_PREPARED:
    case PGOUTPUT_ROLLBACK_PREPARED:
    case PGOUTPUT_STREAM_PREPARE:
        return 3;
    default:
        return 1;
    }
}

static bool
read_i32(struct cursor *c, int32_t *out)
{
    uint32_t n;

    if (!cursor_u32(c, &n))
        return false;
    *out = (int32_t)n;
    return true;
}

static bool
read_time(struct cursor *c, int64_t *out)
{
    uint64_t n;

    if (!cursor_u64(c, &n))
        return false;
    *out = (int64_t)n;
    return true;
}

/* 'B': final lsn:8 commit time:8 xid:4 */
bool
pgoutput_begin(struct cursor *c, struct begin_event *begin)
{
    return cursor_u64(c, &begin->commit_lsn) && read_time(c, &begin->commit_time) &&
           cursor_u32(c, &begin->xid) && c->left == 0;
}

/* 'C': flags:1 (unused, 0) commit lsn:8 end lsn:8 commit time:8 */
bool
pgoutput_commit(struct cursor *c, struct commit_event *commit)
{
    uint8_t flags;

    return cursor_u8(c, &flags) && flags == 0 && cursor_u64(c, &commit->commit_lsn) &&
           cursor_u64(c, &commit->end_lsn) && read_time(c, &commit->commit_time) && c->left == 0;
}

static struct bytes
bytes_of(const char *s)
{
    return (struct bytes){.data = (const uint8_t *)s, .len = strlen(s)};
}

/* 'O': origin lsn:8 name:cstr */
bool
pgoutput_origin(struct cursor *c, struct origin_event *origin)
{
    const char *name;

    if (!cursor_u64(c, &origin->origin_lsn) || !cursor_cstr(c, &name) || c->left != 0)
        return false;
    origin->name = bytes_of(name);
    return true;
}

static bool
read_column(struct cursor *c, struct relation_column *column)
{
    uint8_t flags;

    if (!cursor_u8(c, &flags) || flags > 1 || !cursor_cstr(c, &column->name) ||
        !cursor_u32(c, &column->type_oid) || !read_i32(c, &column->typmod))
        return false;
    column->key = flags == 1;
    return true;
}

/* 'R': relid:4 schema:cstr name:cstr replica identity:1 ncols:2
 *      { flags:1 (1 = key) name:cstr type oid:4 typmod:4 } */
bool
pgoutput_relation(struct cursor *c, struct pgoutput_relation *r)
{
    uint8_t identity;
    uint16_t count;

    if (!cursor_u32(c, &r->relid) || !cursor_cstr(c, &r->schema) || !cursor_cstr(c, &r->name) ||
        !cursor_u8(c, &identity) || memchr("dnfi", identity, 4) == NULL || !cursor_u16(c, &count) ||
        count > COLUMNS_MAX)
        return false;
    if (r->schema[0] == '\0')
        r->schema = "pg_catalog";
    r->replica_identity = (char)identity;
    r->columns_count = count;
    for (uint16_t i = 0; i < count; i++)
        if (!read_column(c, &r->columns[i]))
            return false;
    return c->left == 0;
}

/* 'Y': oid:4 schema:cstr name:cstr */
bool
pgoutput_type(struct cursor *c, struct pgoutput_type *type)
{
    return cursor_u32(c, &type->oid) && cursor_cstr(c, &type->schema) &&
           cursor_cstr(c, &type->name) && c->left == 0;
}

/* One column, which is 'n', 'u', or 't' or 'b' with len:4 and that many bytes. */
static bool
read_value(struct cursor *c, struct value *value)
{
    struct bytes b;
    uint8_t kind;

    if (!cursor_u8(c, &kind))
        return false;
    switch (kind) {
    case VALUE_NULL:
    case VALUE_UNCHANGED:
        *value = (struct value){.kind = (enum value_kind)kind};
        return true;
    case VALUE_TEXT:
    case VALUE_BINARY:
        value->kind = (enum value_kind)kind;
        if (!cursor_u32(c, &value->len) || !cursor_bytes(c, value->len, &b))
            return false;
        value->data = b.data;
        return true;
    default:
        return false;
    }
}

/* ncols:2 { column } */
static bool
read_tuple(struct cursor *c, struct tuple *tuple, struct value *values)
{
    uint16_t count;

    if (!cursor_u16(c, &count) || count > COLUMNS_MAX)
        return false;
    tuple->count = count;
    tuple->values = values;
    for (uint16_t i = 0; i < count; i++)
        if (!read_value(c, &values[i]))
            return false;
    return true;
}

/* 'I': relid:4 'N' tuple;  'U': relid:4 [('K'|'O') tuple] 'N' tuple;  'D': relid:4 ('K'|'O') tuple
 */
bool
pgoutput_row(struct cursor *c, uint8_t tag, struct row_event *row, struct row_values *values)
{
    uint8_t part;

    row->old_kind = OLD_NONE;
    if (!cursor_u32(c, &row->header.relid) || !cursor_u8(c, &part))
        return false;
    if (tag != PGOUTPUT_INSERT && (part == OLD_KEY || part == OLD_FULL)) {
        row->old_kind = part == OLD_KEY ? OLD_KEY : OLD_FULL;
        if (!read_tuple(c, &row->old_row, values->old_values))
            return false;
        if (tag == PGOUTPUT_DELETE)
            return c->left == 0;
        if (!cursor_u8(c, &part))
            return false;
    }
    return tag != PGOUTPUT_DELETE && part == 'N' &&
           read_tuple(c, &row->new_row, values->new_values) && c->left == 0;
}

/* 'T': count:4 flags:1 { relid:4 } */
bool
pgoutput_truncate(struct cursor *c, struct truncate_event *truncate, struct cursor *relids)
{
    if (!cursor_u32(c, &truncate->count) || !cursor_u8(c, &truncate->flags) ||
        truncate->flags > (TRUNCATE_CASCADE | TRUNCATE_RESTART_IDENTITY) || truncate->count == 0 ||
        truncate->count > TRUNCATE_RELATIONS_MAX || c->left != (size_t)truncate->count * 4)
        return false;
    *relids = *c;
    return true;
}

/* 'M': flags:1 (1 = transactional) lsn:8 prefix:cstr len:4 content */
bool
pgoutput_message(struct cursor *c, struct message_event *message)
{
    const char *prefix;
    uint32_t len;
    uint8_t flags;

    if (!cursor_u8(c, &flags) || flags > 1 || !cursor_u64(c, &message->lsn) ||
        !cursor_cstr(c, &prefix) || !cursor_u32(c, &len) ||
        !cursor_bytes(c, len, &message->content) || c->left != 0)
        return false;
    message->transactional = flags == 1;
    message->prefix = bytes_of(prefix);
    return true;
}
