/* lastwords.h: the error with which a program ended. log_failure writes it into the file that the
 * environment variable LOG_LAST_WORDS names. */
#ifndef WALPIPE_LASTWORDS_H
#define WALPIPE_LASTWORDS_H

#include "lib/base.h"

/* Call it before the program starts, to remove the reason of an earlier one. NULL if the program
 * writes none. */
void lastwords_forget(const char *path);

/* Fills message, hint and neighbour of words. message is "" if the program left none. */
void lastwords_read(const char *path, struct err *words);

#endif
