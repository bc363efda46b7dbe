/* copyhints.h: the ways out of refusals of lib/copying, as SQL for a PostgreSQL target. */
#ifndef SINK_PG_COPYHINTS_H
#define SINK_PG_COPYHINTS_H

#include "lib/copyparts.h"

void copyhints_set(struct copying *c);

#endif
