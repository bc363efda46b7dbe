/* pgtableinfo.h: reads from a source's catalog the fields of tableinfo.h. */
#ifndef WALPIPE_PGTABLEINFO_H
#define WALPIPE_PGTABLEINFO_H

#include <libpq-fe.h>

#include "lib/tableinfo.h"

/* The query for the tables in `relids`, "1,2,3", as one text of several commands for an ordinary
 * connection. It begins with the session's settings. version is the server's. malloc'd, or NULL
 * when memory is out. */
char *pgtableinfo_question(int version, const char *relids);

/* Takes the table that begins at row *at of the last command's result, and moves *at on. Returns 0,
 * 1 after the last table, or -1 with err. Free info before result, which owns its strings. */
int pgtableinfo_take(const PGresult *result, int *at, struct tableinfo *info,
                     struct err *err) MUST_CHECK;

#endif
