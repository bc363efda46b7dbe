/* crew.h: the workers that answer, by number, and sets of them. */
#ifndef WALPIPE_PGTABLEREAD_CREW_H
#define WALPIPE_PGTABLEREAD_CREW_H

#include "lib/sinklist.h"

struct crewset {
    uint64_t bits[WORKERS_MAX / 64];
};

/* Zero-initialise to use. */
struct crew {
    uint32_t count;
    struct crew_worker {
        char sink[NAME_MAX_BYTES + 1];
        uint32_t shard;
    } workers[WORKERS_MAX];
};

/* The worker's number, which it gets the first time. Returns -1 if there are too many. */
int crew_number(struct crew *crew, const char *sink, uint32_t shard) MUST_CHECK;

/* Returns false if it was there already. */
bool crewset_add(struct crewset *set, int worker);
bool crewset_has(const struct crewset *set, int worker);
bool crewset_is_empty(const struct crewset *set);
bool crewset_equal(const struct crewset *a, const struct crewset *b);
uint32_t crewset_count(const struct crewset *set);

/* The sinks of these workers. The names point into crew. */
void crew_sinks(const struct crew *crew, const struct crewset *set, struct sinklist *sinks);

#endif
