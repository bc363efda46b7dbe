/* lsn.h: PostgreSQL's log sequence numbers as text. */
#ifndef WALPIPE_LSN_H
#define WALPIPE_LSN_H

#include "lib/base.h"

#define LSN_TEXT_SIZE 18 /* "FFFFFFFF/FFFFFFFF" and its NUL */

struct lsn_text {
    char text[LSN_TEXT_SIZE];
};

/* "16/B374D848", as PostgreSQL prints it. */
struct lsn_text lsn_format(uint64_t lsn);

/* Two hex numbers of one to eight digits around a slash, without any other character. */
bool lsn_parse(const char *text, uint64_t *lsn) MUST_CHECK;

#endif
