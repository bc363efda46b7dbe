/* published.h: whether what the publications say of the tables can be read right, as the source's
 * catalog is now: partitions that are published as their root must identify their rows as the root
 * announces it, and a table has one list of columns. */
#ifndef WALPIPE_PUBLISHED_H
#define WALPIPE_PUBLISHED_H

#include "pg-wal-read/source.h"

/* The question, for an ordinary connection; malloc'd. NULL with err. */
char *published_question(PGconn *conn, const struct source_options *options, struct err *err);

/* Judges the answer to it. 0, or -1 with err: what is EXIT_REFUSED names a table. */
int published_judge(const PGresult *answer, struct err *err) MUST_CHECK;

enum published {
    PUBLISHED_OK,
    PUBLISHED_UNKNOWN, /* err says why: there is no ordinary connection to ask on */
    PUBLISHED_REFUSED  /* err is set */
};

/* Both, on an ordinary connection of its own. Never on the replication connection: what a question
 * leaves in the walsender's caches, the catalog of today, would be used to decode what was written
 * before. */
enum published published_check(const struct source_options *options, struct err *err) MUST_CHECK;

#endif
