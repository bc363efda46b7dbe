/* pgtype.h: PostgreSQL's built-in types, their oids, names, arrays and typmods. */
#ifndef WALPIPE_PGTYPE_H
#define WALPIPE_PGTYPE_H

#include "lib/base.h"

/* oids of PostgreSQL's built-in types, from pg_type.dat. They never change. */
enum pg_oid {
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_CHAR = 18,
    PG_NAME = 19,
    PG_INT8 = 20,
    PG_INT2 = 21,
    PG_INT4 = 23,
    PG_REGPROC = 24,
    PG_TEXT = 25,
    PG_OID = 26,
    PG_XID = 28,
    PG_CID = 29,
    PG_JSON = 114,
    PG_XML = 142,
    PG_POINT = 600,
    PG_LSEG = 601,
    PG_PATH = 602,
    PG_BOX = 603,
    PG_POLYGON = 604,
    PG_LINE = 628,
    PG_CIDR = 650,
    PG_FLOAT4 = 700,
    PG_FLOAT8 = 701,
    PG_CIRCLE = 718,
    PG_MACADDR8 = 774,
    PG_MONEY = 790,
    PG_MACADDR = 829,
    PG_INET = 869,
    PG_BOX_ARRAY = 1020,
    PG_BPCHAR = 1042,
    PG_VARCHAR = 1043,
    PG_DATE = 1082,
    PG_TIME = 1083,
    PG_TIMESTAMP = 1114,
    PG_TIMESTAMPTZ = 1184,
    PG_INTERVAL = 1186,
    PG_TIMETZ = 1266,
    PG_BIT = 1560,
    PG_VARBIT = 1562,
    PG_NUMERIC = 1700,
    PG_UUID = 2950,
    PG_LSN = 3220,
    PG_TSVECTOR = 3614,
    PG_JSONB = 3802,
    PG_JSONPATH = 4072,
    PG_XID8 = 5069
};

/* Types above were created by a user (FirstNormalObjectId). */
#define PGTYPE_USER_FIRST 16384

/* numeric(p,s), from its typmod. The others need pgtype_has_precision. A scale may be negative. */
bool pgtype_has_precision(int32_t typmod);
int32_t pgtype_precision(int32_t typmod);
int32_t pgtype_scale(int32_t typmod);

/* regclass and similar types, whose binary format is the oid of an object in the source's catalog,
 * and arrays of them. */
bool pgtype_names_object(uint32_t oid);
bool pgtype_names_objects(uint32_t oid);

/* Types from here on are announced in the stream, a domain by its base type (FirstGenbkiObjectId).
 */
#define PGTYPE_ANNOUNCED_FIRST 10000

/* The element type of a built-in range or multirange type, 0 if oid is none. */
uint32_t pgtype_range_element(uint32_t oid);
uint32_t pgtype_multirange_element(uint32_t oid);

/* The element type of a built-in array type, 0 if oid is none. */
uint32_t pgtype_element(uint32_t oid);

/* The name of a built-in type that pgtype_oid knows, such as "int4[]" for an array. NULL for
 * others. */
const char *pgtype_name(uint32_t oid);

/* The oid of a built-in type by its name, for domains over it. 0 if this table lacks it. */
uint32_t pgtype_oid(const char *type_name);

#endif
