/* keyrows.h: the answer to a range of keys, which is a row, or none, for each. */
#ifndef WALPIPE_PGTABLEREAD_KEYROWS_H
#define WALPIPE_PGTABLEREAD_KEYROWS_H

#include "pg-table-read/rowpack.h"

/* Zero-initialise to use. */
struct keyrows {
    bool answered[KEYBATCH_MAX];
    uint32_t left; /* keys without an answer so far */
    struct rowpack absent;
    uint64_t absent_count; /* of the range, also in frames that were written */
};

/* Begins to read order's keys. */
void keyrows_begin(struct keyrows *k, const struct range_order *order);

/* Whether there is a row for the key whose number is the first of fields. The row follows. The key
 * is absent if there is none, or if the row's key is equal and has another text. Returns 0, or -1
 * with err. */
int keyrows_take(struct keyrows *k, const struct range_order *order, const struct value *fields,
                 bool *found, struct buf *frames, struct err *err) MUST_CHECK;

/* Makes left the keys that were not answered. Returns -1 when memory is out. */
int keyrows_left(const struct keyrows *k, const struct range_order *order,
                 struct keybatch *left) MUST_CHECK;

void keyrows_free(struct keyrows *k);

#endif
