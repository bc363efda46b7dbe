/* ctid.h: where a row of a heap is, and its text: "(block,line)". PostgreSQL counts lines from 1.
 */
#ifndef WALPIPE_CTID_H
#define WALPIPE_CTID_H

#include "lib/base.h"

struct ctid {
    uint32_t block;
    uint16_t line;
};

/* A ctid at *at, which moves behind it. False: there is none, as PostgreSQL prints it. */
bool ctid_parse(const uint8_t **at, const uint8_t *end, struct ctid *ctid) MUST_CHECK;

struct ctid_text {
    char text[20];
};
struct ctid_text ctid_format(struct ctid ctid);

#endif
