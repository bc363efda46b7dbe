/* schema_choice.h: checks the config's choices for a table (choice.h). Rows must not be lost or
 * merged wrongly by them, and an existing table should agree with them. */
#ifndef WALPIPE_SINKCH_SCHEMA_CHOICE_H
#define WALPIPE_SINKCH_SCHEMA_CHOICE_H

#include "sink-ch/describe.h"
#include "sink-ch/report.h"

/* Refuses impossible choices, before the table is looked at or made. */
void schema_choice_check(const struct server *server, const struct table *table,
                         struct report *report);

/* Reports differences between the choices and the table, which may be older. */
void schema_choice_compare(const struct server *server, const struct table *table,
                           const struct described *described, struct report *report);

/* Appends the engine of the table, with version and deleted column as its last arguments. Each is
 * NULL if the table has none. */
void schema_choice_put_engine(const struct table *table, const char *version, const char *deleted,
                              struct buf *sql);

/* Whether a without blanks, backticks and outer parentheses equals b without them. They are
 * expressions or types as a person writes them and as ClickHouse shows them. */
bool schema_choice_same(const char *a, const char *b);

#endif
