/* plan.h: a target table as applying needs it: which source column goes where, and how a row is
 * found. Read from the target's catalog; void when the session's generation changes. */
#ifndef SINK_PG_PLAN_H
#define SINK_PG_PLAN_H

#include "lib/event.h"
#include "sink-pg/pipe.h"
#include "sink-pg/recode.h"
#include "sink-pg/session.h"

/* A column that both sides have. */
struct plan_column {
    uint32_t source;     /* its place in the source's tuples */
    const char *name;    /* the relation's string */
    uint32_t type_oid;   /* in the target */
    uint32_t source_oid; /* how the source names its type; for types that are not built in the
                            target's oid */
    enum recode recode;
    bool key;
    bool not_null;
    bool exact; /* `=` holds for values of the same text only: no 1.0 = 1.00, and there is a `=` */
    bool domain;
    bool oids;        /* its values name objects of the source's catalog by oid in binary format */
    bool scalar;      /* ... and are no more than that oid */
    char equals[160]; /* the operator that the type's indexes call equal */
    char temp_type[160]; /* in a temporary table: without a domain's constraints */
    char type[160];
};

enum plan_match {
    MATCH_NOTHING, /* no way to name a row: only inserts can be applied */
    MATCH_KEY,
    MATCH_ROW /* all columns, one row */
};

/* One prepared statement of a table, for one shape of change. */
struct plan_stmt {
    struct plan_stmt *next;
    struct stmt stmt;
    uint8_t kind;      /* the frame type of the change */
    bool key_changed;  /* update: the key columns are set too */
    bool source_types; /* parameters have the source's types */
    bool partial;      /* update: the mask is not empty: must find its row */
    uint8_t *mask;     /* update: the columns that are left alone, one byte each */
    uint32_t params_count;
    struct plan_param {
        uint32_t column; /* of the plan */
        bool match;      /* the value that finds the row, not the new one */
    } * params;
};

struct plan {
    uint64_t generation;
    char *target; /* quoted */
    uint32_t columns_count;
    struct plan_column *columns;
    uint32_t keys_count;
    uint32_t *keys; /* places in columns */
    enum plan_match match;
    bool arbiter;         /* a unique index on exactly the key that ON CONFLICT can use */
    bool overwrites;      /* an insert takes the place of the row that has its key. Not under FULL:
                             a source's deferrable key may belong to two rows for a moment */
    bool deferrable_key;  /* there is one, but deferrable */
    bool extra;           /* the target has columns of its own, which keep their values */
    bool identity_always; /* a column GENERATED ALWAYS AS IDENTITY */
    bool identity_key;    /* and it is part of the key */
    bool truncate_only;   /* an ordinary table: TRUNCATE ONLY */
    bool binary_copies;   /* the types are the source's: binary values may be copied */
    bool recodes;         /* and text values in binary format */
    bool odd_types;       /* a built-in type is another one in the source */
    struct plan_stmt *statements;
    uint32_t statements_count;
    bool no_copy;       /* text and binary values stand side by side: COPY cannot take the rows */
    char temp_name[40]; /* of the temporary table for merges; "" until asked for */
    uint64_t temp_tx;   /* the transaction that filled it last */
};

/* What is wrong or strange about a target table, for --check. */
struct plan_notes {
    char text[8][400];
    size_t count;
};

/* Reads the catalog for schema.name. NULL with err: EXIT_REFUSED for a missing table or column.
 * notes may be NULL. */
struct plan *plan_make(struct session *s, const struct relation *relation, const char *schema,
                       const char *name, struct plan_notes *notes, struct err *err);
void plan_free(struct plan *plan);

#endif
