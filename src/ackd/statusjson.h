/* statusjson.h: the state of the pipeline as JSON, for the status page. ackd(1) describes it. */
#ifndef WALPIPE_ACKD_STATUSJSON_H
#define WALPIPE_ACKD_STATUSJSON_H

#include "ackd/ackd.h"

/* Appends one object, with the plots' points after since (Unix time in milliseconds). If memory
 * runs out, the buf remembers it. */
void statusjson_render(const struct ackd *ackd, int64_t since, struct buf *page);

#endif
