/* pg-table-read_flights.c: flights, crew and missing, which are ranges until all workers have
 * reported them, sets of workers, and keys taken in batches. */
/* clang-format off: make reads one line
 * links: pg-table-read/flights pg-table-read/crew pg-table-read/missing lib/copydetail lib/sinklist lib/event lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include "pg-table-read/flights.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

static void
test_flights(void)
{
    struct flights flights = {0};
    struct range_order order = {.life = 3};

    for (order.number = 1; order.number <= 3; order.number++)
        check(flights_add(&flights, &order, order.number * 100000) == 0, "a range is on its way");
    order.life = 4;
    check(flights_add(&flights, &order, 0) == 0, "one of another life");
    check(flights.bytes == 600000 + FLIGHT_BYTES_LEAST, "an empty one costs something too");
    check(flights_find(&flights, 3, 2)->bytes == 200000, "it is found");
    check(flights_find(&flights, 4, 2) == NULL, "not under another life");
    flights_remove(&flights, flights_find(&flights, 3, 2));
    check(flights_find(&flights, 3, 2) == NULL && flights_find(&flights, 3, 1) != NULL,
          "one is gone");
    flights_remove_life(&flights, 3);
    check(flights_find(&flights, 3, 1) == NULL && flights_find(&flights, 4, 4) != NULL &&
              flights.bytes == FLIGHT_BYTES_LEAST,
          "a life's are gone");
    flights_free(&flights);
    check(flights.bytes == 0 && flights.first == NULL, "all are gone");
}

static void
test_crew(void)
{
    static struct crew crew;
    struct crewset set = {0}, same = {0};
    struct sinklist sinks;
    char name[16];

    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        snprintf(name, sizeof name, "s%u", i / 2);
        check(crew_number(&crew, name, i % 2) == (int)i, "worker %u has its number", i);
    }
    check(crew_number(&crew, "s127", 1) == 255 && crew_number(&crew, "s0", 1) == 1, "and keeps it");
    check(crew_number(&crew, "s128", 0) == -1, "one more is too many");
    check(crewset_is_empty(&set), "nobody");
    check(crewset_add(&set, 255) && crewset_add(&set, 0) && crewset_add(&set, 1), "three");
    check(!crewset_add(&set, 255), "one twice");
    check(crewset_count(&set) == 3 && crewset_has(&set, 255) && !crewset_has(&set, 254), "counted");
    check(crewset_add(&same, 1) && crewset_add(&same, 0) && !crewset_equal(&set, &same) &&
              crewset_add(&same, 255) && crewset_equal(&set, &same),
          "compared");
    crew_sinks(&crew, &set, &sinks);
    check(sinks.count == 2 && sinklist_has(&sinks, "s0") && sinklist_has(&sinks, "s127"),
          "two sinks");
}

static void
add_key(struct buf *keys, const char *text)
{
    struct value value = {
        .kind = VALUE_TEXT, .len = (uint32_t)strlen(text), .data = (const uint8_t *)text};

    copydetail_key_add(keys, &(struct tuple){.count = 1, .values = &value});
}

static struct bytes
bytes_of(const struct buf *buf)
{
    return (struct bytes){.data = buf->data + buf->start, .len = buf_len(buf)};
}

static void
test_missing(void)
{
    struct missing missing = {0};
    struct keybatch batch = {0};
    struct buf keys = {0};
    struct err err = {0};
    char text[16];
    uint32_t taken = 0;

    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "%d", i);
        add_key(&keys, text);
    }
    check(missing_add(&missing, bytes_of(&keys), 2, &err) != 0 && err.code == EXIT_REFUSED,
          "keys of other columns are refused");
    check(missing_add(&missing, bytes_of(&keys), 1, &err) == 0 && missing_has_some(&missing),
          "300 keys");
    check(missing_take(&missing, 1, &batch) == 0 && batch.count == KEYBATCH_MAX, "256 of them");
    keybatch_free(&batch);
    check(missing_take(&missing, 1, &batch) == 0 && batch.count == 44 &&
              !missing_has_some(&missing),
          "the rest");
    keybatch_free(&batch);
    while (missing_add(&missing, bytes_of(&keys), 1, &err) == 0 && taken < buf_len(&missing.keys))
        taken = (uint32_t)buf_len(&missing.keys);
    check(taken <= MISSING_BYTES_MAX && taken + buf_len(&keys) > MISSING_BYTES_MAX,
          "what is too much is left out");
    buf_free(&keys);
    missing_free(&missing);
}

int
main(void)
{
    test_flights();
    test_crew();
    test_missing();
    return check_done();
}
