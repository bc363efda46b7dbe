/* published.h: whether what the publications say of the tables can be read right, as the source's
 * catalog is now: partitions that are published as their root must identify their rows as the root
 * announces it, and a table has one list of columns. */
#ifndef WALPIPE_PUBLISHED_H
#define WALPIPE_PUBLISHED_H

#include "pg-wal-read/source.h"

/* The question, for an ordinary or a replication connection; malloc'd. NULL with err. */
char *published_question(PGconn *conn, const struct source_options *options, struct err *err);

/* Judges the answer to it. 0, or -1 with err: what is EXIT_REFUSED names a table. */
int published_judge(const PGresult *answer, struct err *err) MUST_CHECK;

/* Both. */
int published_check(PGconn *conn, const struct source_options *options, struct err *err) MUST_CHECK;

#endif
