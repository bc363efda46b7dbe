/* sqltoken.h: cuts the SQL that pg_dump writes into tokens, so that a name is never taken for a
 * part of a string or of a function's body. */
#ifndef WALPIPE_SQLTOKEN_H
#define WALPIPE_SQLTOKEN_H

#include "lib/base.h"

enum sqltoken_kind {
    SQLTOKEN_END,
    SQLTOKEN_NAME,    /* a bare word or a quoted name, quotes included */
    SQLTOKEN_STRING,  /* '...', with its quotes; without a backslash that escapes */
    SQLTOKEN_COMMENT, /* -- to the end of the line, without the line break */
    SQLTOKEN_OTHER    /* blanks, a character, or a string in dollars or with escapes */
};

struct sqltoken {
    enum sqltoken_kind kind;
    const char *start;
    size_t len;
};

/* Takes the token at *at and moves *at behind it. The text ends with a NUL. */
void sqltoken_next(const char **at, struct sqltoken *token);

/* Whether the token is that one character. */
bool sqltoken_is(const struct sqltoken *token, char c);

#endif
