/* pgtableinfo.h: asks a source's catalog for what tableinfo.h carries. */
#ifndef WALPIPE_PGTABLEINFO_H
#define WALPIPE_PGTABLEINFO_H

#include <libpq-fe.h>

#include "lib/tableinfo.h"

/* The question about the tables in `relids`, "1,2,3", as one text of several commands for an
 * ordinary connection: it begins with the session's settings. version is the server's. malloc'd;
 * NULL: out of memory. */
char *pgtableinfo_question(int version, const char *relids);

/* Takes the table that begins at row *at of the last command's result, and moves *at on: 0; 1 when
 * there is none any more; -1 with err. info is to be freed, before result, whose strings it has. */
int pgtableinfo_take(const PGresult *result, int *at, struct tableinfo *info,
                     struct err *err) MUST_CHECK;

#endif
