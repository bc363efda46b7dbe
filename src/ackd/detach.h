/* detach.h: gives up a sink, so that the source need not keep WAL for it any more (--detach-after).
 * The run ends then. The next one begins without the sink, which comes back when all its tables are
 * copied again. Knows the whole state. */
#ifndef WALPIPE_ACKD_DETACH_H
#define WALPIPE_ACKD_DETACH_H

#include "ackd/ackd.h"

/* Whether the sink may be given up: --detach-after names it, and another sink holds WAL after
 * that. */
bool detach_may(const struct ackd *ackd, const struct sink *sink);

/* Looks at all sinks when the end of the source's WAL is known. Returns -1 with err, EXIT_PEER, if
 * one is given up. */
int detach_look(struct ackd *ackd, struct err *err) MUST_CHECK;

/* The sink's target has everything up to lsn, and why is the reason to give it up. When the file is
 * on disk, returns -1 with err: EXIT_PEER, or EXIT_REFUSED if the sink was given up before and was
 * started nevertheless. Returns 0 if the file cannot be written, and changes nothing. */
int detach_sink(struct ackd *ackd, struct sink *sink, uint64_t lsn, const char *why,
                struct err *err) MUST_CHECK;

#endif
