/* The moments up to which the source's commits are in the targets. links: ackd/freshness */
#include "ackd/freshness.h"

#include "check.h"

static void
test_commits(void)
{
    struct freshness f = {0};

    check(freshness_moment(&f, 2, UINT64_MAX) == 0, "nothing is known");
    freshness_commit(&f.commits[0], 100, 1000);
    freshness_commit(&f.commits[1], 200, 2000);
    check(freshness_moment(&f, 2, 99) == 0, "before the first commit");
    check(freshness_moment(&f, 2, 100) == 1000, "at the first");
    check(freshness_moment(&f, 2, 200) == 2000, "an idle worker has what another one has");
    check(freshness_moment(&f, 1, 200) == 1000, "only the workers that there are");
    freshness_commit(&f.commits[1], 300, 0);
    check(freshness_moment(&f, 2, 300) == 2000, "a time that is not known changes nothing");
    freshness_commit(&f.commits[0], 400, -5);
    check(freshness_moment(&f, 1, 400) == -5, "times before 2000");
}

static void
test_ends(void)
{
    struct freshness f = {0};

    freshness_end(&f, 100, 10);
    freshness_end(&f, 100, 20);
    check(f.ends_count == 1 && freshness_moment(&f, 0, 100) == 20, "the WAL has not grown");
    freshness_end(&f, 90, 30);
    check(f.ends_count == 1 && freshness_moment(&f, 0, 100) == 20, "an end never goes back");
    freshness_end(&f, 200, 40);
    check(freshness_moment(&f, 0, 199) == 20, "the new end is not reached");
    check(freshness_moment(&f, 0, 200) == 40, "the new end is reached");
}

/* However many ends come, no moment is too late, and the oldest one stays. */
static void
test_many_ends(void)
{
    struct freshness f = {0};
    bool few = true, newest = true, oldest = true, early = true;

    for (uint64_t i = 1; i <= 1000; i++) {
        freshness_end(&f, i * 10, (int64_t)i);
        few = few && f.ends_count <= FRESHNESS_ENDS_MAX;
        newest = newest && freshness_moment(&f, 0, i * 10) == (int64_t)i;
        oldest = oldest && freshness_moment(&f, 0, 10) == 1;
        early = early && freshness_moment(&f, 0, 5 * i) <= (int64_t)(i / 2);
    }
    check(few, "there are at most %u ends", FRESHNESS_ENDS_MAX);
    check(newest, "the newest is kept");
    check(oldest, "the oldest is kept");
    check(early, "no moment is too late");
}

int
main(void)
{
    test_commits();
    test_ends();
    test_many_ends();
    return check_done();
}
