/* plan.h: a target table as applying needs it: which source column goes where, and how a row is
 * found. Read from the target's catalog; void when the session's generation changes. */
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
    bool exact;  /* `=` holds for values of the same text only: no 1.0 = 1.00, and there is a `=` */
    bool coarse; /* values that differ in the source may be equal in the target */
    uint8_t indexed; /* MATCH_ROW: 1 + its place among the columns that an index helps to find */
    bool domain;
    bool identity_always; /* GENERATED ALWAYS AS IDENTITY */
    bool numeric;         /* or a domain over it */
    char equals[160];     /* the operator that the type's indexes call equal */
    char temp_type[160];  /* in a temporary table: without a domain's constraints */
    char type[160];
    char full_type[160]; /* with typmod */
    char base_type[160]; /* what a domain is over, without typmod */
};

/* A column that only the target has: it keeps its values. */
struct plan_extra {
    char name[NAME_MAX_BYTES + 1];
    char domain[160]; /* its type, where that is a domain; else "" */
};

enum plan_match {
    MATCH_NOTHING, /* no way to name a row: only inserts can be applied */
    MATCH_KEY,
    MATCH_ROW /* all columns, one row; through an index where there is one */
};

/* How a row is put in that may be there. */
enum insert_way {
    INSERT_PLAINLY,   /* a row of its key is an error */
    INSERT_OVER,      /* it takes the place of a row of its key */
    INSERT_AND_NOTICE /* the same; affects the row of its key that had other values */
};

/* One prepared statement of a table, for one shape of change. */
struct plan_stmt {
    struct plan_stmt *next;
    struct stmt stmt;
    uint8_t kind;           /* the frame type of the change */
    bool key_changed;       /* update: the key columns are set too */
    bool upserts;           /* update: it inserts, and then affects, the row it misses */
    bool source_types;      /* binary values of other types: parameters have the source's */
    bool partial;           /* update: the mask is not empty: must find its row */
    bool copied;            /* unless the table is being copied */
    enum insert_way insert; /* of kind FRAME_INSERT */
    uint8_t nulls; /* of the columns that are indexed: those that are NULL in the row to find */
    uint8_t *mask; /* update: the columns that are left alone, one byte each */
    uint32_t params_count;
    struct plan_param {
        uint32_t column; /* of the plan */
        bool match;      /* the value that finds the row, not the new one */
    } * params;
};

/* The index that tells rows apart by exactly the columns in keys. */
enum plan_index {
    INDEX_NONE,
    INDEX_UNIQUE, /* ON CONFLICT cannot use it: it is deferrable or WITHOUT OVERLAPS, or there is a
                     rule */
    INDEX_ARBITER
};

/* What COPY can take of the table's rows; each step includes those before. */
enum plan_copy {
    COPIES_NOTHING, /* text and binary values stand side by side */
    COPIES_TEXT,
    COPIES_BINARY, /* the types are the source's */
    COPIES_RECODED /* and text values in binary format */
};

/* What the target does when one of its rows changes: where it does anything, changes go one by one,
 * in the source's order. */
enum plan_fires {
    FIRES_NOTHING,
    FIRES_ACTIONS,  /* of foreign keys: they change other rows. From here on no row goes for a
                       moment to come back */
    FIRES_TRIGGERS, /* row triggers: they may cancel or change it. An update whose row is not there
                       then does nothing: a trigger may have wanted that */
    FIRES_RULES     /* statements must be plain ones, and say little of what they did */
};

/* Of columns that an index helps to find: each may double the statements. */
#define INDEXED_MAX 8

struct plan {
    uint64_t generation;
    struct signature signature; /* of the catalog that it was made from */
    char *target;               /* quoted: where rows come in */
    char kind;                  /* its relkind */
    uint32_t tree;              /* the oid of its partitions' root, or its own */
    char *rows; /* the same where rows that are there are meant: ONLY it, for an ordinary table;
                   other tables may inherit from it, and their rows are not its own */
    uint32_t columns_count;
    struct plan_column *columns;
    uint32_t keys_count;
    uint32_t *keys; /* places in columns */
    enum plan_match match;
    enum plan_index index;
    enum plan_copy copy;
    enum plan_fires fires;
    bool overwrites; /* an insert takes the place of the row that has its key, by whatever index.
                        Not under FULL: a source's deferrable key may belong to two rows for a
                        moment. Not with a coarse key */
    bool met;        /* an insert has met a row of its key: from then on they are noticed */
    bool coarse_key; /* a key's column is coarse: the row with an equal key may be another row of
                        the source */
    uint32_t extras_count;
    struct plan_extra *extras;
    bool odd_types; /* binary values of a column must go by their text */
    bool verified;  /* values of a column must be verified: COPY cannot do that */
    struct plan_stmt *statements;
    uint32_t statements_count;
    char temp_name[40]; /* of the temporary table for merges; "" until asked for */
    uint64_t temp_tx;   /* the transaction that filled it last */
};

/* What a plan is made of. */
struct plan_input {
    const struct relation *relation;
    const struct catalog *catalog;
    const char *label; /* the target's name, for messages */
    struct notes *notes;
};

/* Reads the catalog for schema.name. NULL with err: EXIT_REFUSED for a missing table or column.
 * notes may be NULL. */
struct plan *plan_make(struct session *s, const struct relation *relation, const char *schema,
                       const char *name, struct notes *notes, struct err *err);
void plan_free(struct plan *plan);

/* Inserts must say OVERRIDING SYSTEM VALUE. */
bool plan_has_identity(const struct plan *plan);

/* SET may name the column: not one GENERATED ALWAYS AS IDENTITY (428C9), whose new value only an
 * insert can bring. */
bool plan_can_set(const struct plan *plan, uint32_t column);

/* An insert that overwrites a row sets the column: also a key's that may be written differently,
 * as 1.0 and 1.00. */
bool plan_overwrites(const struct plan *plan, uint32_t column);

#endif
