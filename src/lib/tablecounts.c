/* tablecounts.c: see tablecounts.h. */
#include "lib/tablecounts.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"

#define SEND_MICROS UINT64_C(1000000)

void
tablecounts_free(struct tablecounts *c)
{
    struct tablecount *table;
    size_t at = 0;

    while ((table = relmap_next(&c->tables, &at)) != NULL)
        free(table);
    relmap_free(&c->tables);
    *c = (struct tablecounts){0};
}

static struct tablecount *
find_or_make(struct tablecounts *c, uint32_t relid)
{
    struct tablecount *table = relmap_get(&c->tables, relid);
    void *replaced;

    if (table != NULL)
        return table;
    table = calloc(1, sizeof *table);
    if (table == NULL || relmap_put(&c->tables, relid, table, &replaced) != 0) {
        free(table);
        return NULL;
    }
    table->relid = relid;
    return table;
}

void
tablecounts_relation(struct tablecounts *c, struct cursor body, uint32_t elements)
{
    struct relation relation;
    struct tablecount *table;
    struct err ignored;

    if (relation_decode(&body, elements, &relation, &ignored) != 0)
        return;
    table = find_or_make(c, relation.relid);
    if (table != NULL)
        snprintf(table->unsent.table, sizeof table->unsent.table, "%.*s.%.*s", NAME_MAX_BYTES,
                 relation.schema, NAME_MAX_BYTES, relation.name);
    relation_free(&relation);
}

void
tablecounts_change(struct tablecounts *c, uint32_t relid, uint8_t type)
{
    struct tablecount *table = c->last;

    if (table == NULL || table->relid != relid) {
        table = relmap_get(&c->tables, relid);
        if (table == NULL)
            return;
        c->last = table;
    }
    if (!table->waits) {
        table->waits = true;
        table->next = c->waiting;
        c->waiting = table;
    }
    table->unsent.inserts += type == FRAME_INSERT;
    table->unsent.updates += type == FRAME_UPDATE;
    table->unsent.deletes += type == FRAME_DELETE;
    table->unsent.truncates += type == FRAME_TRUNCATE;
}

static int
send_table(struct tablecount *table, struct ackconn *ack, struct err *err)
{
    struct ack_table_counts *n = &table->unsent;

    if (ackclient_table_counts(ack, n, err) != 0)
        return -1;
    n->inserts = n->updates = n->deletes = n->truncates = 0;
    table->waits = false;
    return 0;
}

int
tablecounts_send(struct tablecounts *c, struct ackconn *ack, bool now, struct err *err)
{
    uint64_t time;

    c->due_at = 0;
    if (c->waiting == NULL)
        return 0;
    time = clock_micros();
    if (!now && time < c->sent_at + SEND_MICROS) {
        c->due_at = c->sent_at + SEND_MICROS;
        return 0;
    }
    c->sent_at = time;
    for (; c->waiting != NULL; c->waiting = c->waiting->next)
        if (send_table(c->waiting, ack, err) != 0)
            return -1;
    return 0;
}
