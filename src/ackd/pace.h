/* pace.h: when the next feedback must go to the source. Pure; times are clock_micros.
 *
 * Too much feedback wakes the walsender for nothing (answering each of its keepalives was measured
 * at 16,000 messages a second), too little ends the connection (wal_sender_timeout) or keeps a
 * synchronous commit waiting. */
#ifndef WALPIPE_ACKD_PACE_H
#define WALPIPE_ACKD_PACE_H

#include "lib/base.h"

#define PACE_SAFE_MICROS     UINT64_C(10000)    /* at most so often when the safe LSN moves */
#define PACE_REPLY_MICROS    UINT64_C(100000)   /* answers to the server that say nothing new */
#define PACE_RECEIVED_MICROS UINT64_C(1000000)  /* when only the received LSN moved */
#define PACE_TIMER_MICROS    UINT64_C(10000000) /* anyway; less under a short wal_sender_timeout */

struct pace {
    uint64_t interval; /* of the timer */
    uint64_t sent_at;
    uint64_t asked_at; /* when a feedback last asked the server for an answer */
    uint64_t sent_write;
    uint64_t sent_flush;
    bool reply_requested; /* since the last feedback */
    bool first_sent;
};

/* wal_sender_timeout_ms 0: the server has none. lsn: what the slot already knows. */
void pace_begin(struct pace *pace, uint64_t now, uint32_t wal_sender_timeout_ms, uint64_t lsn);

/* When feedback that says (write, flush) is due; in the past: at once. */
uint64_t pace_due(const struct pace *pace, uint64_t write, uint64_t flush);

/* Whether this feedback should ask for an answer, the server's sign of life: on the timer, however
 * much else is being sent. A server that has nothing left to send answers nothing else. */
bool pace_asks(const struct pace *pace, uint64_t now);

/* Feedback (write, flush) was sent; it asked when pace_asks said so. */
void pace_sent(struct pace *pace, uint64_t now, uint64_t write, uint64_t flush);

#endif
