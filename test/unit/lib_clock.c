/* lib_clock.c: deadlines, and PostgreSQL's time.
 * links: lib/clock */
#include "lib/clock.h"

#include "check.h"

static void
test_clock(void)
{
    uint64_t now = clock_micros();

    check(clock_poll_timeout(0) == -1, "no deadline, no timeout");
    check(clock_poll_timeout(1) == 0, "a deadline that has passed");
    check(clock_poll_timeout(now + 10000000) > 9000, "ten seconds");
    check(clock_poll_timeout(clock_micros() + 100) <= 1, "a tenth of a millisecond is rounded up");
    check(clock_poll_timeout(UINT64_MAX) > 0, "the end of time does not overflow");
    check(clock_postgres_now() > INT64_C(820000000000000), "it is after 2025");
}

int
main(void)
{
    test_clock();
    return check_done();
}
