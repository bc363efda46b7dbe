/* statefile.h: small files of the state directory that must survive a crash. */
#ifndef WALPIPE_STATEFILE_H
#define WALPIPE_STATEFILE_H

#include "lib/base.h"

/* Longer files are refused. */
#define STATEFILE_MAX (64u << 10)

/* Writes the text to the file at path, whole or not at all. When it returns 0 the file is on disk.
 * Returns -1 with err. */
int statefile_write(const char *path, const char *text, struct err *err) MUST_CHECK;

/* Reads the file at path into *text, which ends with a NUL and belongs to the caller. *text is NULL
 * if there is no file. Returns -1 with err. */
int statefile_read(const char *path, char **text, struct err *err) MUST_CHECK;

/* Removes the file at path, if there is one. When it returns 0 the removal is on disk. Returns -1
 * with err. */
int statefile_remove(const char *path, struct err *err) MUST_CHECK;

#endif
