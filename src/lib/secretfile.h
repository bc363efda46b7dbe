/* secretfile.h: files that hold a secret, such as a password or a private key. Other users must not
 * be able to read them. As with PostgreSQL's own key files, the group may read a file of root's,
 * which is how Kubernetes mounts secrets for a user that is not root. */
#ifndef WALPIPE_SECRETFILE_H
#define WALPIPE_SECRETFILE_H

#include "lib/base.h"

/* Room for the longest password and its zero byte. */
#define SECRETFILE_MAX 1024

/* Checks the file that is open as fd. kind, such as "password", and path are for the message.
 * Returns 0, or -1 with err. */
int secretfile_check(const char *kind, const char *path, int fd, struct err *err) MUST_CHECK;

/* Opens and checks the file and reads it into out, of size bytes, without line breaks at its end.
 * out is unchanged if that fails. Returns 0, or -1 with err (EXIT_REFUSED). */
int secretfile_read(const char *kind, const char *path, char *out, size_t size,
                    struct err *err) MUST_CHECK;

#endif
