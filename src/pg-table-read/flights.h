/* flights.h: ranges that are written, and not yet reported by every worker that gets a part. Pure.
 */
#ifndef WALPIPE_PGTABLEREAD_FLIGHTS_H
#define WALPIPE_PGTABLEREAD_FLIGHTS_H

#include "pg-table-read/crew.h"
#include "pg-table-read/lives.h"

/* A range costs a worker as much at least. */
#define FLIGHT_BYTES_LEAST (64u << 10)

struct flight {
    struct flight *next;
    struct range_order order; /* order.keys is its own */
    uint64_t bytes;           /* bytes of it that workers may hold */
    struct crewset reported;
    bool dropped; /* by one of them, so it must be read again */
};

/* Zero-initialise to use. */
struct flights {
    struct flight *first;
    uint64_t bytes;
};

/* Takes order, whose range has this many bytes. Returns -1 when memory is out. */
int flights_add(struct flights *flights, struct range_order *order, uint64_t bytes) MUST_CHECK;

/* Returns NULL if there is none of this number. */
struct flight *flights_find(struct flights *flights, uint64_t life, uint64_t number);

/* All have reported it, or its life has ended. */
void flights_remove(struct flights *flights, struct flight *flight);

/* The life has ended. Workers discard its ranges. */
void flights_remove_life(struct flights *flights, uint64_t life);

void flights_free(struct flights *flights);

#endif
