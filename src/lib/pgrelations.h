/* pgrelations.h: the published tables as the source's catalog has them now, in the form in which
 * the event stream would describe them. For programs that read tables themselves. A sink knows the
 * tables from the stream alone (trap 32). */
#ifndef WALPIPE_PGRELATIONS_H
#define WALPIPE_PGRELATIONS_H

#include <libpq-fe.h>

#include "lib/event.h"

/* Zero-initialise to use. */
struct pgrelations {
    struct relation *relations; /* in the order of their oids, not for relation_free */
    bool *partitioned;          /* whether each relation is published for its partitions */
    size_t count;
    struct relation_column *columns;
    PGresult *result; /* owns the strings */
};

/* The names as an array literal of PostgreSQL, such as {"a","b"}. malloc'd, or NULL with err. */
char *pgrelations_publications(const char names[][NAME_MAX_BYTES + 1], uint32_t count,
                               struct err *err);

/* Reads the tables of these publications (a literal of the above). Returns 0, or -1 with err. Free
 * r in both cases. */
int pgrelations_read(struct pgrelations *r, PGconn *conn, const char *publications,
                     struct err *err) MUST_CHECK;

void pgrelations_free(struct pgrelations *r);

#endif
