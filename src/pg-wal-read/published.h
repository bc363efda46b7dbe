/* published.h: checks that the published tables can be read correctly, as the source's catalog is
 * now. A partition that is published as its root must identify its rows in the same way as the
 * root. A table must have only one list of columns. */
#ifndef WALPIPE_PUBLISHED_H
#define WALPIPE_PUBLISHED_H

#include "pg-wal-read/source.h"

/* The query, for an ordinary connection. malloc'd, or NULL with err. */
char *published_question(PGconn *conn, const struct source_options *options, struct err *err);

/* Judges the answer to it. Returns 0, or -1 with err. EXIT_REFUSED names a table. */
int published_judge(const PGresult *answer, struct err *err) MUST_CHECK;

enum published {
    PUBLISHED_OK,
    PUBLISHED_UNKNOWN, /* err has the reason why there is no ordinary connection for the query */
    PUBLISHED_REFUSED  /* err is set */
};

/* Asks and judges, on an ordinary connection of its own. Never use the replication connection. A
 * query there would fill the walsender's caches with the present catalog, and the walsender would
 * decode older WAL with it. */
enum published published_check(const struct source_options *options, struct err *err) MUST_CHECK;

#endif
