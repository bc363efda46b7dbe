/* view.h: the view NAME_current, which shows the current rows of a table with a key. */
#ifndef WALPIPE_SINKCH_VIEW_H
#define WALPIPE_SINKCH_VIEW_H

#include "sink-ch/table.h"

/* Creates the view NAME_current of a table with a key, unless there is one. Also of a table that
 * existed: a sink may have died between the table and its view. */
int view_create(struct server *server, const struct options *options, const struct table *table,
                struct err *err) MUST_CHECK;

/* Makes our view anew after columns were added: its columns are fixed when it is created. */
int view_remake(struct server *server, const struct options *options, const struct table *table,
                struct err *err) MUST_CHECK;

#endif
