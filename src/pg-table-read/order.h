/* order.h: the order to read a range. */
#ifndef WALPIPE_PGTABLEREAD_ORDER_H
#define WALPIPE_PGTABLEREAD_ORDER_H

#include "lib/copyevent.h"
#include "lib/keyhash.h"
#include "lib/spans.h"
#include "pg-table-read/catalog.h"
#include "pg-table-read/missing.h"

struct life;

/* Its life exists longer than the order, and owns the data that the order points to. */
struct range_order {
    struct life *owner;
    uint64_t life;
    uint64_t number;
    const struct relation *relation;
    const struct keyhash *hash;
    const struct catalog_part *part;
    enum range_kind kind;
    struct span span;      /* RANGE_BLOCKS */
    uint64_t blocks;       /* of the table, when last seen */
    uint64_t density;      /* bytes of rows in a block, 0 if not known */
    uint32_t piece_blocks; /* of a COPY without ctids, see pieces.h; 0: one COPY with them */
    struct keybatch keys;  /* for RANGE_KEYS, at least one; freed by the holder of the order */
    const char *match;     /* for RANGE_KEYS, from keysql_match */
    uint32_t file;         /* that of the other ranges, 0 if there is none yet */
    uint32_t pass;         /* see lives.h */
    uint64_t floor;
    const char *snapshot; /* exported, of a table without a key; NULL: the range takes its own */
    uint64_t mark;        /* of that snapshot */
};

#endif
