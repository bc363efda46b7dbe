/* sourceopt.h: options that all programs have which connect to the source. */
#ifndef WALPIPE_SOURCEOPT_H
#define WALPIPE_SOURCEOPT_H

#include "lib/frame.h"
#include "lib/opt.h"

struct sourceopt_publications {
    uint32_t count;
    char names[PUBLICATIONS_MAX][NAME_MAX_BYTES + 1];
};

/* For opt_spec.take, of a const char * at offset: a conninfo, in which no password may stand. */
int sourceopt_conninfo(const struct opt_spec *spec, const char *value, void *options,
                       struct err *err) MUST_CHECK;

/* The same of a struct sourceopt_publications: adds NAME[,NAME]. */
int sourceopt_publications(const struct opt_spec *spec, const char *value, void *options,
                           struct err *err) MUST_CHECK;

#endif
