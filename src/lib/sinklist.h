/* sinklist.h: names of sinks as one item of a message: whom it is for. */
#ifndef WALPIPE_SINKLIST_H
#define WALPIPE_SINKLIST_H

#include "lib/limits.h"
#include "lib/pack.h"

/* As many as there can be workers. None: everybody whom the message may concern. */
struct sinklist {
    uint32_t count;
    struct bytes names[WORKERS_MAX]; /* decoded: into the frame */
};

void sinklist_pack(struct packer *p, const struct sinklist *list);

/* False: malformed, a name has not 1 to NAME_MAX_BYTES bytes, or there are too many. */
bool sinklist_unpack(struct cursor *c, struct sinklist *list) MUST_CHECK;

/* The name is among them. */
bool sinklist_has(const struct sinklist *list, const char *name);

#endif
