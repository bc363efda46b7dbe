/* waiting.h: transactions that may have committed in the stream and are not visible to new
 * snapshots yet. It lists them, and waits until they have ended. Snapshots taken after that lack
 * nothing that was delivered before. The list is that of the locks, because a snapshot does not
 * list all that runs (docs/copy.md). */
#ifndef WALPIPE_PGTABLEREAD_WAITING_H
#define WALPIPE_PGTABLEREAD_WAITING_H

#include <libpq-fe.h>

#include "lib/base.h"

/* Zero-initialise to use. */
struct waiting {
    char *sql;        /* the question */
    PGresult *listed; /* the first answer, with a line for each transaction */
    bool *gone;       /* for each line, whether the transaction has ended */
    int left;
};

/* Lists the transactions that hold a writer's lock on one of the tables. With everybody it lists
 * all transactions, because a transaction that wrote to a table before it was published did so
 * unseen. oids is an SQL array. Returns 0, or -1 with err. Free w in both cases. */
int waiting_begin(struct waiting *w, PGconn *conn, const char *oids, bool everybody,
                  struct err *err) MUST_CHECK;

/* Asks again. w->left is the number of those that have not ended. */
int waiting_look(struct waiting *w, PGconn *conn, struct err *err) MUST_CHECK;

void waiting_free(struct waiting *w);

#endif
