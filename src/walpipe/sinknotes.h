/* sinknotes.h: what the target of a sink has noted about the tables that are copied to it. Its
 * dialect is the sink's own program's, which is asked. */
#ifndef WALPIPE_SINKNOTES_H
#define WALPIPE_SINKNOTES_H

#include "lib/copynote.h"
#include "walpipe/config.h"

struct sinknotes {
    bool known;
    enum exit_code code;    /* not known: what to exit with; EXIT_DONE: nothing is wrong */
    const char *why;        /* not known: for people */
    struct copynote sink;   /* known */
    struct copynote *parts; /* ordered by relid, part, shard */
    size_t parts_count;
    struct copynote *missing;
    size_t missing_count;
};

/* Asks the program in the directory programs. What was read lives in pool. */
void sinknotes_read(struct sinknotes *notes, const struct config *config,
                    const struct sink_config *sink, const char *programs, struct pool *pool);

#endif
