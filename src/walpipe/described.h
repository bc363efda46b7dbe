/* described.h: the event stream that describes the source's tables, as pgout-decode and route would
 * write it, in files in memory. A sink's program reads it under --check and --adopt. */
#ifndef WALPIPE_DESCRIBED_H
#define WALPIPE_DESCRIBED_H

#include "walpipe/catalog.h"

/* The stream of all tables. Returns a file, or -1 with err. */
int described_open(const struct catalog *catalog, struct err *err) MUST_CHECK;

/* The part of the stream in source that is for the sink. Returns a file, at its beginning, or -1
 * with err. programs is walpipe's directory of them. */
int described_route(const struct config *config, struct pool *pool, const char *programs,
                    const struct sink_config *sink, int source, struct err *err) MUST_CHECK;

#endif
