/* schemaobjects.h: the objects of the source that a PostgreSQL sink's target needs, which are the
 * published tables that the sink takes and everything that they depend on or that belongs to them.
 */
#ifndef WALPIPE_SCHEMAOBJECTS_H
#define WALPIPE_SCHEMAOBJECTS_H

#include "walpipe/catalog.h"
#include "walpipe/renames.h"
#include "walpipe/words.h"

/* The letters that the query writes. */
enum schemaobject_kind {
    SCHEMAOBJECT_TABLE = 't',
    SCHEMAOBJECT_BASE = 'b',       /* a schema, type, function, sequence, ... that tables need */
    SCHEMAOBJECT_KEY = 'k',        /* a primary key, or the index of a replica identity */
    SCHEMAOBJECT_INDEX = 'i',      /* another index, or a constraint that has one */
    SCHEMAOBJECT_CONSTRAINT = 'c', /* a constraint that pg_dump writes apart from its table */
    SCHEMAOBJECT_REFERENCE = 'f',  /* a foreign key */
    SCHEMAOBJECT_TRIGGER = 'g',    /* a trigger, or extended statistics */
};

struct schemaobject {
    uint32_t classid, oid; /* as in the dump */
    enum schemaobject_kind kind;
    bool left_out;          /* it depends on a column that is not published */
    uint32_t relid;         /* the table it belongs to, itself for a table, 0 if none */
    uint32_t published;     /* as which table that is published, 0 if it is not */
    uint32_t published_too; /* the same of the table that a foreign key references */
    const char *attach;     /* the head of the entry that attaches it to its parent or owner, "" */
    const char *label;      /* for people, with the target's names */
    const char *target;     /* a relation's name in the target, quoted as SQL needs it, "" */
    const char *key;        /* its identity in the target, as schematarget.h has it */
    const char *drops;      /* of a table, " DROP COLUMN ..., ..." for the columns that are not
                               published, "" */
    bool sequence;
    bool inherited;  /* an index or key that a partition has since its parent has it */
    uint32_t parent; /* of a partition, 0 if none */
};

/* A schema of the target's tables. */
struct schemaobjects_schema {
    const char *name; /* quoted as SQL needs it */
    const char *key;
};

struct schemaobjects {
    struct schemaobject *list; /* ordered by classid, oid */
    size_t count;
    struct renames renames;
    struct words excluded; /* patterns for pg_dump of tables that are not needed */
    struct schemaobjects_schema *schemas;
    size_t schemas_count;
};

/* Asks the source. Everything belongs to pool. Returns 0, or -1 with err. */
int schemaobjects_read(struct schemaobjects *objects, const struct catalog *catalog,
                       const struct sink_config *sink, struct pool *pool,
                       struct err *err) MUST_CHECK;

/* NULL if there is none. */
const struct schemaobject *schemaobjects_find(const struct schemaobjects *objects, uint32_t classid,
                                              uint32_t oid);
const struct schemaobject *schemaobjects_find_head(const struct schemaobjects *objects,
                                                   const char *head);

#endif
