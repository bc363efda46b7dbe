/* copylist.h: `sink-pg --tables`: the notes that the target has of a sink's tables, as copynote.h
 * has them. */
#ifndef SINK_PG_COPYLIST_H
#define SINK_PG_COPYLIST_H

#include <stdio.h>

#include "sink-pg/session.h"

/* Opens the session and prints. What keeps it from that is printed too. 0, or -1 with err. */
int copylist_print(struct session *s, const char *pipeline, const char *sink, FILE *out,
                   struct err *err) MUST_CHECK;

#endif
