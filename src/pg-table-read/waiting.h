/* waiting.h: transactions that may have committed in the stream and are not visible to new
 * snapshots yet. Whoever wants snapshots that lack nothing of what was delivered before lists them,
 * and waits until they have ended. The list is that of the locks: a snapshot does not list all that
 * runs (docs/copy.md). */
#ifndef WALPIPE_PGTABLEREAD_WAITING_H
#define WALPIPE_PGTABLEREAD_WAITING_H

#include <libpq-fe.h>

#include "lib/base.h"

/* Zero-initialise to use. */
struct waiting {
    char *sql;        /* the question */
    PGresult *listed; /* the first answer: a line for each transaction */
    bool *gone;       /* each line of it: the transaction has ended */
    int left;
};

/* Lists the transactions that hold a lock of a writer on one of the tables; all of them, where
 * everybody is true: whoever wrote to a table before it was published did so unseen. oids is an
 * SQL array. 0, or -1 with err; to be freed in both cases. */
int waiting_begin(struct waiting *w, PGconn *conn, const char *oids, bool everybody,
                  struct err *err) MUST_CHECK;

/* Asks again; w->left tells how many have not ended. */
int waiting_look(struct waiting *w, PGconn *conn, struct err *err) MUST_CHECK;

void waiting_free(struct waiting *w);

#endif
