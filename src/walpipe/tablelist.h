/* tablelist.h: the progress of each published table into one sink, from the target's notes and the
 * source's sizes. Pure. It asks nobody. */
#ifndef WALPIPE_TABLELIST_H
#define WALPIPE_TABLELIST_H

#include "walpipe/sinknotes.h"
#include "walpipe/sourcetables.h"

struct table_progress {
    uint32_t relid;
    const char *schema;
    const char *name;
    const char *state; /* waiting, copying, resync, parked or streaming, the least advanced state of
                          its workers; detached, if its sink is */
    const struct copynote *parked; /* NULL if it is not */
    bool published;                /* false if the source is not known */
    bool copied;      /* a life of it has begun, and the fields below are about its copy */
    bool behind;      /* rows of the target are in the way of its changes, so it shows none */
    bool sized;       /* the source reports its size */
    uint64_t l0;      /* the highest position at which a worker's first life began */
    uint64_t rows;    /* written by all workers */
    uint64_t blocks;  /* of all parts, when sized */
    uint64_t done;    /* of these, the ones that all workers have */
    uint64_t missing; /* keys of rows that must be read again */
    uint64_t updated; /* when a note of it was last written, in microseconds since 1970 */
    double speed;     /* blocks per second, negative if not known */
    double rows_speed;
};

struct tablelist {
    const struct sink_config *sink;
    bool known;
    enum exit_code code; /* not known, as in struct sinknotes */
    const char *why;
    uint64_t lsn; /* the sink's position, 0 if none */
    bool settled; /* this and the next two as in struct copynote */
    uint64_t system;
    uint32_t timeline;
    uint64_t block_size;           /* 0 if the source is not known */
    struct table_progress *tables; /* tables that are being copied first, then those that wait */
    size_t count;
    size_t streaming, copying, resync, parked; /* tables */
    /* Of the notes: changes that tables lack because they were skipped, and skips that are not
       passed yet. */
    const struct copynote *lacks;
    size_t lacks_count;
    const struct copynote *skips;
    size_t skips_count;
    /* Of all that were, are or will be copied. */
    uint64_t blocks, done;
    double speed;
};

/* Memory belongs to pool, texts to source and notes. */
void tablelist_make(struct tablelist *list, const struct sink_config *sink,
                    const struct sourcetables *source, const struct sinknotes *notes,
                    struct pool *pool);

/* Sets the speeds, from an earlier list that was read `between` seconds before, or longer. */
void tablelist_speeds(struct tablelist *list, const struct tablelist *before, double between);

/* Seconds until that many blocks are done, negative if not known. */
double tablelist_seconds(uint64_t blocks, double speed);

#endif
