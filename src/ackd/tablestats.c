/* tablestats.c: see tablestats.h. */
#include "ackd/tablestats.h"

#include <string.h>

static struct tablestat *
find(struct tablestats *all, uint32_t sink, const char *table)
{
    for (uint32_t i = 0; i < all->count; i++)
        if (all->tables[i].sink == sink && strcmp(all->tables[i].counts.table, table) == 0)
            return &all->tables[i];
    return NULL;
}

static struct tablestat *
find_or_make(struct tablestats *all, uint32_t sink, const char *table)
{
    struct tablestat *t = find(all, sink, table);

    if (t == NULL && all->named == TABLESTATS_MAX) {
        table = "";
        t = find(all, sink, table);
    }
    if (t != NULL)
        return t;
    all->named += table[0] != '\0';
    t = &all->tables[all->count++];
    t->sink = sink;
    memcpy(t->counts.table, table, strlen(table) + 1);
    return t;
}

void
tablestats_add(struct tablestats *all, uint32_t sink, uint32_t shard,
               const struct ack_table_counts *more)
{
    struct tablestat *t = find_or_make(all, sink, more->table);

    t->counts.inserts += more->inserts;
    t->counts.updates += more->updates;
    t->counts.deletes += more->deletes;
    t->counts.truncates += more->truncates;
    if (more->state[0] != '\0' && t->counts.table[0] != '\0')
        t->states[shard] = more->state[0];
}

const char *
tablestats_state(const struct tablestat *t)
{
    bool waits = memchr(t->states, 'w', sizeof t->states) != NULL;
    bool copies = memchr(t->states, 'c', sizeof t->states) != NULL;
    bool resyncs = memchr(t->states, 'r', sizeof t->states) != NULL;
    bool parked = memchr(t->states, 'p', sizeof t->states) != NULL;
    bool streams = memchr(t->states, 's', sizeof t->states) != NULL;

    if (parked)
        return "parked";
    if (resyncs)
        return "resync";
    if (copies || (waits && streams))
        return "copying";
    return waits ? "waiting" : streams ? "streaming" : "";
}
