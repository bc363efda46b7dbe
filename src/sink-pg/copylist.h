/* copylist.h: `sink-pg --tables`, which prints the target's notes of a sink's tables, in the form
 * of copynote.h. */
#ifndef SINK_PG_COPYLIST_H
#define SINK_PG_COPYLIST_H

#include <stdio.h>

#include "sink-pg/session.h"

/* Opens the session and prints. An error that prevents that is printed too. Returns 0, or -1 with
 * err. */
int copylist_print(struct session *s, const char *pipeline, const char *sink, FILE *out,
                   struct err *err) MUST_CHECK;

#endif
