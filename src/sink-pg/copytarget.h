/* copytarget.h: whether a table's changes go to the target table that has its rows. Its note has
 * that table's name and oid. */
#ifndef SINK_PG_COPYTARGET_H
#define SINK_PG_COPYTARGET_H

#include "lib/copyparts.h"
#include "lib/tablemap.h"
#include "sink-pg/session.h"

/* Whose notes they are, and where their tables go. */
struct copytarget {
    const char *pipeline;
    const struct hello *hello;
    const struct tablemap *map;
};

/* The source's table has this name now. EXIT_REFUSED if the target of that name is not the table
 * that has its rows. Call it before changes go there. With listed, a list of the reader says so,
 * which may be ahead of the stream. Then a target whose name is as noted is not looked at. copying
 * may be empty, for a sink that takes no copies. */
int copytarget_check(const struct copytarget *t, struct session *s, struct copying *copying,
                     const struct relation *relation, bool listed, struct err *err) MUST_CHECK;

#endif
