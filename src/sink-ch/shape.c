/* shape.c: see shape.h. A shape is the header of RowBinaryWithNamesAndTypes, which is the number of
 * columns, their names, and their types. */
#include "sink-ch/shape.h"

static void
put_string(struct buf *out, const char *text)
{
    convert_put_length(out, strlen(text));
    server_put_text(out, text);
}

void
shape_put_names(const struct table *table, const struct options *options, struct buf *sql)
{
    for (uint32_t i = 0; i < table->columns_count; i++) {
        server_put_text(sql, i == 0 ? "" : ", ");
        server_put_name(sql, table->columns[i].name);
    }
    if (table->has_version) {
        server_put_text(sql, ", ");
        server_put_name(sql, options->version_column);
    }
    if (table->has_deleted) {
        server_put_text(sql, ", ");
        server_put_name(sql, options->deleted_column);
    }
}

static uint32_t
count_columns(const struct table *table)
{
    return table->columns_count + table->has_version + table->has_deleted;
}

/* The type of one of walpipe's own columns. */
static void
put_own(struct buf *out, const struct described *d, const char *name)
{
    const struct described_column *column = described_find(d, name);

    put_string(out, column == NULL ? "" : column->type);
}

int
shape_make(struct table *table, const struct options *options, const struct described *d,
           struct err *err)
{
    struct buf *out = &table->shape;

    convert_put_length(out, count_columns(table));
    for (uint32_t i = 0; i < table->columns_count; i++)
        put_string(out, table->columns[i].name);
    if (table->has_version)
        put_string(out, options->version_column);
    if (table->has_deleted)
        put_string(out, options->deleted_column);
    for (uint32_t i = 0; i < table->columns_count; i++)
        put_string(out, table->columns[i].type_text);
    if (table->has_version)
        put_own(out, d, options->version_column);
    if (table->has_deleted)
        put_own(out, d, options->deleted_column);
    if (out->failed)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    buf_fit(out);
    return 0;
}

static struct bytes
all(const struct table *table)
{
    return (struct bytes){.data = table->shape.data, .len = buf_len(&table->shape)};
}

struct bytes
shape_header(const struct server *server, const struct table *table)
{
    return server->has_header ? all(table) : (struct bytes){0};
}

/* ---- servers that do not compare it ---- */

/* Takes one field of a line of TabSeparated at *at, and the byte behind it. It is escaped as
 * ClickHouse does it. */
static bool
take_field(struct cursor *c, struct buf *field)
{
    static const char from[] = "bfrnt0", to[] = "\b\f\r\n\t\0";
    uint8_t byte;

    buf_reset(field, 256);
    while (cursor_u8(c, &byte) && byte != '\t' && byte != '\n') {
        const char *escaped = NULL;

        if (byte == '\\' && cursor_u8(c, &byte))
            escaped = strchr(from, byte);
        if (escaped != NULL && *escaped != '\0')
            byte = (uint8_t)to[escaped - from];
        buf_append(field, &byte, 1);
    }
    return !field->failed;
}

/* Past `count` strings of a shape. */
static bool
skip_strings(struct cursor *c, uint64_t count)
{
    struct bytes ignored;

    while (count-- > 0)
        if (!server_read_string(c, &ignored))
            return false;
    return true;
}

/* A line of names, then a line of types. */
static bool
is_same(const struct table *table, const struct buf *answer)
{
    struct cursor shape = cursor_over(table->shape.data, buf_len(&table->shape));
    struct cursor lines = cursor_over(answer->data, buf_len(answer));
    struct buf field = {0};
    struct bytes type;
    uint64_t count;
    bool same;

    same = chtype_read_length(&shape, &count) && skip_strings(&shape, count);
    for (uint64_t i = 0; same && i < count; i++)
        same = take_field(&lines, &field);
    for (uint64_t i = 0; same && i < count; i++)
        same = server_read_string(&shape, &type) && take_field(&lines, &field) &&
               type.len == buf_len(&field) && memcmp(type.data, field.data, type.len) == 0;
    buf_free(&field);
    return same;
}

enum shape_answer
shape_look(struct server *server, const struct table *table, const struct options *options,
           struct err *err)
{
    struct buf sql = {0};

    if (server->has_header)
        return SHAPE_SAME;
    server_put_text(&sql, "SELECT ");
    shape_put_names(table, options, &sql);
    server_put_text(&sql, " FROM ");
    server_put_text(&sql, table->target_sql);
    server_put_text(&sql, " WHERE 0 FORMAT TabSeparatedWithNamesAndTypes");
    if (server_query(server, "ask for the types of a table's columns", &sql, err) != 0)
        return SHAPE_ERROR;
    return is_same(table, &server->answer.body) ? SHAPE_SAME : SHAPE_CHANGED;
}
