/* pack.h: msgpack items into a struct buf, packed by msgpack-c's templates, and the frame around
 * them.
 *
 * A frame is a 4-byte big-endian length and that many bytes. They are one msgpack array whose first
 * element is the frame's type (docs/frame.7). The buf remembers that memory was out, and frame_end
 * reports it. */
#ifndef WALPIPE_PACK_H
#define WALPIPE_PACK_H

#include "lib/buf.h"
#include "lib/cursor.h"

#define FRAME_HEADER 4

struct packer {
    struct buf *buf;
    size_t frame_at; /* offset of the open frame's header from buf->start */
};

/* Begins a frame of `elements` array elements, the first of which is `type`. */
void frame_begin(struct packer *p, struct buf *buf, uint8_t type, uint32_t elements);

/* Writes the frame's length. Returns -1 if memory was out since frame_begin or the frame is longer
 * than FRAME_MAX. The buf then holds the same bytes as before frame_begin. */
int frame_end(struct packer *p) MUST_CHECK;

void pack_uint(struct packer *p, uint64_t n);
void pack_int(struct packer *p, int64_t n);
void pack_bool(struct packer *p, bool b);
void pack_nil(struct packer *p);
void pack_cstr(struct packer *p, const char *s);
void pack_str(struct packer *p, struct bytes s);
void pack_bin(struct packer *p, struct bytes b);
void pack_array(struct packer *p, uint32_t n);
void pack_value(struct packer *p, const struct value *v);

#endif
