/* http.h: the status page, /healthz, /metrics and others, served from loop.c's own poll. */
#ifndef WALPIPE_ACKD_HTTP_H
#define WALPIPE_ACKD_HTTP_H

#include "ackd/ackd.h"

struct http;

/* Listens on "ADDR:PORT" ("[ADDR]:PORT" for IPv6). NULL with err. */
struct http *http_open(struct ackd *ackd, const char *address, struct err *err);
void http_close(struct http *http);

/* The descriptor to poll for reading. */
int http_descriptor(const struct http *http);

/* Returns when http_turn must be called at the latest (clock_micros), 0 if only the descriptor
 * decides. */
uint64_t http_deadline(const struct http *http, uint64_t now);
void http_turn(struct http *http);

#endif
