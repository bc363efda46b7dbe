/* ackd.c: see ackd.h. */
#include "ackd/ackd.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct worker_name
ackd_worker_name(const struct ackd *a, const struct worker *w)
{
    struct worker_name out;

    snprintf(out.text, sizeof out.text, "%s/%" PRIu32, a->sinks[w->sink].name, w->shard);
    return out;
}

struct sink *
ackd_find_sink(struct ackd *a, const char *name)
{
    for (uint32_t i = 0; i < a->sinks_count; i++)
        if (strcmp(a->sinks[i].name, name) == 0)
            return &a->sinks[i];
    return NULL;
}
