/* sinknotes.h: the notes in a sink's target about the tables that are copied to it. The sink's own
 * program, which knows the target's dialect, reads them. */
#ifndef WALPIPE_SINKNOTES_H
#define WALPIPE_SINKNOTES_H

#include "lib/copynote.h"
#include "walpipe/config.h"

struct sinknotes {
    bool known;
    enum exit_code code;    /* if not known, the exit code; EXIT_DONE if nothing is wrong */
    const char *why;        /* if not known, the reason for people */
    struct copynote sink;   /* set if known */
    struct copynote *parts; /* ordered by relid, part, shard */
    size_t parts_count;
    struct copynote *missing;
    size_t missing_count;
    struct copynote *lacks; /* ordered by relid */
    size_t lacks_count;
    struct copynote *skips;
    size_t skips_count;
    struct copynote *parked;
    size_t parked_count;
};

/* Asks the program in the directory programs. The results are in pool. */
void sinknotes_read(struct sinknotes *notes, const struct config *config,
                    const struct sink_config *sink, const char *programs, struct pool *pool);

#endif
