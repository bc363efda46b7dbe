/* sink-ch_written.c: the rows that a cut transaction has written, up to the maximum and beyond.
 * links: sink-ch/written lib/hash; */
#include "check.h"
#include "sink-ch/written.h"

static uint64_t
key_of(uint32_t table, uint32_t n)
{
    return written_key(&(struct written_table){.number = table},
                       (struct bytes){(const uint8_t *)&n, sizeof n});
}

static uint64_t
row_of(uint32_t n)
{
    return written_row((struct bytes){(const uint8_t *)&n, sizeof n});
}

static void
a_few(void)
{
    struct written_table third = {.number = 3};
    struct written w = {0};

    check(written_find(&w, key_of(1, 1)) == WRITTEN_NO_ROW, "nothing is known at first");
    check(written_put(&w, key_of(1, 1), row_of(7)) && written_put(&w, key_of(2, 1), row_of(8)),
          "two tables, one key");
    check(written_find(&w, key_of(1, 1)) == row_of(7) &&
              written_find(&w, key_of(2, 1)) == row_of(8),
          "are told apart");
    check(written_put(&w, key_of(1, 1), row_of(9)) && written_find(&w, key_of(1, 1)) == row_of(9),
          "the last row of a key counts");
    check(written_put(&w, key_of(1, 1), WRITTEN_NO_ROW) &&
              written_find(&w, key_of(1, 1)) == WRITTEN_NO_ROW,
          "a tombstone leaves none");
    check(written_put(&w, written_key(&third, (struct bytes){NULL, 0}),
                      written_row((struct bytes){NULL, 0})) &&
              written_find(&w, written_key(&third, (struct bytes){NULL, 0})) != WRITTEN_NO_ROW,
          "rows without other columns are rows");
    third.description = 1;
    check(written_find(&w, written_key(&third, (struct bytes){NULL, 0})) == WRITTEN_NO_ROW,
          "and unknown where the table has other columns");
    written_forget(&w);
    check(written_find(&w, key_of(2, 1)) == WRITTEN_NO_ROW, "nothing is known of the next one");
}

static bool
holds(const struct written *w, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        if (written_find(w, key_of(1, i)) != row_of(i))
            return false;
    return true;
}

static void
the_maximum(void)
{
    struct written w = {0};
    bool put = true;

    for (uint32_t i = 0; i < WRITTEN_MAX; i++)
        put = written_put(&w, key_of(1, i), row_of(i)) && put;
    check(put && holds(&w, 0, WRITTEN_MAX), "the maximum is remembered");
    check(written_put(&w, key_of(1, 5), row_of(5)) && holds(&w, 0, WRITTEN_MAX),
          "and its keys may change");
    /* The bug was that the hashes from before the maximum stayed when nothing was added any more. A
     * key's row had changed since, and a delete of it was taken for one of another row. */
    check(!written_put(&w, key_of(1, WRITTEN_MAX), row_of(WRITTEN_MAX)), "one more is too much");
    check(written_find(&w, key_of(1, 5)) == WRITTEN_NO_ROW, "then the older ones are forgotten");
    check(holds(&w, WRITTEN_MAX, WRITTEN_MAX + 1), "and it begins with this one");
    written_forget(&w);
}

int
main(void)
{
    a_few();
    the_maximum();
    return check_done();
}
