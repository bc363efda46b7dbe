/* schemaplan.h: the statements that a PostgreSQL sink's target lacks, in two steps. A copy needs
 * those of the first: tables, what they need, and their keys. Those of the second are other
 * indexes, constraints, foreign keys and triggers, which wait until the table has been copied.
 * Pure. */
#ifndef WALPIPE_SCHEMAPLAN_H
#define WALPIPE_SCHEMAPLAN_H

#include "walpipe/dumpentry.h"
#include "walpipe/schemaobjects.h"

/* The second step's are done one kind after the other. Those of a kind that is parallel may be done
 * side by side. */
enum schemaplan_stage {
    SCHEMAPLAN_FIRST,
    SCHEMAPLAN_INDEXES, /* parallel */
    SCHEMAPLAN_ATTACH,
    SCHEMAPLAN_REFERENCES,
    SCHEMAPLAN_TRIGGERS,
    SCHEMAPLAN_STAGES
};

struct schemaplan_statement {
    enum schemaplan_stage stage;
    const char *label;
    const char *sql; /* one command or several */
};

struct schemaplan_target {
    const char *const *keys; /* of the target's objects, sorted by strcmp */
    size_t keys_count;
    bool (*is_copied)(void *context, uint32_t published); /* with 0: all tables are */
    void *context;
};

struct schemaplan {
    struct schemaplan_statement *list; /* in the order of the stages */
    size_t count;
    const char **existing; /* tables that the target has already, as labels */
    size_t existing_count;
    size_t waiting; /* statements of the second step whose tables are still copied */
};

/* Returns 0, or -1 with err if the dump lacks a table. Everything belongs to pool. */
int schemaplan_make(struct schemaplan *plan, const struct schemaobjects *objects,
                    const struct dumpentry *entries, size_t entries_count,
                    const struct schemaplan_target *target, struct pool *pool,
                    struct err *err) MUST_CHECK;

/* Whether the target has the object. */
bool schemaplan_has(const struct schemaplan_target *target, const char *key);

#endif
