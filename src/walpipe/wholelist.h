/* wholelist.h: the tables of the running pipeline that go to one worker as a whole, from the files
 * that route has read (layoutfile.h). */
#ifndef WALPIPE_WHOLELIST_H
#define WALPIPE_WHOLELIST_H

#include "walpipe/config.h"

struct whole_table {
    const char *sink;
    const char *table; /* of the source, "*" for all */
    const char *reason;
};

struct wholelist {
    struct whole_table *tables;
    size_t count;
    size_t size;
};

/* For all sinks with several workers. Strings and memory are the pool's. A missing file has no
 * entries. */
void wholelist_read(struct wholelist *list, const struct config *config, struct pool *pool);

#endif
