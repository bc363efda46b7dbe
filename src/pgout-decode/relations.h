/* relations.h: the tables and types that this session announced. A new session announces them anew,
 * so nothing is kept between runs. */
#ifndef WALPIPE_RELATIONS_H
#define WALPIPE_RELATIONS_H

#include "lib/keyhash.h"
#include "lib/limits.h"
#include "lib/relmap.h"
#include "pgout-decode/pgoutput.h"

/* The data about a table that its rows need. */
struct known_relation {
    char label[2 * NAME_MAX_BYTES + 2]; /* "schema.table" */
    bool full;                          /* replica identity full */
    uint32_t columns_count;
    uint32_t key_count; /* columns of the replica identity that the table announces */
    struct keyhash hash;
    uint16_t key[]; /* unused under full */
};

struct relations {
    struct relmap tables;
    struct relmap types;
};

/* Remembers a TYPE message. Returns -1 when memory is out. */
int relations_learn_type(struct relations *r, const struct pgoutput_type *type) MUST_CHECK;

/* Remembers a RELATION message and fills in its columns' type names. Returns -1 when memory is
 * out. */
int relations_learn(struct relations *r, struct pgoutput_relation *relation) MUST_CHECK;

const struct known_relation *relations_find(const struct relations *r, uint32_t relid);

void relations_free(struct relations *r);

#endif
