/* ackd_pace.c: when feedback is due (traps 3 to 6, 17).
 * links: ackd/pace; */
#include "ackd/pace.h"
#include "check.h"

#define SECOND UINT64_C(1000000)
#define NOW    (1000 * SECOND)

static struct pace
sent_at_now(uint32_t timeout_ms)
{
    struct pace p;

    pace_begin(&p, NOW - 5 * SECOND, timeout_ms, 50);
    pace_sent(&p, NOW, 100, 50);
    return p;
}

static void
timer(void)
{
    struct pace p = sent_at_now(0);

    check(pace_due(&p, 100, 50) == NOW + 10 * SECOND, "10 s when the server has no timeout");
    p = sent_at_now(60000);
    check(pace_due(&p, 100, 50) == NOW + 10 * SECOND, "10 s under the default of 60 s");
    p = sent_at_now(6000);
    check(pace_due(&p, 100, 50) == NOW + 2 * SECOND, "a third of a short wal_sender_timeout");
    check(pace_due(&p, 101, 50) == NOW + 1 * SECOND, "1 s when only the received LSN moved");
    p = sent_at_now(1500);
    check(pace_due(&p, 101, 50) == NOW + SECOND / 2, "but never later than the timer");
    p = sent_at_now(UINT32_MAX);
    check(pace_due(&p, 100, 50) == NOW + 10 * SECOND, "10 s under the longest timeout");
}

static void
news(void)
{
    struct pace p = sent_at_now(60000);

    check(pace_due(&p, 100, 51) == NOW + 10000, "10 ms after the last when the safe LSN moved");
    check(pace_due(&p, 101, 51) == NOW + 10000, "the same when both moved");
}

static void
requests(void)
{
    struct pace p = sent_at_now(60000);

    p.reply_requested = true;
    check(pace_due(&p, 100, 50) == NOW + 100000, "ten answers a second that say nothing new");
    check(pace_due(&p, 101, 50) == NOW + 10000, "an answer with news does not wait so long");
    pace_sent(&p, NOW + 100000, 100, 50);
    check(pace_due(&p, 100, 50) == NOW + 100000 + 10 * SECOND, "one answer to one request");
}

static void
beginning(void)
{
    struct pace p;

    pace_begin(&p, NOW, 60000, 50);
    check(!p.first_sent && pace_due(&p, 50, 50) > NOW, "nothing to say at first");
    check(pace_due(&p, 51, 50) <= NOW && pace_due(&p, 50, 51) <= NOW,
          "the first news goes at once");
    p.reply_requested = true;
    check(pace_due(&p, 50, 50) <= NOW, "and so does the first answer");
    pace_begin(&p, 5, 60000, 50);
    check(p.sent_at == 0, "a clock that has just begun");
}

/* The bug was that only feedback without news asked the server for a sign of life. While slow sinks
 * confirmed a backlog bit by bit, a server that had sent everything was taken for dead. */
static void
signs_of_life(void)
{
    struct pace p;
    int asked = 0;

    pace_begin(&p, NOW, 6000, 50);
    for (uint64_t now = NOW; now < NOW + 20 * SECOND; now += SECOND / 10) {
        asked += pace_asks(&p, now);
        pace_sent(&p, now, 100, now);
    }
    check(asked >= 9 && asked <= 10, "asks on the timer while news goes out all the time: %d",
          asked);
}

int
main(void)
{
    signs_of_life();
    timer();
    news();
    requests();
    beginning();
    return check_done();
}
