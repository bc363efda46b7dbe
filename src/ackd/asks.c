/* asks.c: see asks.h. */
#include "ackd/asks.h"

#include <string.h>

/* Returns NULL if there is none. */
static struct ask *
find(struct asks *a, uint64_t life)
{
    for (size_t i = 0; i < ASKS_MAX; i++)
        if (a->open[i].waiting > 0 && a->open[i].life == life)
            return &a->open[i];
    return NULL;
}

static struct ask *
free_slot(struct asks *a)
{
    for (size_t i = 0; i < ASKS_MAX; i++)
        if (a->open[i].waiting == 0)
            return &a->open[i];
    return NULL;
}

enum asks_verdict
asks_add(struct asks *a, uint64_t life, const bool workers[WORKERS_MAX], uint32_t *asked)
{
    struct ask *ask = free_slot(a);

    if (find(a, life) != NULL)
        return ASKS_TWICE;
    if (ask == NULL)
        return ASKS_FULL;
    ask->life = life;
    ask->asked = 0;
    memcpy(ask->workers, workers, sizeof ask->workers);
    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        ask->asked += workers[i];
    ask->waiting = ask->asked;
    *asked = ask->asked;
    return ask->waiting == 0 ? ASKS_ANSWERED : ASKS_OPEN;
}

enum asks_verdict
asks_answer(struct asks *a, uint64_t life, uint32_t worker, uint32_t *asked)
{
    struct ask *ask = find(a, life);

    if (ask == NULL || !ask->workers[worker])
        return ASKS_UNKNOWN;
    ask->workers[worker] = false;
    ask->waiting--;
    *asked = ask->asked;
    return ask->waiting == 0 ? ASKS_ANSWERED : ASKS_OPEN;
}
