/* sourcetables.h: the published tables, the relations that have their rows, and their sizes, as the
 * source has them now. For walpipe tables. */
#ifndef WALPIPE_SOURCETABLES_H
#define WALPIPE_SOURCETABLES_H

#include "walpipe/config.h"

/* A physical table, which is the published one, or a partition of it. */
struct source_part {
    uint32_t oid;
    uint32_t file;
    uint64_t blocks;
};

struct source_table {
    uint32_t relid;
    const char *schema;
    const char *name;
    struct source_part *parts;
    size_t parts_count;
};

struct sourcetables {
    bool known;
    const char *why;     /* if not known, the reason for people */
    uint64_t block_size; /* bytes */
    struct source_table *tables;
    size_t count;
};

/* The results, or the reason for a failure, are in pool. */
void sourcetables_read(struct sourcetables *source, const struct config *config, struct pool *pool);

#endif
