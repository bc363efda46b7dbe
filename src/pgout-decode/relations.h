/* relations.h: what the decoder knows of the tables and types that this session announced. A new
 * session announces them anew; nothing is kept between runs. */
#ifndef WALPIPE_RELATIONS_H
#define WALPIPE_RELATIONS_H

#include "lib/limits.h"
#include "lib/relmap.h"
#include "pgout-decode/pgoutput.h"

/* What a row needs of its table. */
struct known_relation {
    char label[2 * NAME_MAX_BYTES + 2]; /* "schema.table" */
    bool full;                          /* replica identity full */
    uint32_t columns_count;
    uint32_t key_count;          /* columns of the replica identity that the table announces */
    uint16_t *key;               /* behind hash_columns; unused under full */
    uint64_t hash_start;         /* the hash after the relid */
    uint32_t hash_columns_count; /* key columns whose bytes enter the hash, see docs/events.7 */
    struct hash_column {
        uint16_t column;
        uint32_t type_oid;
    } hash_columns[];
};

struct relations {
    struct relmap tables;
    struct relmap types;
};

/* Remembers a TYPE message. -1: out of memory. */
int relations_learn_type(struct relations *r, const struct pgoutput_type *type) MUST_CHECK;

/* Remembers a RELATION message and fills in its columns' type names. -1: out of memory. */
int relations_learn(struct relations *r, struct pgoutput_relation *relation) MUST_CHECK;

const struct known_relation *relations_find(const struct relations *r, uint32_t relid);

void relations_free(struct relations *r);

/* The key hash of a row: key columns come from row, and where they are unchanged TOAST there from
 * other (may be NULL). False when a key column's value is in neither: the row can't be identified.
 */
bool relations_key_hash(const struct known_relation *known, const struct tuple *row,
                        const struct tuple *other, uint64_t *hash) MUST_CHECK;

#endif
