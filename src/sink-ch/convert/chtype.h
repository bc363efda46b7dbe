/* chtype.h: ClickHouse's type names ("Nullable(Decimal(18, 4))") as trees, and the length of a
 * value of a type in RowBinary. Knows nothing of PostgreSQL. */
#ifndef WALPIPE_SINKCH_CONVERT_CHTYPE_H
#define WALPIPE_SINKCH_CONVERT_CHTYPE_H

#include "lib/cursor.h"

enum ch_kind {
    CH_UNSUPPORTED, /* known to exist, not written by this program */
    CH_INT,
    CH_UINT,
    CH_FLOAT,
    CH_DECIMAL,
    CH_STRING,
    CH_FIXED_STRING,
    CH_UUID,
    CH_DATE,
    CH_DATE32,
    CH_DATETIME,
    CH_DATETIME64,
    CH_BOOL,
    CH_ENUM,
    CH_IPV4,
    CH_IPV6,
    CH_JSON, /* written and read as a String, which server.c requests by a setting */
    CH_ARRAY
};

struct ch_enum_item {
    const char *name; /* may contain NULs */
    size_t len;
    int16_t number;
};

struct ch_type {
    enum ch_kind kind;
    bool nullable;
    uint32_t width;             /* bytes of a value, 0 if they vary (String, Array) */
    uint32_t precision, scale;  /* of Decimal; scale also of DateTime64 */
    struct ch_type *element;    /* Array */
    struct ch_enum_item *items; /* of Enum, one block with the names behind it */
    size_t items_count;
};

/* LowCardinality(T) and SimpleAggregateFunction(f, T) become T, because RowBinary does not show
 * them. A type that this program cannot write becomes CH_UNSUPPORTED. Returns -1 if it is malformed
 * or memory is out. */
int chtype_parse(const char *text, struct ch_type *type) MUST_CHECK;
void chtype_free(struct ch_type *type);

/* Moves past one value in RowBinary. Returns false if the bytes do not hold one. */
bool chtype_skip(const struct ch_type *type, struct cursor *c) MUST_CHECK;

/* RowBinary's length prefix (LEB128). */
bool chtype_read_length(struct cursor *c, uint64_t *out) MUST_CHECK;

#endif
