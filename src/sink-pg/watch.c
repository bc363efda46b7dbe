/* watch.c: see watch.h. Must not know the catalog. */
#include "sink-pg/watch.h"

#include <stdio.h>
#include <string.h>

void
watch_forget(struct watch *w)
{
    w->since[0] = '\0';
}

void
watch_begin(struct watch *w, uint64_t generation)
{
    if (w->generation == generation)
        return;
    w->generation = generation;
    buf_reset(&w->oids, 1u << 16);
    watch_forget(w);
}

bool
watch_covers(const struct watch *w, const struct signature *signature, uint64_t asked)
{
    return w->since[0] != '\0' && signature->watched && asked >= w->oldest;
}

void
watch_add(struct watch *w, struct signature *signature)
{
    size_t len = strlen(signature->oids), held = buf_len(&w->oids);

    if (signature->watched || len == 0 || len > WATCH_BYTES_MAX - held)
        return;
    buf_append(&w->oids, ",", held > 0);
    buf_append(&w->oids, signature->oids, len);
    signature->watched = !w->oids.failed;
}

void
watch_take(struct watch *w, const char *since)
{
    if (strcmp(w->since, since) == 0)
        return;
    snprintf(w->since, sizeof w->since, "%s", since);
    w->oldest = w->count;
}

void
watch_free(struct watch *w)
{
    buf_free(&w->oids);
}
