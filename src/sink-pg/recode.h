/* recode.h: turns text values into the binary format that COPY takes. It is much less work for the
 * target to read (PostgreSQL 15 takes 1.5 times as many rows in the same time, rows of 100 bytes
 * and wide ones). Only for types whose text has one form under the settings of our replication
 * connection, and whose binary form is the same in every major version. The sources are the types'
 * recv functions in src/backend/utils/adt of PostgreSQL 10 to 18. */
#ifndef SINK_PG_RECODE_H
#define SINK_PG_RECODE_H

#include "lib/buf.h"

enum recode {
    RECODE_NONE, /* no way is known, so the row goes as text */
    RECODE_SAME, /* the text itself */
    RECODE_BOOL,
    RECODE_INT2,
    RECODE_INT4,
    RECODE_INT8,
    RECODE_OID,
    RECODE_FLOAT4,
    RECODE_FLOAT8,
    RECODE_NUMERIC,
    RECODE_DATE,
    RECODE_TIMESTAMP, /* with time zone and without */
    RECODE_UUID,
    RECODE_BYTEA,
    RECODE_JSONB
};

/* kind is the type's typtype. */
enum recode recode_of(uint32_t type_oid, char kind);

/* Appends the value's length and bytes. Returns false, with out unchanged, for a text that is not
 * of the form known here ('infinity', a year BC, a numeric NaN). That is no error. Not for
 * RECODE_NONE, and not for the ways whose result is as long as the text, RECODE_SAME, RECODE_BYTEA
 * and RECODE_JSONB. */
bool recode_small(struct buf *out, enum recode way, struct bytes text) MUST_CHECK;

/* The bytes of two hexadecimal digits each. Returns false if they are malformed. */
bool recode_hex(struct buf *out, struct bytes digits) MUST_CHECK;

#endif
