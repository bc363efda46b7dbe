/* form.h: SQL of PostgreSQL for the canonical texts of columns (docs/design.md). Pure. */
#ifndef WALPIPE_COMPARE_FORM_H
#define WALPIPE_COMPARE_FORM_H

#include "walpipe/compare/columns.h"

/* The two sides of a column. Texts are in a pool. */
struct form {
    const char *source; /* SQL of the canonical text, or of a value whose output is this text; NULL
                           if the column cannot be compared */
    const char *target; /* NULL in ClickHouse, where sink-ch knows it */
    const char *source_length, *target_length; /* SQL, NULL if the text is not counted */
    const char *why;                           /* not compared */
};

/* The servers, whose versions and encodings matter. */
struct form_servers {
    int source_version, target_version;
    bool source_utf8, target_utf8;
};

/* For a target of PostgreSQL. */
void form_pair(struct form *form, const struct column *source, const struct column *target,
               const struct form_servers *servers, struct pool *pool);

/* The column as SQL, in a table that is named t. */
const char *form_reference(const struct column *column, struct pool *pool);

/* Parts of canonical texts, of which NULL gives NULL. They are the output function's text, this
 * text read as another type, the bytes of a text, a numeric without zeros at the end of its
 * fraction, a column's value as such a number, and the bits of a floating point number, of which
 * NaN has many. */
const char *form_output(const char *reference, struct pool *pool);
const char *form_cast(const char *reference, const char *type, struct pool *pool);
const char *form_length(const char *text, bool utf8, struct pool *pool);
const char *form_trimmed(const char *numeric, int version, struct pool *pool);
const char *form_number(const struct column *column, int version, struct pool *pool);
const char *form_float_bits(const char *number, bool wide, struct pool *pool);
const char *form_bits(const struct column *column, bool wide, struct pool *pool);

/* Whether the value's text can be read as the same value by the other side, so that a row can be
 * found by it. */
bool form_finds(const struct column *source, const struct column *target);

bool form_is_integer(uint32_t oid);
bool form_is_text(uint32_t oid);

#endif
