/* plan.h: a target table as applying needs it. The plan has the target of each source column, and
 * the way to find a row. It is read from the target's catalog, and void when the session's
 * generation changes. */
#ifndef SINK_PG_PLAN_H
#define SINK_PG_PLAN_H

#include "lib/event.h"
#include "sink-pg/catalog.h"
#include "sink-pg/notes.h"
#include "sink-pg/pipe.h"
#include "sink-pg/recode.h"
#include "sink-pg/signature.h"
#include "sink-pg/typerule.h"

/* A column that both sides have. */
struct plan_column {
    uint32_t source;   /* its place in the source's tuples */
    int16_t number;    /* in the target's catalog */
    const char *name;  /* the relation's string */
    uint32_t type_oid; /* in the target */
    struct typerule rule;
    enum recode recode;
    bool key;
    bool not_null;
    bool exact;  /* there is a `=`, and it holds for values of the same text only, so not for 1.0
                    = 1.00 */
    bool coarse; /* values that differ in the source may be equal in the target */
    uint8_t indexed; /* for MATCH_ROW, 1 + its place among the indexed columns */
    bool domain;
    bool identity_always; /* GENERATED ALWAYS AS IDENTITY */
    bool numeric;         /* or a domain over it */
    char equals[160];     /* the operator of the type's indexes for equality */
    char temp_type[160];  /* for a temporary table, without a domain's constraints */
    char type[160];
    char full_type[160]; /* with typmod */
    char base_type[160]; /* the base type of a domain, without typmod */
};

/* A column that only the target has. It keeps its values. */
struct plan_extra {
    char name[NAME_MAX_BYTES + 1];
    char domain[160]; /* its type if that is a domain, otherwise "" */
};

enum plan_match {
    MATCH_NOTHING, /* no row can be found, so only inserts can be applied */
    MATCH_KEY,
    MATCH_ROW /* all columns find one row, through an index if there is one */
};

/* The way to insert a row that may be there already. */
enum insert_way {
    INSERT_PLAINLY,   /* a row with the same key is an error */
    INSERT_OVER,      /* it replaces a row with the same key */
    INSERT_AND_NOTICE /* the same, but counts as an effect if the row with this key had other values
                       */
};

/* One prepared statement of a table, for one shape of change. */
struct plan_stmt {
    struct plan_stmt *next;
    struct stmt stmt;
    uint8_t kind;      /* the frame type of the change */
    bool key_changed;  /* for an update that sets the key columns too */
    bool upserts;      /* for an update that inserts the missing row, and then affects it */
    bool source_types; /* binary values of other types, for which the parameters have the source's
                          types */
    bool partial;      /* for an update with a mask that is not empty, which must find its row */
    bool copied;       /* unless the table is being copied */
    enum insert_way insert; /* of kind FRAME_INSERT */
    uint8_t nulls; /* of the columns that are indexed, those that are NULL in the row to find */
    uint8_t *mask; /* for an update, the columns that are not set, one byte per column */
    uint32_t params_count;
    struct plan_param {
        uint32_t column; /* of the plan */
        bool match;      /* the value that finds the row, not the new one */
    } * params;
};

/* The index that tells rows apart by exactly the columns in keys. */
enum plan_index {
    INDEX_NONE,
    INDEX_UNIQUE, /* ON CONFLICT cannot use it, because it is deferrable or WITHOUT OVERLAPS, or
                     there is a rule */
    INDEX_ARBITER
};

/* The rows of the table that COPY can take. Each step includes those before. */
enum plan_copy {
    COPIES_NOTHING, /* text and binary values are mixed */
    COPIES_TEXT,
    COPIES_BINARY, /* the types are the source's */
    COPIES_RECODED /* and text values in binary format */
};

/* Objects that act when one of the target's rows changes. If there are any, changes go one by one,
 * in the source's order. */
enum plan_fires {
    FIRES_NOTHING,
    FIRES_ACTIONS,  /* actions of foreign keys, which change other rows. From here on no row is
                       deleted for a moment and inserted again */
    FIRES_TRIGGERS, /* row triggers, which may cancel or alter a change. An update of a missing row
                       then does nothing, because a trigger may have wanted that */
    FIRES_RULES     /* statements must be plain ones, whose results tell little */
};

/* Of columns that an index helps to find. Each may double the statements. */
#define INDEXED_MAX 8

struct plan {
    uint64_t generation;
    struct signature signature; /* of the catalog that it was made from */
    char *target;               /* quoted, the relation that rows are inserted into */
    char kind;                  /* its relkind */
    uint32_t tree;              /* the oid of its partitions' root, or its own */
    char *rows; /* the same for existing rows, with ONLY for an ordinary table, because other tables
                   may inherit from it, and their rows are not its own */
    uint32_t columns_count;
    struct plan_column *columns;
    uint32_t keys_count;
    uint32_t *keys; /* places in columns */
    enum plan_match match;
    enum plan_index index;
    enum plan_copy copy;
    enum plan_fires fires;
    bool overwrites; /* an insert replaces the row that has its key, by any index. Not under FULL,
                        because a source's deferrable key may belong to two rows for a moment. Not
                        with a coarse key */
    bool met;        /* an insert has met a row of its key, and from then on they are noticed */
    bool coarse_key; /* a key's column is coarse, so the row with an equal key may be another row of
                        the source */
    uint32_t extras_count;
    struct plan_extra *extras;
    bool odd_types; /* binary values of a column must be passed as their text */
    bool verified;  /* values of a column must be verified, which COPY cannot do */
    struct plan_stmt *statements;
    uint32_t statements_count;
    char temp_name[40]; /* of the temporary table for merges, "" until it is needed */
    uint64_t temp_tx;   /* the transaction that filled it last */
};

/* The data that a plan is made from. */
struct plan_input {
    const struct relation *relation;
    const struct catalog *catalog;
    const char *label; /* the target's name, for messages */
    struct notes *notes;
};

/* Reads the catalog for schema.name. Returns NULL with err. EXIT_REFUSED is for a missing table or
 * column. notes may be NULL. */
struct plan *plan_make(struct session *s, const struct relation *relation, const char *schema,
                       const char *name, struct notes *notes, struct err *err);
void plan_free(struct plan *plan);

/* Whether inserts need OVERRIDING SYSTEM VALUE. */
bool plan_has_identity(const struct plan *plan);

/* Whether SET may name the column. It may not name one that is GENERATED ALWAYS AS IDENTITY
 * (428C9), whose new value only an insert can bring. */
bool plan_can_set(const struct plan *plan, uint32_t column);

/* Whether an insert that overwrites a row sets the column. It also sets a key's column whose equal
 * values may be written differently, such as 1.0 and 1.00. */
bool plan_overwrites(const struct plan *plan, uint32_t column);

/* Sets err for a target without the table, which label names. Always -1. */
int plan_refuse_missing(const char *label, struct err *err);

#endif
