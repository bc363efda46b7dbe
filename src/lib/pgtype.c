/* pgtype.c: see pgtype.h. Its source is src/include/catalog/pg_type.dat. */
#include "lib/pgtype.h"

#include <string.h>

/* The table includes the arrays' oids. */
static const struct {
    const char *name;
    const char *array_name;
    uint32_t oid;
    uint32_t array_oid;
} builtin[] = {
    {"bool", "bool[]", PG_BOOL, 1000},
    {"bytea", "bytea[]", PG_BYTEA, 1001},
    {"char", "char[]", PG_CHAR, 1002},
    {"name", "name[]", PG_NAME, 1003},
    {"int2", "int2[]", PG_INT2, 1005},
    {"int4", "int4[]", PG_INT4, 1007},
    {"int8", "int8[]", PG_INT8, 1016},
    {"text", "text[]", PG_TEXT, 1009},
    {"oid", "oid[]", PG_OID, 1028},
    {"json", "json[]", PG_JSON, 199},
    {"cidr", "cidr[]", PG_CIDR, 651},
    {"float4", "float4[]", PG_FLOAT4, 1021},
    {"float8", "float8[]", PG_FLOAT8, 1022},
    {"inet", "inet[]", PG_INET, 1041},
    {"bpchar", "bpchar[]", PG_BPCHAR, 1014},
    {"varchar", "varchar[]", PG_VARCHAR, 1015},
    {"date", "date[]", PG_DATE, 1182},
    {"timestamp", "timestamp[]", PG_TIMESTAMP, 1115},
    {"timestamptz", "timestamptz[]", PG_TIMESTAMPTZ, 1185},
    {"numeric", "numeric[]", PG_NUMERIC, 1231},
    {"uuid", "uuid[]", PG_UUID, 2951},
    {"jsonb", "jsonb[]", PG_JSONB, 3807},
    {"xid", "xid[]", PG_XID, 1011},
    {"cid", "cid[]", PG_CID, 1012},
    {"xml", "xml[]", PG_XML, 143},
    {"point", "point[]", PG_POINT, 1017},
    {"lseg", "lseg[]", PG_LSEG, 1018},
    {"path", "path[]", PG_PATH, 1019},
    {"box", "box[]", PG_BOX, PG_BOX_ARRAY},
    {"polygon", "polygon[]", PG_POLYGON, 1027},
    {"line", "line[]", PG_LINE, 629},
    {"circle", "circle[]", PG_CIRCLE, 719},
    {"macaddr8", "macaddr8[]", PG_MACADDR8, 775},
    {"money", "money[]", PG_MONEY, 791},
    {"macaddr", "macaddr[]", PG_MACADDR, 1040},
    {"time", "time[]", PG_TIME, 1183},
    {"interval", "interval[]", PG_INTERVAL, 1187},
    {"timetz", "timetz[]", PG_TIMETZ, 1270},
    {"bit", "bit[]", PG_BIT, 1561},
    {"varbit", "varbit[]", PG_VARBIT, 1563},
    {"pg_lsn", "pg_lsn[]", PG_LSN, 3221},
    {"jsonpath", "jsonpath[]", PG_JSONPATH, 4073},
    {"xid8", "xid8[]", PG_XID8, 271},
    {"int4range", "int4range[]", 3904, 3905},
    {"numrange", "numrange[]", 3906, 3907},
    {"tsrange", "tsrange[]", 3908, 3909},
    {"tstzrange", "tstzrange[]", 3910, 3911},
    {"daterange", "daterange[]", 3912, 3913},
    {"int8range", "int8range[]", 3926, 3927},
    {"int4multirange", "int4multirange[]", 4451, 6150},
    {"nummultirange", "nummultirange[]", 4532, 6151},
    {"tsmultirange", "tsmultirange[]", 4533, 6152},
    {"tstzmultirange", "tstzmultirange[]", 4534, 6153},
    {"datemultirange", "datemultirange[]", 4535, 6155},
    {"int8multirange", "int8multirange[]", 4536, 6157},
};

#define BUILTIN_COUNT (sizeof builtin / sizeof *builtin)

uint32_t
pgtype_element(uint32_t oid)
{
    for (size_t i = 0; i < BUILTIN_COUNT; i++)
        if (builtin[i].array_oid == oid)
            return builtin[i].oid;
    return 0;
}

const char *
pgtype_name(uint32_t oid)
{
    for (size_t i = 0; i < BUILTIN_COUNT; i++)
        if (builtin[i].oid == oid || builtin[i].array_oid == oid)
            return builtin[i].oid == oid ? builtin[i].name : builtin[i].array_name;
    return NULL;
}

/* "_name" is the array of "name". */
uint32_t
pgtype_oid(const char *type_name)
{
    bool array = type_name[0] == '_';

    for (size_t i = 0; i < BUILTIN_COUNT; i++)
        if (strcmp(builtin[i].name, type_name + array) == 0)
            return array ? builtin[i].array_oid : builtin[i].oid;
    return 0;
}

/* The typmod is precision and scale plus the length of a varlena's header. The scale has 11 bits,
 * signed since 15 (src/backend/utils/adt/numeric.c, make_numeric_typmod). */
bool
pgtype_has_precision(int32_t typmod)
{
    return typmod >= 4;
}

int32_t
pgtype_precision(int32_t typmod)
{
    return (typmod - 4) >> 16 & 0xffff;
}

int32_t
pgtype_scale(int32_t typmod)
{
    return (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
}

/* regproc, regprocedure, regoper, regoperator, regclass, regtype, regconfig, regdictionary,
 * regnamespace, regrole, regcollation. */
bool
pgtype_names_object(uint32_t oid)
{
    return oid == PG_REGPROC || (oid >= 2202 && oid <= 2206) || oid == 3734 || oid == 3769 ||
           oid == 4089 || oid == 4096 || oid == 4191;
}

bool
pgtype_names_objects(uint32_t oid)
{
    return oid == 1008 || (oid >= 2207 && oid <= 2211) || oid == 3735 || oid == 3770 ||
           oid == 4090 || oid == 4097 || oid == 4192;
}

/* Each range type with its multirange type and its subtype. */
static const struct {
    uint32_t range, multirange, element;
} ranges[] = {{3904, 4451, PG_INT4},        {3906, 4532, PG_NUMERIC}, {3908, 4533, PG_TIMESTAMP},
              {3910, 4534, PG_TIMESTAMPTZ}, {3912, 4535, PG_DATE},    {3926, 4536, PG_INT8}};

uint32_t
pgtype_range_element(uint32_t oid)
{
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i].range == oid)
            return ranges[i].element;
    return 0;
}

uint32_t
pgtype_multirange_element(uint32_t oid)
{
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i].multirange == oid)
            return ranges[i].element;
    return 0;
}
