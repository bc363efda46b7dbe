/* troubles.c: see troubles.h. */
#include "ackd/troubles.h"

#include <stdio.h>

#include "lib/utctime.h"

void
troubles_add(struct troubles *t, const char *who, const char *message)
{
    struct trouble *new = &t->list[t->next];

    snprintf(new->time, sizeof new->time, "%.*s", (int)sizeof new->time - 1, utctime_now().text);
    snprintf(new->who, sizeof new->who, "%.*s", (int)sizeof new->who - 1, who);
    snprintf(new->message, sizeof new->message, "%.*s", (int)sizeof new->message - 1, message);
    t->next = (t->next + 1) % TROUBLES_MAX;
    if (t->count < TROUBLES_MAX)
        t->count++;
}

const struct trouble *
troubles_at(const struct troubles *t, uint32_t i)
{
    return &t->list[(t->next + TROUBLES_MAX - 1 - i) % TROUBLES_MAX];
}
