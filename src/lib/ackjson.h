/* ackjson.h: the members that `walpipe status --json` and ackd's /status.json share. A
 * value that is not known is null. */
#ifndef WALPIPE_ACKJSON_H
#define WALPIPE_ACKJSON_H

#include "lib/ackmsg.h"
#include "lib/json.h"

/* lag_bytes and lag_seconds; micros is negative if not known. */
void ackjson_lag(struct json *j, bool known, uint64_t bytes, int64_t micros);

/* The members of slot, in an object that the caller opens and closes. */
void ackjson_slot(struct json *j, const struct ack_slot *slot);

/* A worker's copies; counts is NULL if it reads none. */
void ackjson_copies(struct json *j, const struct copy_counts *counts);

/* An element of differences. */
void ackjson_differences(struct json *j, const char *sink, const struct ack_differences *d);

#endif
