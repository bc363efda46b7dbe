/* copylist.h: `sink-ch --tables`, which reads the target's notes of a sink's tables, in the form of
 * copynote.h. */
#ifndef WALPIPE_SINKCH_COPYLIST_H
#define WALPIPE_SINKCH_COPYLIST_H

#include "sink-ch/journal.h"
#include "sink-ch/options.h"

/* Appends the lines of the options' pipeline and sink. Writes nothing to the target. Call it with
 * a server that was not probed. Returns 0, or -1 with err. */
int copylist_read(struct server *server, const struct options *options, struct buf *lines,
                  struct err *err) MUST_CHECK;

#endif
