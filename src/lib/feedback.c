/* feedback.c: see feedback.h. 'r', write, flush, apply, client time, reply requested. */
#include "lib/feedback.h"

static void
put_u64(uint8_t *out, uint64_t n)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(n >> (56 - 8 * i));
}

void
feedback_encode(uint8_t out[FEEDBACK_SIZE], const struct feedback *f)
{
    out[0] = 'r';
    put_u64(out + 1, f->write_lsn);
    put_u64(out + 9, f->flush_lsn);
    put_u64(out + 17, f->apply_lsn);
    put_u64(out + 25, (uint64_t)f->client_time);
    out[33] = f->reply_requested;
}

bool
feedback_decode(struct bytes bytes, struct feedback *f)
{
    struct cursor c = cursor_over(bytes.data, bytes.len);
    uint64_t client_time;
    uint8_t tag, reply;

    if (!cursor_u8(&c, &tag) || tag != 'r' || !cursor_u64(&c, &f->write_lsn) ||
        !cursor_u64(&c, &f->flush_lsn) || !cursor_u64(&c, &f->apply_lsn) ||
        !cursor_u64(&c, &client_time) || !cursor_u8(&c, &reply) || reply > 1 || c.left != 0)
        return false;
    f->client_time = (int64_t)client_time;
    f->reply_requested = reply == 1;
    return true;
}
