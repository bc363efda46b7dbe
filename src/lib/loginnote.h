/* loginnote.h: notes whether a login has worked before. A login that is refused at the first
 * attempt is a mistake in the config, which only a person can correct. If it worked before,
 * somebody changed it at the server, for example with a new password. It may work again at any
 * moment, so it is tried again. The note is a file, because the program whose login is refused may
 * be another one than the program whose login worked. The program that starts a pipeline removes
 * the file first. */
#ifndef WALPIPE_LOGINNOTE_H
#define WALPIPE_LOGINNOTE_H

#include "lib/base.h"

/* Set path, zero the rest. */
struct loginnote {
    const char *path; /* NULL if only this process knows */
    bool worked;
};

/* The login has worked. A note that cannot be written is dropped. */
void loginnote_worked(struct loginnote *note);

/* Call it after a login that failed with err. If the login has worked before, turns EXIT_REFUSED
 * into EXIT_PEER, adds that to the message, and returns true. */
bool loginnote_forgives(const struct loginnote *note, struct err *err);

#endif
