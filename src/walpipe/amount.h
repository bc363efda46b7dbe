/* amount.h: amounts in a readable form. */
#ifndef WALPIPE_AMOUNT_H
#define WALPIPE_AMOUNT_H

#include "lib/base.h"

struct amount_text {
    char text[32];
};

/* "0 B", "12.3 MB" */
struct amount_text amount_bytes(uint64_t bytes);

/* "5.0 s", "3 min", "2.1 h" */
struct amount_text amount_millis(uint64_t millis);

#endif
