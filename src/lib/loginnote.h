/* loginnote.h: whether a login has worked before. A login that is refused at the first attempt is a
 * mistake in the config, which only a person can mend. One that worked before was changed at the
 * server, as by a new password: it may work again at any moment, so it is tried again. The note is
 * a file, since the program that finds the login refused may be another one than found it well.
 * Whoever starts a pipeline removes the file before. */
#ifndef WALPIPE_LOGINNOTE_H
#define WALPIPE_LOGINNOTE_H

#include "lib/base.h"

/* Set path, zero the rest. */
struct loginnote {
    const char *path; /* NULL: only this process knows */
    bool worked;
};

/* The login has worked. What cannot be written is not noted. */
void loginnote_worked(struct loginnote *note);

/* After a login that failed with err: makes EXIT_PEER of EXIT_REFUSED, and says so, where it has
 * worked before. True when it did. */
bool loginnote_forgives(const struct loginnote *note, struct err *err);

#endif
