/* sourceopt.h: options of all programs that connect to the source. */
#ifndef WALPIPE_SOURCEOPT_H
#define WALPIPE_SOURCEOPT_H

#include "lib/frame.h"
#include "lib/opt.h"

struct sourceopt_publications {
    uint32_t count;
    char names[PUBLICATIONS_MAX][NAME_MAX_BYTES + 1];
};

/* For opt_spec.take, of a const char * at offset. Takes a conninfo, which must not have a
 * password. */
int sourceopt_conninfo(const struct opt_spec *spec, const char *value, void *options,
                       struct err *err) MUST_CHECK;

/* The same for a struct sourceopt_publications. Adds NAME[,NAME]. */
int sourceopt_publications(const struct opt_spec *spec, const char *value, void *options,
                           struct err *err) MUST_CHECK;

#endif
