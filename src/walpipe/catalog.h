/* catalog.h: the published tables as the source's catalog has them now, in the form in which the
 * event stream would describe them. Only for walpipe check and adopt, because a running pipeline
 * knows tables only from the stream (trap 32). */
#ifndef WALPIPE_CATALOG_H
#define WALPIPE_CATALOG_H

#include "lib/pgrelations.h"
#include "lib/pqsystem.h"
#include "walpipe/config.h"

struct catalog {
    struct hello hello; /* of an event stream, where sink, shard and shards are not yet set */
    struct pgrelations tables;
    bool slot_exists;
    bool slot_active;
    bool standby;
    bool publishes_changes; /* updates or deletes, not only inserts */
    PGconn *conn;           /* bears the mark by which a sink knows the source's own database */
};

/* Reads by two connections to the source, an ordinary one and one for replication. Returns 0, or -1
 * with err. Call catalog_free in both cases. */
int catalog_read(struct catalog *catalog, const struct config *config, struct err *err) MUST_CHECK;

/* Fills it for a source that cannot be reached, with no table, and a hello whose system identifier
 * is 0. */
int catalog_unknown(struct catalog *catalog, const struct config *config,
                    struct err *err) MUST_CHECK;

/* Reads the source's cluster and history only. 0, or -1 with err. */
int catalog_system(const struct config *config, struct pqsystem *system,
                   struct err *err) MUST_CHECK;

void catalog_free(struct catalog *catalog);

/* Whether the source can tell which row an update or a delete of this table is about. */
bool catalog_has_identity(const struct relation *relation);

#endif
