/* pack.c: see pack.h. */
#include "lib/pack.h"

#include <msgpack/pack_define.h>
#include <msgpack/sysdep.h>
#include <msgpack/timestamp.h>

#include "lib/limits.h"

static inline int
put(struct buf *buf, const void *bytes, size_t n)
{
    buf_append(buf, bytes, n);
    return 0;
}

/* msgpack-c's functions come as a template to be included with an append function of our own.
 * msgpack.h fills it in with a call through a pointer for each byte or two, which took a third of
 * pgout-decode's instructions. */
#define msgpack_pack_inline_func(name)         static inline int mp_pack##name
#define msgpack_pack_inline_func_cint(name)    static inline int mp_pack##name
#define msgpack_pack_inline_func_fixint(name)  static inline int mp_pack_fix##name
#define msgpack_pack_user                      struct buf *
#define msgpack_pack_append_buffer(buf, at, n) return put(buf, at, n)
#include <msgpack/pack_template.h>

void
frame_begin(struct packer *p, struct buf *buf, uint8_t type, uint32_t elements)
{
    static const uint8_t no_length_yet[FRAME_HEADER];

    p->buf = buf;
    p->frame_at = buf_len(buf);
    buf_append(buf, no_length_yet, sizeof no_length_yet);
    mp_pack_array(p->buf, elements);
    mp_pack_uint8(p->buf, type);
}

int
frame_end(struct packer *p)
{
    struct buf *b = p->buf;
    size_t len = buf_len(b) - p->frame_at;
    uint8_t *header;

    if (b->failed || len - FRAME_HEADER > FRAME_MAX) {
        b->end = b->start + p->frame_at;
        return -1;
    }
    len -= FRAME_HEADER;
    header = b->data + b->start + p->frame_at;
    header[0] = (uint8_t)(len >> 24);
    header[1] = (uint8_t)(len >> 16);
    header[2] = (uint8_t)(len >> 8);
    header[3] = (uint8_t)len;
    return 0;
}

void
pack_uint(struct packer *p, uint64_t n)
{
    mp_pack_uint64(p->buf, n);
}

void
pack_int(struct packer *p, int64_t n)
{
    mp_pack_int64(p->buf, n);
}

void
pack_bool(struct packer *p, bool b)
{
    if (b)
        mp_pack_true(p->buf);
    else
        mp_pack_false(p->buf);
}

void
pack_nil(struct packer *p)
{
    mp_pack_nil(p->buf);
}

void
pack_str(struct packer *p, struct bytes s)
{
    mp_pack_str(p->buf, s.len);
    buf_append(p->buf, s.data, s.len);
}

void
pack_cstr(struct packer *p, const char *s)
{
    pack_str(p, (struct bytes){.data = (const uint8_t *)s, .len = strlen(s)});
}

void
pack_bin(struct packer *p, struct bytes b)
{
    mp_pack_bin(p->buf, b.len);
    buf_append(p->buf, b.data, b.len);
}

void
pack_array(struct packer *p, uint32_t n)
{
    mp_pack_array(p->buf, n);
}

void
pack_value(struct packer *p, const struct value *v)
{
    switch (v->kind) {
    case VALUE_NULL:
        mp_pack_nil(p->buf);
        break;
    case VALUE_TEXT:
        pack_str(p, (struct bytes){.data = v->data, .len = v->len});
        break;
    case VALUE_BINARY:
        pack_bin(p, (struct bytes){.data = v->data, .len = v->len});
        break;
    case VALUE_UNCHANGED:
        mp_pack_ext(p->buf, 0, MP_EXT_UNCHANGED);
        break;
    }
}
