/* check_copies.h: walpipe check for the source's side of copies. */
#ifndef WALPIPE_CHECK_COPIES_H
#define WALPIPE_CHECK_COPIES_H

#include "walpipe/catalog.h"
#include "walpipe/checking.h"

/* Says of each sink without `copy` in the config file whether it copies, and sets its copies. */
void check_copies_default(struct checking *checking, const struct catalog *catalog);

/* Checks whether there is a pg_dump that can read the source, where one is needed. */
void check_definitions(struct checking *checking, const struct catalog *catalog);

/* Checks whether pg-table-read can read the published tables that a sink copies. */
void check_copies(struct checking *checking, const struct catalog *catalog);

#endif
