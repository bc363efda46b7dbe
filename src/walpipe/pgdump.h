/* pgdump.h: finds a pg_dump that can read the source, and runs it. */
#ifndef WALPIPE_PGDUMP_H
#define WALPIPE_PGDUMP_H

#include "walpipe/config.h"
#include "walpipe/words.h"

struct pgdump {
    const char *directory; /* of the program */
    int major;             /* its version */
};

/* Looks for a pg_dump that is not older than the server's major version, in PATH, and then where
 * Debian's and PostgreSQL's own packages have it. The result is in pool. Returns 0, or -1 with err.
 */
int pgdump_find(struct pgdump *found, int server_major, struct pool *pool,
                struct err *err) MUST_CHECK;

/* Dumps the source's definitions without the tables that match the patterns in excluded, in the
 * form of dumpentry.h. *text is in pool. Returns 0, or -1 with err. */
int pgdump_run(const struct pgdump *found, const struct config *config,
               const struct words *excluded, char **text, struct pool *pool,
               struct err *err) MUST_CHECK;

#endif
