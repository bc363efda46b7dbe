/* schematarget.h: a PostgreSQL target, whose objects are listed and made. */
#ifndef WALPIPE_SCHEMATARGET_H
#define WALPIPE_SCHEMATARGET_H

#include <libpq-fe.h>

#include "walpipe/config.h"
#include "walpipe/schemaplan.h"

/* The settings that the statements of pg_dump rely on, as commands. */
extern const char schematarget_settings[];

/* Connects, with these settings. NULL with err. */
PGconn *schematarget_open(const struct sink_config *sink, struct err *err);

/* The identity of each object, in the words of pg_identify_object_as_address, such as
 * "table {public,orders} {}", sorted. An index that is attached to another one has "attached" in
 * front as well. *keys is in pool. */
int schematarget_list(PGconn *conn, const char ***keys, size_t *count, struct pool *pool,
                      struct err *err) MUST_CHECK;

/* Makes the objects of the first step, all in one transaction, and says so in the log, or on stdout
 * if that is NULL. Those of the second step are left. conn must have no transaction. */
int schematarget_make_first(PGconn *conn, const struct sink_config *sink,
                            const struct schemaplan *plan, const struct log *log,
                            struct err *err) MUST_CHECK;

/* Makes the objects of the second step, over that many connections where this is possible. It says
 * on stdout how each went, and goes on after a failure. Returns 0, or -1 with err if one failed. */
int schematarget_make_second(const struct sink_config *sink, const struct schemaplan *plan,
                             uint32_t connections, struct err *err) MUST_CHECK;

#endif
