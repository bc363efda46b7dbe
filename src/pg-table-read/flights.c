/* flights.c: see flights.h. */
#include "pg-table-read/flights.h"

#include <stdlib.h>

int
flights_add(struct flights *flights, struct range_order *order, uint64_t bytes)
{
    struct flight *flight = calloc(1, sizeof *flight);

    if (flight == NULL)
        return -1;
    flight->order = *order;
    order->keys = (struct keybatch){0};
    flight->bytes = bytes < FLIGHT_BYTES_LEAST ? FLIGHT_BYTES_LEAST : bytes;
    flights->bytes += flight->bytes;
    flight->next = flights->first;
    flights->first = flight;
    return 0;
}

struct flight *
flights_find(struct flights *flights, uint64_t life, uint64_t number)
{
    struct flight *flight = flights->first;

    while (flight != NULL && (flight->order.life != life || flight->order.number != number))
        flight = flight->next;
    return flight;
}

void
flights_remove(struct flights *flights, struct flight *flight)
{
    struct flight **at = &flights->first;

    while (*at != flight)
        at = &(*at)->next;
    *at = flight->next;
    flights->bytes -= flight->bytes;
    keybatch_free(&flight->order.keys);
    free(flight);
}

void
flights_remove_life(struct flights *flights, uint64_t life)
{
    for (struct flight *flight = flights->first, *next; flight != NULL; flight = next) {
        next = flight->next;
        if (flight->order.life == life)
            flights_remove(flights, flight);
    }
}

void
flights_free(struct flights *flights)
{
    while (flights->first != NULL)
        flights_remove(flights, flights->first);
}
