/* crew.c: see crew.h. */
#include "pg-table-read/crew.h"

#include <stdio.h>
#include <string.h>

int
crew_number(struct crew *crew, const char *sink, uint32_t shard)
{
    struct crew_worker *w;

    for (uint32_t i = 0; i < crew->count; i++)
        if (crew->workers[i].shard == shard && strcmp(crew->workers[i].sink, sink) == 0)
            return (int)i;
    if (crew->count == WORKERS_MAX)
        return -1;
    w = &crew->workers[crew->count++];
    snprintf(w->sink, sizeof w->sink, "%s", sink);
    w->shard = shard;
    return (int)crew->count - 1;
}

bool
crewset_add(struct crewset *set, int worker)
{
    if (crewset_has(set, worker))
        return false;
    set->bits[worker / 64] |= UINT64_C(1) << (worker % 64);
    return true;
}

bool
crewset_has(const struct crewset *set, int worker)
{
    return (set->bits[worker / 64] >> (worker % 64) & 1) != 0;
}

bool
crewset_is_empty(const struct crewset *set)
{
    return crewset_count(set) == 0;
}

bool
crewset_equal(const struct crewset *a, const struct crewset *b)
{
    return memcmp(a->bits, b->bits, sizeof a->bits) == 0;
}

uint32_t
crewset_count(const struct crewset *set)
{
    uint32_t count = 0;

    for (size_t i = 0; i < sizeof set->bits / sizeof *set->bits; i++)
        count += (uint32_t)__builtin_popcountll(set->bits[i]);
    return count;
}

void
crew_sinks(const struct crew *crew, const struct crewset *set, struct sinklist *sinks)
{
    sinks->count = 0;
    for (uint32_t i = 0; i < crew->count; i++) {
        const char *name = crew->workers[i].sink;

        if (crewset_has(set, (int)i) && !sinklist_has(sinks, name))
            sinks->names[sinks->count++] =
                (struct bytes){.data = (const uint8_t *)name, .len = strlen(name)};
    }
}
