/* ackd_asks.c: the workers that were asked about a life, and whether all have answered.
 * links: ackd/asks */
#include "ackd/asks.h"

#include "check.h"

static void
test_all_must_answer(void)
{
    static struct asks asks;
    const bool workers[WORKERS_MAX] = {[0] = true, [2] = true, [WORKERS_MAX - 1] = true};
    uint32_t asked = 0;

    check(asks_add(&asks, 7, workers, &asked) == ASKS_OPEN && asked == 3, "three are asked");
    check(asks_add(&asks, 7, workers, &asked) == ASKS_TWICE, "not twice");
    check(asks_answer(&asks, 7, 1, &asked) == ASKS_UNKNOWN, "who was not asked does not count");
    check(asks_answer(&asks, 8, 0, &asked) == ASKS_UNKNOWN, "nor another life");
    check(asks_answer(&asks, 7, 0, &asked) == ASKS_OPEN, "one");
    check(asks_answer(&asks, 7, 0, &asked) == ASKS_UNKNOWN, "the same one again");
    check(asks_answer(&asks, 7, WORKERS_MAX - 1, &asked) == ASKS_OPEN, "two");
    asked = 0;
    check(asks_answer(&asks, 7, 2, &asked) == ASKS_ANSWERED && asked == 3, "all three");
    check(asks_answer(&asks, 7, 2, &asked) == ASKS_UNKNOWN, "it is over");
    check(asks_add(&asks, 7, workers, &asked) == ASKS_OPEN, "and may be asked again");
}

static void
test_many(void)
{
    static struct asks asks;
    const bool nobody[WORKERS_MAX] = {0}, one[WORKERS_MAX] = {[3] = true};
    uint32_t asked = 9;

    for (uint64_t life = 0; life < ASKS_MAX; life++) {
        check(asks_add(&asks, 1000, nobody, &asked) == ASKS_ANSWERED && asked == 0,
              "nobody is asked: that takes no slot");
        check(asks_add(&asks, life, one, &asked) == ASKS_OPEN, "one is");
    }
    check(asks_add(&asks, 1001, one, &asked) == ASKS_FULL, "too many");
    for (uint64_t life = 0; life < ASKS_MAX; life += 2)
        check(asks_answer(&asks, life, 3, &asked) == ASKS_ANSWERED && asked == 1, "answered");
    for (uint64_t life = 0; life < ASKS_MAX; life += 2)
        check(asks_add(&asks, 2000 + life, one, &asked) == ASKS_OPEN, "its slot is free again");
    for (uint64_t life = 1; life < ASKS_MAX; life += 2)
        check(asks_answer(&asks, life, 3, &asked) == ASKS_ANSWERED, "the others stood");
}

int
main(void)
{
    test_all_must_answer();
    test_many();
    return check_done();
}
