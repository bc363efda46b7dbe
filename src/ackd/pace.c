/* pace.c: see pace.h. */
#include "ackd/pace.h"

static uint64_t
lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void
pace_begin(struct pace *p, uint64_t now, uint32_t wal_sender_timeout_ms, uint64_t lsn)
{
    /* A third of it, so that one feedback may be late and one lost on a busy machine before the
     * server gives up. */
    uint64_t third = (uint64_t)wal_sender_timeout_ms * 1000 / 3;

    *p = (struct pace){.interval = PACE_TIMER_MICROS, .sent_write = lsn, .sent_flush = lsn};
    if (third > 0)
        p->interval = lower(p->interval, third);
    /* Nothing was sent on this connection, so the first feedback need not wait. */
    p->sent_at = now > PACE_RECEIVED_MICROS ? now - PACE_RECEIVED_MICROS : 0;
    p->asked_at = now;
}

uint64_t
pace_due(const struct pace *p, uint64_t write, uint64_t flush)
{
    bool news = write != p->sent_write || flush != p->sent_flush;
    uint64_t wait = p->interval;

    if (write != p->sent_write)
        wait = lower(wait, PACE_RECEIVED_MICROS);
    if (p->reply_requested)
        wait = lower(wait, news ? PACE_SAFE_MICROS : PACE_REPLY_MICROS);
    if (flush != p->sent_flush)
        wait = lower(wait, PACE_SAFE_MICROS);
    return p->sent_at + wait;
}

bool
pace_asks(const struct pace *p, uint64_t now)
{
    return now - p->asked_at >= p->interval;
}

void
pace_sent(struct pace *p, uint64_t now, uint64_t write, uint64_t flush)
{
    if (pace_asks(p, now))
        p->asked_at = now;
    p->sent_at = now;
    p->sent_write = write;
    p->sent_flush = flush;
    p->reply_requested = false;
    p->first_sent = true;
}
