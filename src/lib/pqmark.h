/* pqmark.h: whether two connections are to one and the same database of one server. Who reads the
 * source marks it, with an advisory lock that is named after the run and that the session keeps;
 * who writes to a target looks for the mark. A server's identifier does not tell: a copy of its
 * files has the same. */
#ifndef WALPIPE_PQMARK_H
#define WALPIPE_PQMARK_H

#include <libpq-fe.h>

#include "lib/frame.h"

/* For as long as the session lives. Also on a replication connection with a database. */
int pqmark_set(PGconn *conn, const struct run_id *run_id, struct err *err) MUST_CHECK;

/* *marked: another session of conn's database has set the mark. */
int pqmark_find(PGconn *conn, const struct run_id *run_id, bool *marked,
                struct err *err) MUST_CHECK;

#endif
