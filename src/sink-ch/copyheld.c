/* copyheld.c: see copyheld.h. */
#include "sink-ch/copyheld.h"

#include <stdlib.h>

/* The changes between the snapshot and its first range must fit, which are those of some seconds of
 * a busy table. */
#define CHANGES_MAX (8u << 20)

/* 2 million transactions, in the time that the copy waits for those that were open before it. */
#define GIVEN_UP_MAX (8u << 20)

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for changes that wait");
}

struct heldtable *
copyheld_of(const struct copyheld *held, uint32_t relid)
{
    struct heldtable *at = held->first;

    while (at != NULL && at->relid != relid)
        at = at->next;
    return at;
}

static struct heldtable *
make(struct copyheld *held, uint32_t relid)
{
    struct heldtable *table = calloc(1, sizeof *table);

    if (table == NULL)
        return NULL;
    table->relid = relid;
    table->next = held->first;
    held->first = table;
    return table;
}

static uint32_t
last_given_up(const struct heldtable *table)
{
    uint32_t xid;

    memcpy(&xid, table->given_up.data + table->given_up.end - sizeof xid, sizeof xid);
    return xid;
}

static void
give_up_oldest(struct heldtable *table)
{
    struct heldchange change;
    struct bytes body;

    if (!copyheld_take(table, &change, &body))
        return;
    if (buf_len(&table->given_up) == 0 || last_given_up(table) != change.xid)
        buf_append(&table->given_up, &change.xid, sizeof change.xid);
}

int
copyheld_add(struct copyheld *held, uint32_t relid, const struct heldchange *change,
             struct bytes body, struct err *err)
{
    struct heldtable *table = copyheld_of(held, relid);

    if (table == NULL)
        table = make(held, relid);
    if (table == NULL)
        return out_of_memory(err);
    buf_append(&table->changes, change, sizeof *change);
    buf_append(&table->changes, body.data, body.len);
    while (!table->changes.failed && buf_len(&table->changes) > CHANGES_MAX)
        give_up_oldest(table);
    if (table->changes.failed || table->given_up.failed)
        return out_of_memory(err);
    return buf_len(&table->given_up) > GIVEN_UP_MAX;
}

bool
copyheld_lacks(const struct heldtable *table, const struct snapshot *snapshot)
{
    uint32_t xid;

    for (size_t at = table->given_up.start; at < table->given_up.end; at += sizeof xid) {
        memcpy(&xid, table->given_up.data + at, sizeof xid);
        if (!snapshot_contains(snapshot, xid))
            return true;
    }
    return false;
}

bool
copyheld_take(struct heldtable *table, struct heldchange *change, struct bytes *body)
{
    struct buf *changes = &table->changes;

    if (changes->failed || buf_len(changes) == 0)
        return false;
    memcpy(change, changes->data + changes->start, sizeof *change);
    *body = (struct bytes){changes->data + changes->start + sizeof *change, change->len};
    buf_consume(changes, sizeof *change + change->len);
    return true;
}

static void
free_table(struct heldtable *table)
{
    buf_free(&table->changes);
    buf_free(&table->given_up);
    free(table);
}

void
copyheld_drop(struct copyheld *held, uint32_t relid)
{
    struct heldtable **at = &held->first, *dropped;

    while (*at != NULL && (*at)->relid != relid)
        at = &(*at)->next;
    dropped = *at;
    if (dropped == NULL)
        return;
    *at = dropped->next;
    free_table(dropped);
}

void
copyheld_free(struct copyheld *held)
{
    while (held->first != NULL)
        copyheld_drop(held, held->first->relid);
}
