/* schema.h: what a ClickHouse table really looks like, whether it can hold a source table's rows,
 * and, with --create-tables, making what is missing. */
#ifndef WALPIPE_SINKCH_SCHEMA_H
#define WALPIPE_SINKCH_SCHEMA_H

#include "sink-ch/table.h"

enum finding {
    FINDING_WARN, /* works, but look */
    FINDING_FAIL  /* rows of this table can't be applied */
};

/* Who hears about a table's problems; schema_load goes on to the last one. */
struct report {
    void (*say)(void *context, enum finding finding, const char *text, const char *hint);
    void *context;
    bool failed;
};

/* hint: "" where there is none. */
void report_say(struct report *report, enum finding finding, const char *hint, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

enum schema_status {
    SCHEMA_READY,   /* the table is loaded */
    SCHEMA_MISSING, /* may_create was false, and the table isn't there or lacks columns; create it
                     */
    SCHEMA_UNFIT,   /* report->failed */
    SCHEMA_ERROR    /* err is set: the server could not be asked */
};

/* Reads the table's columns, engine and sorting key and matches them with the relation. */
enum schema_status schema_load(struct server *server, const struct options *options,
                               struct table *table, bool may_create, struct report *report,
                               struct err *err) MUST_CHECK;

/* True when the table's columns are no longer what schema_load found; false also when the server
 * could not say. */
bool schema_changed(struct server *server, const struct table *table);

/* ---- schema_create.c ---- */

/* Creates the table. -1 with err, also for a table whose key the stream
 * doesn't tell. */
int schema_create(struct server *server, const struct options *options, const struct table *table,
                  struct err *err) MUST_CHECK;

/* Creates the view NAME_current of a table with a key, unless there is one. Also of a table that
 * existed: a sink may have died between the table and its view. */
int schema_create_view(struct server *server, const struct options *options,
                       const struct table *table, struct err *err) MUST_CHECK;

/* Adds the columns of the relation that are not among existing[], and makes the view anew. */
int schema_add_columns(struct server *server, const struct options *options,
                       const struct table *table, const char *const *existing,
                       size_t existing_count, struct err *err) MUST_CHECK;

/* False, with the reason, for a table that schema_create refuses. */
bool schema_can_create(const struct table *table, const char **reason);

/* Appends the type that a column is created with. */
void schema_put_type(const struct server *server, const struct relation_column *column, bool key,
                     struct buf *sql);

/* ---- schema_mapping.c ---- */

/* Reports the columns whose type can't hold every value of the source's type. */
void schema_judge(const struct server *server, const struct options *options,
                  const struct table *table, struct report *report);

/* "id int4 -> Int32, ..." for each column that is or would be written; of a table that is not
 * loaded the types that it would be created with. Appends to out. */
void schema_put_mapping(const struct server *server, const struct table *table, struct buf *out);

/* The oid that decides a column's conversion: of a domain the base type's. */
uint32_t schema_oid(const struct relation_column *column);

#endif
