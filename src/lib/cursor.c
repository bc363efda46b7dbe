/* cursor.c: see cursor.h. */
#include "lib/cursor.h"

#include <string.h>

bool
cursor_cstr(struct cursor *c, const char **out)
{
    const uint8_t *nul = c->left == 0 ? NULL : memchr(c->at, 0, c->left);
    size_t n;

    if (nul == NULL)
        return false;
    n = (size_t)(nul - c->at) + 1;
    *out = (const char *)c->at;
    c->at += n;
    c->left -= n;
    return true;
}

/* A big-endian unsigned number of 1, 2, 4 or 8 bytes. */
static inline bool
number(struct cursor *c, size_t width, uint64_t *out)
{
    uint8_t n8;
    uint16_t n16;
    uint32_t n32;

    switch (width) {
    case 1:
        if (!cursor_u8(c, &n8))
            return false;
        *out = n8;
        return true;
    case 2:
        if (!cursor_u16(c, &n16))
            return false;
        *out = n16;
        return true;
    case 4:
        if (!cursor_u32(c, &n32))
            return false;
        *out = n32;
        return true;
    default:
        return cursor_u64(c, out);
    }
}

bool
mp_nil(struct cursor *c)
{
    if (c->left == 0 || *c->at != 0xc0)
        return false;
    c->at++;
    c->left--;
    return true;
}

bool
mp_array(struct cursor *c, uint32_t *count)
{
    struct cursor rest = *c;
    uint8_t tag;
    uint64_t n;

    if (!cursor_u8(&rest, &tag))
        return false;
    if ((tag & 0xf0) == 0x90)
        n = tag & 0x0f;
    else if ((tag != 0xdc || !number(&rest, 2, &n)) && (tag != 0xdd || !number(&rest, 4, &n)))
        return false;
    if (n > rest.left) /* an element has at least one byte */
        return false;
    *count = (uint32_t)n;
    *c = rest;
    return true;
}

bool
mp_uint(struct cursor *c, uint64_t *out)
{
    struct cursor rest = *c;
    uint8_t tag;

    if (!cursor_u8(&rest, &tag))
        return false;
    if (tag < 0x80)
        *out = tag;
    else if (tag < 0xcc || tag > 0xcf || !number(&rest, (size_t)1 << (tag - 0xcc), out))
        return false;
    *c = rest;
    return true;
}

bool
mp_uint32(struct cursor *c, uint32_t *out)
{
    struct cursor rest = *c;
    uint64_t n;

    if (!mp_uint(&rest, &n) || n > UINT32_MAX)
        return false;
    *out = (uint32_t)n;
    *c = rest;
    return true;
}

bool
mp_int(struct cursor *c, int64_t *out)
{
    struct cursor save = *c;
    uint8_t tag;
    uint64_t n;

    if (mp_uint(c, &n)) {
        if (n <= INT64_MAX) {
            *out = (int64_t)n;
            return true;
        }
        goto wrong;
    }
    if (!cursor_u8(c, &tag))
        return false;
    if (tag >= 0xe0) {
        *out = (int8_t)tag;
        return true;
    }
    if (tag < 0xd0 || tag > 0xd3 || !number(c, (size_t)1 << (tag - 0xd0), &n))
        goto wrong;
    switch (tag) {
    case 0xd0:
        *out = (int8_t)n;
        break;
    case 0xd1:
        *out = (int16_t)n;
        break;
    case 0xd2:
        *out = (int32_t)n;
        break;
    default:
        *out = (int64_t)n;
        break;
    }
    return true;
wrong:
    *c = save;
    return false;
}

bool
mp_bool(struct cursor *c, bool *out)
{
    if (c->left == 0 || (*c->at != 0xc2 && *c->at != 0xc3))
        return false;
    *out = *c->at == 0xc3;
    c->at += 1;
    c->left -= 1;
    return true;
}

/* The length and bytes that follow a str, bin or ext tag whose length field has the given width. */
static bool
counted(struct cursor *c, size_t width, struct bytes *out)
{
    uint64_t n;

    return number(c, width, &n) && cursor_bytes(c, (size_t)n, out);
}

bool
mp_str(struct cursor *c, struct bytes *out)
{
    struct cursor save = *c;
    uint8_t tag;

    if (!cursor_u8(c, &tag))
        return false;
    if ((tag & 0xe0) == 0xa0) {
        if (cursor_bytes(c, tag & 0x1f, out))
            return true;
    } else if (tag >= 0xd9 && tag <= 0xdb) {
        if (counted(c, (size_t)1 << (tag - 0xd9), out))
            return true;
    }
    *c = save;
    return false;
}

bool
mp_bin(struct cursor *c, struct bytes *out)
{
    struct cursor save = *c;
    uint8_t tag;

    if (!cursor_u8(c, &tag))
        return false;
    if (tag >= 0xc4 && tag <= 0xc6 && counted(c, (size_t)1 << (tag - 0xc4), out))
        return true;
    *c = save;
    return false;
}

bool
mp_cstr(struct cursor *c, char *out, size_t size)
{
    struct cursor save = *c;
    struct bytes s;

    if (!mp_str(c, &s))
        return false;
    if (s.len >= size || (s.len > 0 && memchr(s.data, 0, s.len) != NULL)) {
        *c = save;
        return false;
    }
    if (s.len > 0)
        memcpy(out, s.data, s.len);
    out[s.len] = '\0';
    return true;
}

/* Any value. */
static bool
value_of_any_length(struct cursor *c, struct value *out)
{
    struct bytes b;
    uint8_t tag = *c->at;

    if ((tag & 0xe0) == 0xa0 || (tag >= 0xd9 && tag <= 0xdb)) {
        out->kind = VALUE_TEXT;
        if (!mp_str(c, &b))
            return false;
    } else if (tag == 0xc0) {
        *out = (struct value){.kind = VALUE_NULL};
        c->at += 1;
        c->left -= 1;
        return true;
    } else if (tag >= 0xc4 && tag <= 0xc6) {
        out->kind = VALUE_BINARY;
        if (!mp_bin(c, &b))
            return false;
    } else {
        if (3 > c->left || tag != 0xc7 || c->at[1] != 0 || c->at[2] != MP_EXT_UNCHANGED)
            return false;
        *out = (struct value){.kind = VALUE_UNCHANGED};
        c->at += 3;
        c->left -= 3;
        return true;
    }
    out->data = b.data;
    out->len = (uint32_t)b.len;
    return true;
}

/* Most values have fewer than 256 bytes. Their tags of two or three bytes are read here, because
 * this is called for every value of every row. */
bool
mp_value(struct cursor *c, struct value *out)
{
    size_t head = 1, len;
    uint8_t tag;

    if (c->left == 0)
        return false;
    tag = *c->at;
    if ((tag & 0xe0) == 0xa0) {
        len = tag & 0x1f;
    } else if ((tag == 0xc4 || tag == 0xd9) && c->left > 1) {
        head = 2;
        len = c->at[1];
    } else {
        return value_of_any_length(c, out);
    }
    if (len > c->left - head)
        return false;
    *out = (struct value){.kind = tag == 0xc4 ? VALUE_BINARY : VALUE_TEXT,
                          .len = (uint32_t)len,
                          .data = c->at + head};
    c->at += head + len;
    c->left -= head + len;
    return true;
}
