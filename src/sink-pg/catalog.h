/* catalog.h: reads the description of a table from the target's catalog. Judges nothing. */
#ifndef SINK_PG_CATALOG_H
#define SINK_PG_CATALOG_H

#include "sink-pg/session.h"

#define INDEX_COLUMNS_MAX 32

/* Strings belong to the query results and are valid as long as the struct catalog. */
struct catalog_column {
    const char *name;
    int16_t number;
    bool not_null;
    bool required; /* an insert without it fails, because it is NOT NULL (itself, its domain or a
                      partition) and has no default */
    bool generated;
    bool identity_always; /* GENERATED ALWAYS AS IDENTITY */
    char kind;            /* the type's typtype */
    uint32_t type_oid;
    uint32_t base_type_oid; /* the innermost base type of a domain, otherwise type_oid */
    int32_t base_typmod;
    char base_kind;        /* typtype of that */
    const char *base_name; /* its name, bare, for a comparison with the source's */
    const char *base_type; /* as SQL, without typmod */
    const char *parts;     /* every type that is in a value, for catalog_part */
    uint32_t part_oid; /* the type that is compared, of an array's elements, otherwise type_oid */
    char part_kind;    /* its typtype */
    bool byte_order;   /* no collation, or one under which only equal bytes are equal */
    const char *type;  /* as SQL, without typmod */
    const char *full_type; /* with it */
    const char *temp_type; /* for a temporary table, without a domain's constraints */
    const char *equals;    /* the operator of the type's indexes for equality */
};

/* An index that is valid for all rows. */
struct catalog_index {
    bool unique;   /* and no two rows are equal in all its columns, by their own collations */
    bool searches; /* its method finds equal values */
    bool primary;
    bool immediate;
    bool exclusion; /* PRIMARY KEY or UNIQUE ... WITHOUT OVERLAPS */
    uint32_t count;
    int16_t columns[INDEX_COLUMNS_MAX]; /* their numbers, 0 for an expression */
};

struct catalog {
    char kind;     /* the table's relkind */
    uint32_t tree; /* the root of its partitions, or its own oid if it is not partitioned */
    /* Names of triggers and rules that fire in this session, also on partitions and behind a view.
     * NULL if none does. */
    const char *row_triggers;
    const char *statement_triggers;
    const char *rules;
    bool update_rules;     /* there is one, though it may not fire, and the server then refuses ON
                              CONFLICT */
    bool cascades;         /* if a row goes or gets another key, foreign keys change other rows */
    const char *swallowed; /* INSTEAD OF triggers that do not fire; the server then ignores a row
                              and reports success. NULL if there is none */
    struct catalog_column *columns;
    uint32_t columns_count;
    struct catalog_index *indexes;
    uint32_t indexes_count;
    PGresult *answers[3];
};

/* A type within a column's type. It is the type itself, the base type of a domain, or the type of
 * an array's elements, a composite's attributes or a range's bounds. */
struct catalog_part {
    uint32_t oid;
    int32_t typmod;
    char kind;      /* typtype */
    bool container; /* an array */
    bool outermost; /* the type itself, or its base type for a domain */
};

/* Takes the next part from *parts. Returns false after the last. */
bool catalog_part(const char **parts, struct catalog_part *part);

/* Returns 1 if the table is there, 0 if it is not, or -1 with err. Call catalog_free after any of
 * them. */
int catalog_read(struct session *s, const char *schema, const char *name, struct catalog *out,
                 struct err *err) MUST_CHECK;
void catalog_free(struct catalog *c);

#endif
