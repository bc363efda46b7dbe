/* differences.c: see differences.h. */
#include "ackd/differences.h"

#include <string.h>

static struct counted_table *
find(struct differences *all, uint32_t sink, const char *relation)
{
    for (uint32_t i = 0; i < all->count; i++)
        if (all->tables[i].sink == sink &&
            strcmp(all->tables[i].differences.relation, relation) == 0)
            return &all->tables[i];
    return NULL;
}

/* The entry for a sink's other tables is made when it is needed, at most one per sink. */
static struct counted_table *
find_or_make(struct differences *all, uint32_t sink, const char *relation)
{
    struct counted_table *table = find(all, sink, relation);

    if (table == NULL && all->named == ACK_DIFFERENCES_MAX) {
        relation = "";
        table = find(all, sink, relation);
    }
    if (table != NULL)
        return table;
    all->named += relation[0] != '\0';
    table = &all->tables[all->count++];
    table->sink = sink;
    memcpy(table->differences.relation, relation, strlen(relation) + 1);
    return table;
}

void
differences_add(struct differences *all, uint32_t sink, const struct ack_differences *more)
{
    struct ack_differences *d = &find_or_make(all, sink, more->relation)->differences;

    d->updates_missing += more->updates_missing;
    d->deletes_missing += more->deletes_missing;
    d->inserts_existing += more->inserts_existing;
    d->schema_changes += more->schema_changes;
}
