/* decodestart.h: finds out whether the source decodes every transaction behind the slot's position
 * (trap 177).
 *
 * A walsender begins to read the WAL before the slot's position, and needs a snapshot of the
 * catalog to decode with. It has saved one in pg_logical/snapshots. If that file is missing,
 * because somebody copied only the slot to this server, the walsender builds a new snapshot, and
 * waits until all transactions of that time have ended. It silently leaves out those that commit
 * during this wait. Its log has the LSN from which on it decodes, and the client gets this message
 * with client_min_messages = log. The words depend on the server's language, so the message is
 * recognized by its source file and the LSN in it. A detail that counts transactions shows that the
 * walsender waits. */
#ifndef WALPIPE_DECODESTART_H
#define WALPIPE_DECODESTART_H

#include <libpq-fe.h>

#include "lib/base.h"

struct decodestart {
    bool waits;     /* for transactions to end */
    uint64_t found; /* the last LSN that was said, 0 without any */
};

/* Before START_REPLICATION, on the same connection. d must live as long as the connection. */
int decodestart_listen(struct decodestart *d, PGconn *conn, struct err *err) MUST_CHECK;

/* Call it before a message of the stream is passed on. position is the message's, start the slot's.
 * Returns -1 with err if transactions between the two may be missing. */
int decodestart_check(const struct decodestart *d, uint64_t position, uint64_t start,
                      struct err *err) MUST_CHECK;

#endif
