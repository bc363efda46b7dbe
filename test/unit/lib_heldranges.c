/* lib_heldranges.c: ranges come whole or not at all, and are held until their marks. */
/* clang-format off: make reads one line
 * links: lib/heldranges lib/copyevent lib/sinklist lib/snapshot lib/event lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include "lib/heldranges.h"

#include "check.h"

static struct err err;

static void
begin(struct heldranges *held, uint64_t number, uint64_t mark)
{
    struct range_event range = {.life = 7, .number = number, .mark = mark};

    check(heldranges_begin(held, &range, &err) == 0, "range %d begins", (int)number);
}

static int
add(struct heldranges *held, uint64_t number, uint8_t type, uint32_t count)
{
    struct rows_event rows = {.life = 7, .number = number, .count = count};

    return heldranges_rows(held, type, &rows, &err);
}

static int
end(struct heldranges *held, uint64_t number, uint64_t rows)
{
    struct range_end_event range_end = {.life = 7, .number = number, .rows = rows};

    return heldranges_end(held, &range_end, &err);
}

static void
test_marks(void)
{
    struct heldranges held = {0};
    struct heldrange *due;
    size_t count = 0;

    check(heldranges_due(held.first, UINT64_MAX) == NULL, "nothing is held");
    begin(&held, 1, 100);
    check(add(&held, 1, FRAME_ROWS, 2) == 0 && add(&held, 1, FRAME_ABSENT, 5) == 0 &&
              heldranges_due(held.first, 200) == NULL,
          "a range that is not whole is not due");
    check(end(&held, 1, 7) == 0 && heldranges_due(held.first, 99) == NULL,
          "nor is one before its mark");
    begin(&held, 2, 50);
    check(end(&held, 2, 0) == 0, "another one");
    due = heldranges_due(held.first, 60);
    check(due != NULL && due->range.number == 2, "the one with the earlier mark is due first");
    due = heldranges_due(held.first, 100);
    check(due != NULL && due->range.number == 1 && due->rows_count == 2 && due->absent_count == 5 &&
              heldranges_due(due->next, 100)->range.number == 2,
          "at the later mark both are, in the order in which they came");
    begin(&held, 3, 1);
    check(heldranges_snapshots(&held, &count) != NULL && count == 3,
          "the snapshot of a range that is coming counts");
    heldranges_drop_life(&held, 7);
    check(heldranges_snapshots(&held, &count) != NULL && count == 1 && end(&held, 3, 0) == 0,
          "a life's whole ranges go, the one that is coming stays");
    heldranges_drop(&held, held.first);
    check(held.first == NULL, "and goes when it is whole");
    heldranges_free(&held);
}

static void
test_out_of_order(void)
{
    struct heldranges held = {0};

    check(add(&held, 1, FRAME_ROWS, 1) != 0 && err.code == EXIT_BUG, "rows of no range");
    begin(&held, 1, 100);
    check(add(&held, 2, FRAME_ROWS, 1) != 0 && err.code == EXIT_BUG, "rows of another range");
    check(end(&held, 2, 0) != 0 && err.code == EXIT_BUG, "the end of another range");
    check(add(&held, 1, FRAME_ROWS, 1) == 0 && end(&held, 1, 2) != 0 && err.code == EXIT_BUG &&
              strstr(err.message, "something was lost") != NULL,
          "a row is missing");
    heldranges_free(&held);
}

int
main(void)
{
    test_marks();
    test_out_of_order();
    return check_done();
}
