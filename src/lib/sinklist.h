/* sinklist.h: names of sinks as one item of a message, which is meant for them. */
#ifndef WALPIPE_SINKLIST_H
#define WALPIPE_SINKLIST_H

#include "lib/limits.h"
#include "lib/pack.h"

/* Has room for as many names as there can be workers. An empty list means all sinks that the
 * message may concern. */
struct sinklist {
    uint32_t count;
    struct bytes names[WORKERS_MAX]; /* after decoding, points into the frame */
};

void sinklist_pack(struct packer *p, const struct sinklist *list);

/* Returns false if it is malformed, if a name does not have 1 to NAME_MAX_BYTES bytes, or if there
 * are too many. */
bool sinklist_unpack(struct cursor *c, struct sinklist *list) MUST_CHECK;

/* The name is among them. */
bool sinklist_has(const struct sinklist *list, const char *name);

#endif
