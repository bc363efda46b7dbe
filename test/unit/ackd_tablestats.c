/* The changes and states of tables. links: ackd/tablestats */
#include "ackd/tablestats.h"

#include <stdio.h>
#include <stdlib.h>

#include "check.h"

static struct ack_table_counts
report(const char *table, const char *state, uint64_t inserts)
{
    struct ack_table_counts c = {.inserts = inserts, .truncates = 1};

    snprintf(c.table, sizeof c.table, "%s", table);
    snprintf(c.state, sizeof c.state, "%s", state);
    return c;
}

static void
add(struct tablestats *all, uint32_t sink, uint32_t shard, const char *table, const char *state)
{
    struct ack_table_counts c = report(table, state, 5);

    tablestats_add(all, sink, shard, &c);
}

static void
test_states(void)
{
    struct tablestats *all = calloc(1, sizeof *all);

    if (all == NULL)
        abort();
    add(all, 0, 0, "s.t", "");
    check(strcmp(tablestats_state(&all->tables[0]), "") == 0, "no worker has said");
    add(all, 0, 0, "s.t", "waiting");
    check(strcmp(tablestats_state(&all->tables[0]), "waiting") == 0, "waiting");
    add(all, 0, 1, "s.t", "streaming");
    check(strcmp(tablestats_state(&all->tables[0]), "copying") == 0, "one of two is there");
    add(all, 0, 0, "s.t", "streaming");
    check(strcmp(tablestats_state(&all->tables[0]), "streaming") == 0, "both are there");
    check(all->count == 1 && all->tables[0].counts.inserts == 20 &&
              all->tables[0].counts.truncates == 4,
          "the sums");
    add(all, 0, 1, "s.t", "parked");
    check(strcmp(tablestats_state(&all->tables[0]), "parked") == 0, "set aside");
    add(all, 1, 0, "s.t", "copying");
    check(all->count == 2 && strcmp(tablestats_state(&all->tables[1]), "copying") == 0,
          "another sink has its own entry");
    free(all);
}

static void
test_limit(void)
{
    struct tablestats *all = calloc(1, sizeof *all);
    char name[32];

    if (all == NULL)
        abort();
    for (uint32_t i = 0; i < 2 * TABLESTATS_MAX; i++)
        for (uint32_t sink = 0; sink < WORKERS_MAX; sink += 85) {
            snprintf(name, sizeof name, "s.t%u", i);
            add(all, sink, 0, name, "waiting");
        }
    check(all->named == TABLESTATS_MAX && all->count == TABLESTATS_MAX + 4,
          "one entry more for each sink: %u", all->count);
    check(strcmp(tablestats_state(&all->tables[all->count - 1]), "") == 0,
          "the shared entry has no state");
    free(all);
}

int
main(void)
{
    test_states();
    test_limit();
    return check_done();
}
