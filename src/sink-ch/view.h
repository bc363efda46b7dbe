/* view.h: the view NAME_current, which shows the current rows of a table with a key. */
#ifndef WALPIPE_SINKCH_VIEW_H
#define WALPIPE_SINKCH_VIEW_H

#include "sink-ch/describe.h"

/* Creates the view if there is none. That includes a table that existed, because a sink may have
 * died between the table and its view. A view's columns and types are fixed when it is created.
 * Replaces the view if walpipe made it and the source's columns or the table's types differ. A view
 * of another owner stays. `described` is the table. */
int view_keep(struct server *server, const struct options *options, const struct table *table,
              const struct described *described, struct err *err) MUST_CHECK;

/* Creates the view if nothing has its name. */
int view_create(struct server *server, const struct options *options, const struct table *table,
                struct err *err) MUST_CHECK;

#endif
