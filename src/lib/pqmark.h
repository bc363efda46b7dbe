/* pqmark.h: tells whether two connections are to the same database of the same server. The program
 * that reads the source marks it with an advisory lock, which is named after the run and which the
 * session keeps. The program that writes to a target looks for the mark. A server's identifier is
 * not enough, because a copy of its files has the same one. */
#ifndef WALPIPE_PQMARK_H
#define WALPIPE_PQMARK_H

#include <libpq-fe.h>

#include "lib/frame.h"

/* Sets the mark for as long as the session lives, also on a replication connection with a
 * database. */
int pqmark_set(PGconn *conn, const struct run_id *run_id, struct err *err) MUST_CHECK;

/* Sets *marked if another session of conn's database has set the mark. */
int pqmark_find(PGconn *conn, const struct run_id *run_id, bool *marked,
                struct err *err) MUST_CHECK;

#endif
