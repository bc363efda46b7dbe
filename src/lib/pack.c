/* pack.c: see pack.h. */
#include "lib/pack.h"

#include "lib/limits.h"

static int
write_to_buf(void *data, const char *bytes, size_t n)
{
    buf_append(data, bytes, n);
    return 0;
}

void
frame_begin(struct packer *p, struct buf *buf, uint8_t type, uint32_t elements)
{
    static const uint8_t no_length_yet[FRAME_HEADER];

    p->buf = buf;
    p->frame_at = buf_len(buf);
    msgpack_packer_init(&p->mp, buf, write_to_buf);
    buf_append(buf, no_length_yet, sizeof no_length_yet);
    msgpack_pack_array(&p->mp, elements);
    msgpack_pack_uint8(&p->mp, type);
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
    msgpack_pack_uint64(&p->mp, n);
}

void
pack_int(struct packer *p, int64_t n)
{
    msgpack_pack_int64(&p->mp, n);
}

void
pack_bool(struct packer *p, bool b)
{
    if (b)
        msgpack_pack_true(&p->mp);
    else
        msgpack_pack_false(&p->mp);
}

void
pack_nil(struct packer *p)
{
    msgpack_pack_nil(&p->mp);
}

void
pack_str(struct packer *p, struct bytes s)
{
    msgpack_pack_str(&p->mp, s.len);
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
    msgpack_pack_bin(&p->mp, b.len);
    buf_append(p->buf, b.data, b.len);
}

void
pack_array(struct packer *p, uint32_t n)
{
    msgpack_pack_array(&p->mp, n);
}

void
pack_value(struct packer *p, const struct value *v)
{
    switch (v->kind) {
    case VALUE_NULL:
        msgpack_pack_nil(&p->mp);
        break;
    case VALUE_TEXT:
        pack_str(p, (struct bytes){.data = v->data, .len = v->len});
        break;
    case VALUE_BINARY:
        pack_bin(p, (struct bytes){.data = v->data, .len = v->len});
        break;
    case VALUE_UNCHANGED:
        msgpack_pack_ext(&p->mp, 0, MP_EXT_UNCHANGED);
        break;
    }
}
