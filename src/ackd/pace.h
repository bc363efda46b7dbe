/* pace.h: decides when the next feedback must go to the source. Pure. Times are clock_micros.
 *
 * Too much feedback wakes the walsender for nothing. Answering each of its keepalives was measured
 * at 16,000 messages per second. Too little feedback ends the connection (wal_sender_timeout) or
 * delays a synchronous commit. */
#ifndef WALPIPE_ACKD_PACE_H
#define WALPIPE_ACKD_PACE_H

#include "lib/base.h"

#define PACE_SAFE_MICROS     UINT64_C(10000)    /* when the safe LSN moves */
#define PACE_REPLY_MICROS    UINT64_C(100000)   /* answers without news */
#define PACE_RECEIVED_MICROS UINT64_C(1000000)  /* when only the received LSN moved */
#define PACE_TIMER_MICROS    UINT64_C(10000000) /* at most, less with a short timeout */

struct pace {
    uint64_t interval; /* of the timer */
    uint64_t sent_at;
    uint64_t asked_at; /* when a feedback last asked the server for an answer */
    uint64_t sent_write;
    uint64_t sent_flush;
    bool reply_requested; /* since the last feedback */
    bool first_sent;
};

/* wal_sender_timeout_ms is 0 if the server has none. The slot already knows lsn. */
void pace_begin(struct pace *pace, uint64_t now, uint32_t wal_sender_timeout_ms, uint64_t lsn);

/* Returns when feedback of (write, flush) is due. A time in the past means at once. */
uint64_t pace_due(const struct pace *pace, uint64_t write, uint64_t flush);

/* Whether this feedback should ask for an answer, as the server's sign of life. The timer decides,
 * no matter how much other feedback is sent. A server that has nothing left to send sends nothing
 * but such answers. */
bool pace_asks(const struct pace *pace, uint64_t now);

/* Feedback of (write, flush) was sent, and asked for an answer if pace_asks said so. */
void pace_sent(struct pace *pace, uint64_t now, uint64_t write, uint64_t flush);

#endif
