/* wal.c: see wal.h. */
#include "lib/wal.h"

int
wal_encode(struct buf *buf, const struct wal_frame *wal)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_WAL, 5);
    pack_uint(&p, wal->start_lsn);
    pack_uint(&p, wal->end_lsn);
    pack_int(&p, wal->send_time);
    pack_bin(&p, wal->message);
    return frame_end(&p);
}

bool
wal_decode(struct cursor *body, uint32_t elements, struct wal_frame *wal)
{
    return elements == 4 && mp_uint(body, &wal->start_lsn) && mp_uint(body, &wal->end_lsn) &&
           mp_int(body, &wal->send_time) && mp_bin(body, &wal->message) && body->left == 0;
}

int
keepalive_encode(struct buf *buf, const struct keepalive_frame *keepalive)
{
    struct packer p;

    frame_begin(&p, buf, FRAME_KEEPALIVE, 3);
    pack_uint(&p, keepalive->wal_end);
    pack_int(&p, keepalive->send_time);
    return frame_end(&p);
}

bool
keepalive_decode(struct cursor *body, uint32_t elements, struct keepalive_frame *keepalive)
{
    return elements == 2 && mp_uint(body, &keepalive->wal_end) &&
           mp_int(body, &keepalive->send_time) && body->left == 0;
}
