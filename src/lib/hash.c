/* hash.c: see hash.h. */
#include "lib/hash.h"

bool
hash_type_is_canonical(uint32_t type_oid)
{
    /* Built-in type oids never change: src/include/catalog/pg_type.dat. */
    switch (type_oid) {
    case 16:   /* bool */
    case 17:   /* bytea */
    case 18:   /* "char" */
    case 19:   /* name */
    case 20:   /* int8 */
    case 21:   /* int2 */
    case 23:   /* int4 */
    case 25:   /* text */
    case 26:   /* oid */
    case 1043: /* varchar */
    case 1082: /* date */
    case 1083: /* time */
    case 1114: /* timestamp */
    case 1184: /* timestamptz */
    case 2950: /* uuid */
        return true;
    default:
        return false;
    }
}
