/* ctid.h: the position of a row in a heap, and its text "(block,line)". PostgreSQL counts lines
 * from 1. */
#ifndef WALPIPE_CTID_H
#define WALPIPE_CTID_H

#include "lib/base.h"

struct ctid {
    uint32_t block;
    uint16_t line;
};

/* Parses a ctid at *at, as PostgreSQL prints it, and moves *at behind it. Returns false if there is
 * none. */
bool ctid_parse(const uint8_t **at, const uint8_t *end, struct ctid *ctid) MUST_CHECK;

struct ctid_text {
    char text[20];
};
struct ctid_text ctid_format(struct ctid ctid);

#endif
