/* canon.h: the kinds of canonical texts in which walpipe compare reads the values of a column on
 * both sides, and the words for them between walpipe and sink-ch --compare (docs/design.md). */
#ifndef WALPIPE_CANON_H
#define WALPIPE_CANON_H

#include "lib/base.h"

enum canon {
    CANON_NONE,    /* the column cannot be compared */
    CANON_TEXT,    /* the text of the type's output function */
    CANON_LABEL,   /* the same of an Enum, which sorts otherwise */
    CANON_BYTES,   /* bytes in hex */
    CANON_FIXED,   /* the same, filled up with zero bytes to a width */
    CANON_INTEGER, /* a whole number */
    CANON_DECIMAL, /* a number without zeros at the end of its fraction */
    CANON_FLOAT4,  /* the bits of an IEEE 754 number as a signed whole number, or NaN */
    CANON_FLOAT8,
    CANON_UUID,
    CANON_DAYS,    /* since 1970-01-01 */
    CANON_SECONDS, /* since 1970-01-01 UTC */
    CANON_TIME,    /* 2026-01-01 00:00:00.5, in UTC, without zeros at the end of its fraction */
    CANON_IPV4,
    CANON_IPV6 /* IPv4 addresses as ::ffff:10.1.2.3 */
};

/* What a column holds for a value that its type cannot hold. */
enum canon_fit {
    CANON_STRICT, /* nothing, so there is no such value */
    CANON_CLAMP,  /* the nearest value of the type */
    CANON_FITTING /* NULL */
};

/* Digits, a sign and a point of the longest number. */
#define CANON_LIMIT_SIZE 96

/* A column of ClickHouse, or the elements of one that is an Array. The limits are the lowest and
 * the highest canonical text, empty where the canon has none. They only matter if the column is not
 * strict. */
struct canon_column {
    enum canon canon;
    enum canon_fit fit;
    bool array;
    uint32_t width; /* bytes of a FixedString */
    uint32_t scale; /* digits behind the point */
    char low[CANON_LIMIT_SIZE], high[CANON_LIMIT_SIZE];
};

/* Whether the text has only characters of numbers and times, so that SQL may quote it. */
bool canon_limit_is_plain(const char *limit);

const char *canon_word(enum canon canon);

/* CANON_NONE for a word that is not known. */
enum canon canon_find(const char *word);

/* Whether the text can be empty or have any character, so that the row's text has its length
 * too. */
bool canon_counted(enum canon canon);

#endif
