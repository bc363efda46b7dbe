/* lastwords.h: why a program ended, in its own words: log_failure writes them into the file that
 * LOG_LAST_WORDS names in its environment. */
#ifndef WALPIPE_LASTWORDS_H
#define WALPIPE_LASTWORDS_H

#include "lib/base.h"

/* Before the program starts: what an earlier one left is not its own. NULL: it leaves none. */
void lastwords_forget(const char *path);

/* Fills message, hint and neighbour of words; message "": it left none. */
void lastwords_read(const char *path, struct err *words);

#endif
