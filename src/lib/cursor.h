/* cursor.h: bounds-checked reading of bytes from outside, of big-endian fields and msgpack items.
 *
 * Every getter returns false, and moves nothing past the end, if the bytes do not hold the
 * requested item. There is no default value. A caller that leaves a field unread has an error. A
 * msgpack count or length is checked against the bytes that are left before it is returned, so
 * memory may be taken from it. The msgpack format is described at
 * github.com/msgpack/msgpack/blob/master/spec.md */
#ifndef WALPIPE_CURSOR_H
#define WALPIPE_CURSOR_H

#include "lib/base.h"

struct cursor {
    const uint8_t *at;
    size_t left;
};

static inline struct cursor
cursor_over(const void *data, size_t len)
{
    return (struct cursor){.at = data, .left = len};
}

MUST_CHECK static inline bool
cursor_u8(struct cursor *c, uint8_t *out)
{
    if (1 > c->left)
        return false;
    *out = *c->at;
    c->at += 1;
    c->left -= 1;
    return true;
}

MUST_CHECK static inline bool
cursor_u16(struct cursor *c, uint16_t *out)
{
    if (2 > c->left)
        return false;
    *out = (uint16_t)(c->at[0] << 8 | c->at[1]);
    c->at += 2;
    c->left -= 2;
    return true;
}

MUST_CHECK static inline bool
cursor_u32(struct cursor *c, uint32_t *out)
{
    if (4 > c->left)
        return false;
    *out = (uint32_t)c->at[0] << 24 | (uint32_t)c->at[1] << 16 | (uint32_t)c->at[2] << 8 | c->at[3];
    c->at += 4;
    c->left -= 4;
    return true;
}

MUST_CHECK static inline bool
cursor_u64(struct cursor *c, uint64_t *out)
{
    uint32_t high, low;

    if (8 > c->left || !cursor_u32(c, &high) || !cursor_u32(c, &low))
        return false;
    *out = (uint64_t)high << 32 | low;
    return true;
}

MUST_CHECK static inline bool
cursor_bytes(struct cursor *c, size_t n, struct bytes *out)
{
    if (n > c->left)
        return false;
    *out = (struct bytes){.data = c->at, .len = n};
    c->at += n;
    c->left -= n;
    return true;
}

/* A NUL-terminated string. *out points into the cursor's bytes, NUL included. */
bool cursor_cstr(struct cursor *c, const char **out) MUST_CHECK;

/* msgpack. */
bool mp_array(struct cursor *c, uint32_t *count) MUST_CHECK;
bool mp_nil(struct cursor *c) MUST_CHECK;
bool mp_uint(struct cursor *c, uint64_t *out) MUST_CHECK;
bool mp_uint32(struct cursor *c, uint32_t *out) MUST_CHECK;
bool mp_int(struct cursor *c, int64_t *out) MUST_CHECK;
bool mp_bool(struct cursor *c, bool *out) MUST_CHECK;
bool mp_str(struct cursor *c, struct bytes *out) MUST_CHECK;
bool mp_bin(struct cursor *c, struct bytes *out) MUST_CHECK;

/* A str without a NUL inside, copied NUL-terminated into out[size]. Returns false if it does not
 * fit. */
bool mp_cstr(struct cursor *c, char *out, size_t size) MUST_CHECK;

/* An ext of type 1 and length 0. */
#define MP_EXT_UNCHANGED 1

enum value_kind {
    VALUE_NULL = 'n',     /* SQL NULL, msgpack nil */
    VALUE_TEXT = 't',     /* PostgreSQL's text format, msgpack str */
    VALUE_BINARY = 'b',   /* PostgreSQL's binary format, msgpack bin */
    VALUE_UNCHANGED = 'u' /* a TOASTed and unchanged value that was not sent, msgpack ext 1 */
};

/* One column's value. data belongs to the frame it came from and is not NUL-terminated. */
struct value {
    enum value_kind kind;
    uint32_t len;
    const uint8_t *data;
};

bool mp_value(struct cursor *c, struct value *out) MUST_CHECK;

#endif
