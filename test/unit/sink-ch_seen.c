/* sink-ch_seen.c: names and numbers of columns, up to the maximum and beyond.
 * links: sink-ch/seen lib/err; */
#include "check.h"
#include "sink-ch/seen.h"

#include <string.h>

static void
note(struct seen *seen, const char *name, uint32_t attnum)
{
    struct err err = {0};

    if (seen_note(seen, name, attnum, &err) != 0)
        check(false, "%s is noted: %s", name, err.message);
}

static void
names_and_numbers(void)
{
    struct seen seen = {0};

    check(seen_find(&seen, "a") == NULL && seen_current(&seen, 0) == NULL, "nothing is seen");
    note(&seen, "a", 2);
    note(&seen, "blind", 0);
    check(seen_current(&seen, 2) == seen_find(&seen, "a"), "a column by its number");
    check(seen_current(&seen, 0) == NULL, "number 0 is nobody's");
    seen_age(&seen);
    note(&seen, "b", 2);
    note(&seen, "blind", 0);
    check(strcmp(seen_current(&seen, 2)->name, "b") == 0, "the number has another name");
    check(seen_find(&seen, "a")->attnum == 2 && !seen_find(&seen, "a")->current,
          "the old name is remembered");
    note(&seen, "a", 5);
    check(seen_find(&seen, "a")->attnum == 5 && seen.count == 3, "a name has its last number");
    note(&seen, "a", 0);
    check(seen_find(&seen, "a")->attnum == 5, "a number that is not said again stays");
    seen_free(&seen);
}

/* A column that is renamed for ever. */
static void
the_maximum(void)
{
    struct seen seen = {0};
    char name[16];

    for (uint32_t i = 0; i < SEEN_MAX; i++) {
        snprintf(name, sizeof name, "c%u", i);
        seen_age(&seen);
        note(&seen, "id", 1);
        note(&seen, i == 0 ? "id" : name, i == 0 ? 1 : 2);
    }
    check(seen.count == SEEN_MAX && seen_find(&seen, "c1") != NULL, "the maximum is remembered");
    note(&seen, "one more", 3);
    snprintf(name, sizeof name, "c%u", SEEN_MAX - 1);
    check(seen.count == 3 && seen_find(&seen, "c1") == NULL && seen_current(&seen, 1) != NULL &&
              strcmp(seen_current(&seen, 2)->name, name) == 0,
          "beyond it names without a column are forgotten, and no other");
    seen_free(&seen);
}

int
main(void)
{
    names_and_numbers();
    the_maximum();
    return check_done();
}
