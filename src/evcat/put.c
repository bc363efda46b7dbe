/* put.c: see put.h. */
#include "evcat/put.h"

void
put_begin(FILE *out, struct json *j, const char *type)
{
    *j = (struct json){.out = out};
    json_open(j, '{');
    json_cstr(j, "type", type);
}

void
put_end(struct json *j)
{
    json_close(j, '}');
    putc('\n', j->out);
}

void
put_relation(struct json *j, const struct relation *r)
{
    char identity[2] = {r->replica_identity, '\0'};

    json_uint(j, "relid", r->relid);
    json_cstr(j, "schema", r->schema);
    json_cstr(j, "name", r->name);
    json_cstr(j, "replica_identity", identity);
    json_open_member(j, "columns", '[');
    for (uint32_t i = 0; i < r->columns_count; i++) {
        const struct relation_column *column = &r->columns[i];

        json_open_member(j, NULL, '{');
        json_cstr(j, "name", column->name);
        json_bool(j, "key", column->key);
        json_uint(j, "type_oid", column->type_oid);
        json_int(j, "typmod", column->typmod);
        if (column->type_name[0] != '\0') {
            json_cstr(j, "type_schema", column->type_schema);
            json_cstr(j, "type_name", column->type_name);
        }
        json_close(j, '}');
    }
    json_close(j, ']');
}

void
put_table(struct json *j, const char *name, const struct relmap *tables, uint32_t relid)
{
    const struct relation *r = relmap_get(tables, relid);
    char qualified[512];

    if (r == NULL) {
        json_uint(j, name, relid);
        return;
    }
    snprintf(qualified, sizeof qualified, "%s.%s", r->schema, r->name);
    json_cstr(j, name, qualified);
}

static void
put_value(struct json *j, const char *name, const struct value *value)
{
    struct bytes b = {.data = value->data, .len = value->len};

    switch (value->kind) {
    case VALUE_NULL:
        json_null(j, name);
        break;
    case VALUE_TEXT:
        json_string(j, name, b);
        break;
    case VALUE_BINARY:
        json_open_member(j, name, '{');
        json_hex(j, "binary", b);
        json_close(j, '}');
        break;
    case VALUE_UNCHANGED:
        json_open_member(j, name, '{');
        json_bool(j, "unchanged", true);
        json_close(j, '}');
        break;
    }
}

void
put_tuple(struct json *j, const char *name, const struct relation *r, const struct tuple *tuple,
          bool only_key)
{
    bool named = r != NULL && r->columns_count == tuple->count;

    json_open_member(j, name, named ? '{' : '[');
    for (uint32_t i = 0; i < tuple->count; i++)
        if (!named || !only_key || r->columns[i].key)
            put_value(j, named ? r->columns[i].name : NULL, &tuple->values[i]);
    json_close(j, named ? '}' : ']');
}
