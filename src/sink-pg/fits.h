/* fits.h: whether the target's type takes every value of the source's unchanged, or reports an
 * error. Pure. It knows oids and typmods of built-in types. An array is judged by its elements, a
 * range by its bounds. */
#ifndef SINK_PG_FITS_H
#define SINK_PG_FITS_H

#include "lib/base.h"

/* The typmod of a domain's base type, which the stream does not contain. */
#define FITS_TYPMOD_UNKNOWN (-2)

struct fits_type {
    uint32_t oid; /* 0 for an unknown type */
    int32_t typmod;
};

/* The part of a value that the target's input function would silently drop, for a message, as in
 * "digits would be rounded away". NULL if the types show no such loss. The server then reports an
 * error for a value that does not fit. */
const char *fits_loss(struct fits_type from, struct fits_type to) MUST_CHECK;

/* Whether the target's input function silently drops a part of some texts. Not for an array or a
 * range, whose parts are checked instead. */
bool fits_may_lose(struct fits_type to) MUST_CHECK;

/* Whether it may do so with values of the source's type, although fits_loss found nothing. The
 * source's type is then text, or not known well enough. */
bool fits_unproven(struct fits_type from, struct fits_type to) MUST_CHECK;

#endif
