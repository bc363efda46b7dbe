/* expand.h: puts environment variables into a value of the config file. ${NAME} becomes the
 * variable's value, "$${" becomes "${", and every other $ stays. The result is not read again for
 * variables or comments. */
#ifndef WALPIPE_EXPAND_H
#define WALPIPE_EXPAND_H

#include "walpipe/pool.h"

/* A variable that a value named. */
struct variable {
    struct variable *next;
    const char *name;
    bool secret; /* in a value that may hold a password */
};

/* In a connection string a variable that is a part of a parameter's value is quoted, so that its
 * blanks and quotes mean themselves. One in the place of a parameter may hold several of them. */
enum expand_form { EXPAND_TEXT, EXPAND_CONNINFO };

/* Sets *out to the result, which is value itself if that has no "${". Adds the variables to *list,
 * each name once. Returns 0, or -1 with err, whose message lacks the place. */
int expand_value(const char *value, enum expand_form form, const char **out, struct variable **list,
                 struct pool *pool, struct err *err) MUST_CHECK;

#endif
