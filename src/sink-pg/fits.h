/* fits.h: whether the target's type takes every value of the source's as it is, or says that it
 * does not. Pure: oids and typmods of built-in types. */
#ifndef SINK_PG_FITS_H
#define SINK_PG_FITS_H

#include "lib/base.h"

struct fits_type {
    uint32_t oid;
    int32_t typmod;
};

/* What the target's input function would silently take from a value, for a message: "digits would
 * be rounded away". NULL: nothing; a value that does not fit is then the server's error. */
const char *fits_loss(struct fits_type from, struct fits_type to) MUST_CHECK;

#endif
