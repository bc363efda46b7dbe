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

/* The source's table has this name now. EXIT_REFUSED if its rows are in the target of another name,
 * and that one was not renamed. Call it before changes go there. copying may be empty, for a sink
 * that takes no copies. */
int copytarget_check(const struct copytarget *t, struct session *s, struct copying *copying,
                     const struct relation *relation, struct err *err) MUST_CHECK;

#endif
