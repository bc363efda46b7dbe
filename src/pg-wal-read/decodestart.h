/* decodestart.h: finds out whether the source decodes every transaction behind the slot's position
 * (trap 177).
 *
 * A walsender begins to read the WAL before the slot's position, and needs a snapshot of the
 * catalog to decode with. It has saved one in pg_logical/snapshots. Where that file is missing,
 * because somebody copied the slot alone to this server, it gathers a new one and waits until all
 * transactions of that time have ended. It drops those that commit meanwhile, without a word in the
 * stream. Its log says from where on it decodes, and the client hears that at client_min_messages =
 * log. The words depend on the server's language, so the file of the message and the LSN in it
 * decide, and a detail that counts transactions says that the walsender waits. */
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
