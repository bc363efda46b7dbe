/* tablelist.h: of each published table what is known of its way into one sink: the target's notes
 * beside what the source has. Pure: it asks nobody. */
#ifndef WALPIPE_TABLELIST_H
#define WALPIPE_TABLELIST_H

#include "walpipe/sinknotes.h"
#include "walpipe/sourcetables.h"

struct table_progress {
    uint32_t relid;
    const char *schema;
    const char *name;
    const char
        *state;       /* waiting, copying, streaming; what some worker has not, the table has not */
    bool published;   /* false where the source is not known */
    bool copied;      /* a life of it has begun: what is below is of a copy */
    bool sized;       /* the source says how large it is */
    uint64_t l0;      /* the highest position at which a worker's first life began */
    uint64_t rows;    /* written by all workers */
    uint64_t blocks;  /* of all parts, when sized */
    uint64_t done;    /* of these, what all workers have */
    uint64_t missing; /* keys of rows that are to be read again */
    uint64_t updated; /* when a note of it was last written; microseconds since 1970 */
    double speed;     /* blocks per second; negative: not known */
    double rows_speed;
};

struct tablelist {
    const struct sink_config *sink;
    bool known;
    enum exit_code code; /* not known, as struct sinknotes has it */
    const char *why;
    uint64_t lsn;                  /* the sink's position; 0: none */
    uint64_t block_size;           /* 0: the source is not known */
    struct table_progress *tables; /* those that are copied first, then those that wait */
    size_t count;
    size_t streaming, copying; /* tables */
    /* Of all that were, are or will be copied. */
    uint64_t blocks, done;
    double speed;
};

/* Memory is pool's, texts are those of source and notes. */
void tablelist_make(struct tablelist *list, const struct sink_config *sink,
                    const struct sourcetables *source, const struct sinknotes *notes,
                    struct pool *pool);

/* Sets the speeds, from what the list was earlier. */
void tablelist_speeds(struct tablelist *list, const struct tablelist *before);

/* Seconds until so many blocks are done; negative: not known. */
double tablelist_seconds(uint64_t blocks, double speed);

#endif
