/* hash.c: see hash.h. */
#include "lib/hash.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/pgtype.h"

bool
hash_type_is_canonical(uint32_t type_oid)
{
    switch (type_oid) {
    case PG_BOOL:
    case PG_BYTEA:
    case PG_NAME:
    case PG_INT8:
    case PG_INT2:
    case PG_INT4:
    case PG_TEXT:
    case PG_OID:
    case PG_VARCHAR:
    case PG_UUID:
        return true;
    default:
        return false;
    }
}

static uint64_t
hash_hex(uint64_t h, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    const char text[] = {digits[byte >> 4], digits[byte & 15]};

    return hash_bytes(h, text, sizeof text);
}

static bool
hash_integer(uint64_t *h, uint32_t type_oid, struct cursor *c)
{
    uint64_t n8 = 0;
    uint32_t n4 = 0;
    uint16_t n2 = 0;
    char text[24];
    int len;

    if (type_oid == PG_INT8) {
        if (!cursor_u64(c, &n8))
            return false;
        len = snprintf(text, sizeof text, "%" PRId64, (int64_t)n8);
    } else if (type_oid == PG_INT2) {
        if (!cursor_u16(c, &n2))
            return false;
        len = snprintf(text, sizeof text, "%d", (int)(int16_t)n2);
    } else {
        if (!cursor_u32(c, &n4))
            return false;
        len = type_oid == PG_OID ? snprintf(text, sizeof text, "%" PRIu32, n4)
                                 : snprintf(text, sizeof text, "%" PRId32, (int32_t)n4);
    }
    *h = hash_bytes(*h, text, (size_t)len);
    return c->left == 0;
}

static bool
hash_uuid(uint64_t *h, const struct value *value)
{
    if (value->len != 16)
        return false;
    for (uint32_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *h = hash_bytes(*h, "-", 1);
        *h = hash_hex(*h, value->data[i]);
    }
    return true;
}

static bool
hash_binary(uint64_t *h, uint32_t type_oid, const struct value *value)
{
    struct cursor c = cursor_over(value->data, value->len);

    switch (type_oid) {
    case PG_INT8:
    case PG_INT4:
    case PG_INT2:
    case PG_OID:
        return hash_integer(h, type_oid, &c);
    case PG_BOOL:
        if (value->len != 1 || value->data[0] > 1)
            return false;
        *h = hash_bytes(*h, value->data[0] == 1 ? "t" : "f", 1);
        return true;
    case PG_UUID:
        return hash_uuid(h, value);
    case PG_BYTEA:
        *h = hash_bytes(*h, "\\x", 2);
        for (uint32_t i = 0; i < value->len; i++)
            *h = hash_hex(*h, value->data[i]);
        return true;
    default: /* text, varchar, name: the same bytes */
        *h = hash_bytes(*h, value->data, value->len);
        return true;
    }
}

bool
hash_value(uint64_t *h, uint32_t type_oid, const struct value *value)
{
    if (value->kind == VALUE_BINARY)
        return hash_binary(h, type_oid, value);
    *h = hash_bytes(*h, value->data, value->len);
    return true;
}
