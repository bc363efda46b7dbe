/* keyrows.c: see keyrows.h. */
#include "pg-table-read/keyrows.h"

#include <string.h>

void
keyrows_begin(struct keyrows *k, const struct range_order *order)
{
    memset(k->answered, 0, sizeof k->answered);
    k->left = order->keys.count;
    k->absent_count = 0;
    rowpack_reset(&k->absent);
}

static bool
take_number(const struct value *value, uint32_t below, uint32_t *number)
{
    *number = 0;
    if (value->kind != VALUE_TEXT || value->len < 1 || value->len > 6)
        return false;
    for (uint32_t i = 0; i < value->len; i++) {
        if (value->data[i] < '0' || value->data[i] > '9')
            return false;
        *number = *number * 10 + (uint32_t)(value->data[i] - '0');
    }
    return *number < below;
}

/* The key of this number, as a row whose other columns are null. */
static bool
find_key(const struct range_order *order, uint32_t number, struct value row[COLUMNS_MAX])
{
    const struct relation *relation = order->relation;
    const struct buf *keys = &order->keys.keys;
    struct cursor c = cursor_over(keys->data + keys->start, buf_len(keys));
    uint32_t columns = catalog_key_columns(relation), at = 0;
    struct value values[COLUMNS_MAX];
    struct tuple key;

    for (uint32_t i = 0; i <= number; i++)
        if (!copydetail_key_next(&c, columns, &key, values))
            return false;
    for (uint32_t i = 0; i < relation->columns_count; i++)
        row[i] = relation->columns[i].key ? values[at++] : (struct value){.kind = VALUE_NULL};
    return true;
}

/* A key column is never null. If it is, there is no row. */
static bool
is_none(const struct relation *relation, const struct value *row)
{
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (relation->columns[i].key && row[i].kind == VALUE_NULL)
            return true;
    return false;
}

static bool
has_key(const struct relation *relation, const struct value *row, const struct value *key)
{
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (relation->columns[i].key &&
            (row[i].len != key[i].len || memcmp(row[i].data, key[i].data, key[i].len) != 0))
            return false;
    return true;
}

int
keyrows_take(struct keyrows *k, const struct range_order *order, const struct value *fields,
             bool *found, struct buf *frames, struct err *err)
{
    struct value row[COLUMNS_MAX];
    struct tuple absent = {.count = order->relation->columns_count, .values = row};
    uint32_t number;

    if (!take_number(&fields[0], order->keys.count, &number) || k->answered[number])
        return err_set(err, EXIT_BUG, "%s: a key that was asked for is answered twice",
                       order->part->name);
    k->answered[number] = true;
    k->left--;
    *found = !is_none(order->relation, fields + 1);
    if (!find_key(order, number, row))
        return err_set(err, EXIT_BUG, "%s: the keys that were asked for are malformed",
                       order->part->name);
    /* An equal key may have another text (numeric 1.0 and 1.00). Then the requested text is
     * absent. */
    if (*found && has_key(order->relation, fields + 1, row))
        return 0;
    k->absent_count++;
    return rowpack_add(&k->absent, FRAME_ABSENT, order, &absent, 64, frames, err);
}

int
keyrows_left(const struct keyrows *k, const struct range_order *order, struct keybatch *left)
{
    const struct buf *keys = &order->keys.keys;
    struct cursor c = cursor_over(keys->data + keys->start, buf_len(keys));
    struct value values[COLUMNS_MAX];
    struct tuple key;

    for (uint32_t n = 0; n < order->keys.count; n++) {
        if (!copydetail_key_next(&c, catalog_key_columns(order->relation), &key, values))
            return -1;
        if (k->answered[n])
            continue;
        copydetail_key_add(&left->keys, &key);
        left->count++;
    }
    return left->keys.failed ? -1 : 0;
}

void
keyrows_free(struct keyrows *k)
{
    rowpack_free(&k->absent);
}
