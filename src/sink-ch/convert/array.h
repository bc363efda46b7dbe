/* array.h: the parts of PostgreSQL's array text, {a,"b c",NULL} and {{1,2},{3,4}}. Knows no type.
 */
#ifndef WALPIPE_SINKCH_CONVERT_ARRAY_H
#define WALPIPE_SINKCH_CONVERT_ARRAY_H

#include "lib/buf.h"

struct array_text {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t delimiter;
};

struct array_item {
    bool is_null;
    struct bytes text; /* in the buffer that array_element was given */
};

/* True, and moves past it, when c comes next. */
bool array_take(struct array_text *a, uint8_t c) MUST_CHECK;

/* Items up to the brace that closes the one before a->at, or -1 if there is none. */
int64_t array_count(const struct array_text *a);

/* Reads one element up to its delimiter or the closing brace, where a->at then is. Returns false if
 * it is malformed. */
bool array_element(struct array_text *a, struct buf *into, struct array_item *item) MUST_CHECK;

#endif
