/* schema.h: what a ClickHouse table really looks like, whether it can hold a source table's rows,
 * and, with --create-tables, making what is missing. */
#ifndef WALPIPE_SINKCH_SCHEMA_H
#define WALPIPE_SINKCH_SCHEMA_H

#include "sink-ch/report.h"
#include "sink-ch/table.h"

enum schema_status {
    SCHEMA_READY,   /* the table is loaded */
    SCHEMA_MISSING, /* the table isn't there, and may_create was false */
    SCHEMA_NARROW,  /* it lacks columns that create_tables adds, and may_create was false */
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

#endif
