/* listing.h: what the catalog has becomes lives. Pure. */
#ifndef WALPIPE_PGTABLEREAD_LISTING_H
#define WALPIPE_PGTABLEREAD_LISTING_H

#include "pg-table-read/lives.h"

/* Takes what the catalog has now: new parts are added; those without a life and without ranges in
 * flight are described by it from now on; `listed` says of each whether it is there. -1: out of
 * memory. */
int listing_take(struct lives *lives, struct catalog *catalog) MUST_CHECK;

#endif
