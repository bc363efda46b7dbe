/* schema.h: reads a ClickHouse table's real columns, checks whether it can hold a source table's
 * rows, and creates missing objects with --create-tables. */
#ifndef WALPIPE_SINKCH_SCHEMA_H
#define WALPIPE_SINKCH_SCHEMA_H

#include "sink-ch/report.h"
#include "sink-ch/table.h"

enum schema_status {
    SCHEMA_READY,   /* the table is loaded */
    SCHEMA_MISSING, /* the table isn't there, and may_create was false */
    SCHEMA_NARROW,  /* it lacks columns that create_tables adds, and may_create was false */
    SCHEMA_UNFIT,   /* report->failed */
    SCHEMA_ERROR    /* err is set, because the server could not be asked */
};

/* Reads the table's columns, engine and sorting key and matches them with the relation. */
enum schema_status schema_load(struct server *server, const struct options *options,
                               struct table *table, bool may_create, struct report *report,
                               struct err *err) MUST_CHECK;

/* Returns true if the table's columns have changed since schema_load. Returns false also if the
 * server could not answer. */
bool schema_changed(struct server *server, const struct table *table);

#endif
