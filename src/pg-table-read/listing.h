/* listing.h: makes lives from the catalog's tables. Pure. */
#ifndef WALPIPE_PGTABLEREAD_LISTING_H
#define WALPIPE_PGTABLEREAD_LISTING_H

#include "pg-table-read/lives.h"

/* Takes the catalog's current tables. New parts are added. Parts without a life and without ranges
 * in flight get its description from now on. `listed` is set if the part is there. Returns -1 with
 * err. */
int listing_take(struct lives *lives, struct catalog *catalog, struct err *err) MUST_CHECK;

#endif
