/* nofile.h: the limit of open files (RLIMIT_NOFILE), which walpipe's programs inherit. */
#ifndef WALPIPE_NOFILE_H
#define WALPIPE_NOFILE_H

#include "lib/base.h"

/* Ensures that a pipeline of so many workers has enough, and raises the limit if it may. Returns -1
 * with err if a person must raise it. */
int nofile_ensure(uint32_t workers, struct err *err) MUST_CHECK;

#endif
