/* tablecounts.h: counts the changes of each table that a worker has read, and tells ackd when they
 * are durable, at most once a second. For intake.c. */
#ifndef WALPIPE_TABLECOUNTS_H
#define WALPIPE_TABLECOUNTS_H

#include "lib/ackclient.h"
#include "lib/relmap.h"

struct tablecount {
    uint32_t relid;
    struct ack_table_counts unsent;
    bool waits; /* is in the list */
    struct tablecount *next;
};

/* Zero-initialise to use. */
struct tablecounts {
    struct relmap tables;
    struct tablecount *last;    /* of the last change */
    struct tablecount *waiting; /* the tables that have changed since they were sent */
    uint64_t sent_at;
    uint64_t due_at; /* when to send, 0 if nothing waits for that */
};

void tablecounts_free(struct tablecounts *counts);

/* The stream describes a table. body is behind the frame's type, and is not moved. A description
 * that cannot be decoded, or that finds no memory, leaves the table uncounted. */
void tablecounts_relation(struct tablecounts *counts, struct cursor body, uint32_t elements);

/* Counts a change. type is FRAME_INSERT, FRAME_UPDATE, FRAME_DELETE or FRAME_TRUNCATE. */
void tablecounts_change(struct tablecounts *counts, uint32_t relid, uint8_t type);

/* All that was counted is durable. Sends it if a second has passed, and otherwise sets due_at. With
 * `now`, sends it in any case. */
int tablecounts_send(struct tablecounts *counts, struct ackconn *ack, bool now,
                     struct err *err) MUST_CHECK;

#endif
