/* pgsession.h: the sessions of a comparison on PostgreSQL servers. */
#ifndef WALPIPE_COMPARE_PGSESSION_H
#define WALPIPE_COMPARE_PGSESSION_H

#include <libpq-fe.h>

#include "lib/base.h"

/* A session on the primary with the settings that the texts depend on. NULL with err. */
PGconn *pgsession_open(const char *conninfo, const char *password, struct err *err);

#endif
