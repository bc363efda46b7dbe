/* definitions.h: notices that tables or publications change while the source makes the slot. The
 * source may then decode with definitions from before the change for as long as the slot exists: a
 * table that came into the publication is not published, and the values of a new column are
 * missing, without an error (tried on 13, 15 and 18; trap 176). */
#ifndef PG_WAL_READ_DEFINITIONS_H
#define PG_WAL_READ_DEFINITIONS_H

#include <libpq-fe.h>

#include "lib/base.h"

struct definitions {
    char digest[33]; /* of the catalog's rows about user tables, their columns and publications */
};

/* Returns -1 with err. server_version is PQserverVersion's. */
int definitions_read(PGconn *conn, uint32_t server_version, struct definitions *definitions,
                     struct err *err) MUST_CHECK;

bool definitions_equal(const struct definitions *a, const struct definitions *b);

#endif
