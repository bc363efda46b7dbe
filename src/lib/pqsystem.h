/* pqsystem.h: the cluster and the timeline of a replication connection, and where that timeline
 * came from. */
#ifndef WALPIPE_PQSYSTEM_H
#define WALPIPE_PQSYSTEM_H

#include <libpq-fe.h>

#include "lib/base.h"
#include "lib/limits.h"

struct pqsystem {
    uint64_t identifier;
    uint32_t timeline;
    char database[NAME_MAX_BYTES + 1];
    uint32_t previous_timeline; /* the timeline that this one came from, 0 if none, or if the server
                                   does not report it */
    uint64_t switch_lsn;        /* there */
};

/* 0, or -1 with err. */
int pqsystem_identify(PGconn *conn, struct pqsystem *system, struct err *err) MUST_CHECK;

#endif
