/* rows_value.c: converts one value of a change to its column's type. It applies the policy for
 * values that do not fit. An error names the row and the value. */
#include "sink-ch/rows_value.h"

#include <stdio.h>

#define EXCERPT 64 /* bytes of a value in a message */

/* The new row may lack values that the old one has. */
const struct value *
rows_value_of(const struct row_event *row, const struct tuple *tuple, const struct column *column)
{
    const struct value *v = &tuple->values[column->source];

    if (v->kind == VALUE_UNCHANGED && tuple == &row->new_row &&
        (row->old_kind == OLD_FULL || (row->old_kind == OLD_KEY && column->key)))
        v = &row->old_row.values[column->source];
    return v;
}

/* ---- errors that name the value ---- */

/* At most EXCERPT bytes of the value, and "..." for the rest. */
static void
put_excerpt(struct bytes text, char *out, size_t size)
{
    size_t n = text.len < EXCERPT ? text.len : EXCERPT, i = 0;

    for (; i < n && i + 4 < size; i++)
        out[i] = (char)(text.data[i] < 0x20 || text.data[i] == 0x7f ? '?' : text.data[i]);
    snprintf(out + i, size - i, "%s", i < text.len ? "..." : "");
}

/* Writes "(a, b) = (1, x)", which is the row's key, as far as the event has it. */
static void
put_row_key(const struct change *change, const struct tuple *tuple, char *out, size_t size)
{
    const struct table *table = change->table;
    size_t n = 0;

    for (int values = 0; values < 2; values++) {
        n += (size_t)snprintf(out + n, size - n, values == 0 ? "(" : ") = (");
        for (uint32_t i = 0; i < table->keys_count && n < size; i++) {
            const struct column *column = &table->columns[i];
            const char *separator = i == 0 ? "" : ", ";
            char text[EXCERPT + 4];

            put_excerpt(convert_text(&change->worker->convert, column->oid,
                                     rows_value_of(change->row, tuple, column)),
                        text, sizeof text);
            n += (size_t)snprintf(out + n, size - n, "%s%s", separator,
                                  values == 0 ? column->name : text);
        }
        if (n >= size) {
            snprintf(out + size - 4, 4, "...");
            return;
        }
    }
    snprintf(out + n, size - n, ")");
}

static int
bad_value(const struct change *change, const struct tuple *tuple, const struct column *column,
          const struct value *v, struct err *err)
{
    struct convert *convert = &change->worker->convert;
    char text[EXCERPT + 4], key[300] = "", reason[sizeof convert->reason];

    memcpy(reason, convert->reason, sizeof reason);
    put_excerpt(convert_text(convert, column->oid, v), text, sizeof text);
    if (change->table->keys_count > 0)
        put_row_key(change, tuple, key, sizeof key);
    err_set(err, EXIT_REFUSED,
            "cannot write column \"%s\" of table \"%s\" to %s (%s)%s%s: value \"%s\": %s",
            column->name, change->table->source_name, change->table->target_sql, column->type_text,
            key[0] == '\0' ? "" : ", row ", key, text, reason);
    err_hint(err,
             "give the ClickHouse column a type that holds the value%s; nothing is lost, after a "
             "restart the pipeline continues here",
             column->key ? "" : ", or set on_overflow");
    change->worker->skips.helps = true;
    return table_error(change->table, change->worker->transaction.commit_lsn, err);
}

/* ---- encoding ---- */

/* -0 and 0 are one key to ClickHouse, so they must be one here too. */
static void
make_float_key_plain(const struct ch_type *type, struct buf *out)
{
    uint8_t *at = out->data + out->end - type->width;

    if (at[type->width - 1] != 0x80)
        return;
    for (uint32_t i = 0; i + 1 < type->width; i++)
        if (at[i] != 0)
            return;
    at[type->width - 1] = 0;
}

static void
say_altered(struct column *column, const struct change *change)
{
    const struct log *log = change->worker->log;

    if (column->altered)
        return;
    column->altered = true;
    log_write(
        log, LOG_WARNING,
        "a value of column \"%s\" of table \"%s\" does not fit %s and was %s; more of this column "
        "will not be logged",
        column->name, change->table->source_name, column->type_text,
        change->worker->options->on_overflow == CONVERT_CLAMP ? "clamped" : "made null");
}

/* Clamped keys would merge several rows into one. */
int
rows_put_value(const struct change *change, const struct tuple *tuple, struct column *column,
               const struct value *v, struct buf *out, struct err *err)
{
    struct convert *convert = &change->worker->convert;

    convert->key = column->key;
    convert->policy = column->key ? CONVERT_ERROR : change->worker->options->on_overflow;
    if (convert_value(convert, &column->type, column->oid, v, out) != 0)
        return bad_value(change, tuple, column, v, err);
    if (convert->altered)
        say_altered(column, change);
    if (column->key && column->type.kind == CH_FLOAT && v->kind != VALUE_NULL)
        make_float_key_plain(&column->type, out);
    return 0;
}
