/* sourcetables.h: the published tables, where their rows are and how much that is, as the source
 * has it now: for walpipe tables. */
#ifndef WALPIPE_SOURCETABLES_H
#define WALPIPE_SOURCETABLES_H

#include "walpipe/config.h"

/* A physical table: the published one, or a partition of it. */
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
    const char *why;     /* not known: for people */
    uint64_t block_size; /* bytes */
    struct source_table *tables;
    size_t count;
};

/* What was read, and what kept us from it, lives in pool. */
void sourcetables_read(struct sourcetables *source, const struct config *config, struct pool *pool);

#endif
