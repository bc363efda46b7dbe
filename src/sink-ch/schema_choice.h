/* schema_choice.h: what the config wants of a table (choice.h): whether rows would be lost or
 * merged wrongly that way, and whether a table that is there already is as it says. */
#ifndef WALPIPE_SINKCH_SCHEMA_CHOICE_H
#define WALPIPE_SINKCH_SCHEMA_CHOICE_H

#include "sink-ch/describe.h"
#include "sink-ch/report.h"

/* Refuses what cannot be done, before the table is looked at or made. */
void schema_choice_check(const struct server *server, const struct table *table,
                         struct report *report);

/* Names what the table, which may be older than the choice, has otherwise. */
void schema_choice_compare(const struct server *server, const struct table *table,
                           const struct described *described, struct report *report);

/* Appends the engine of the table with version and deleted column as its last arguments; each NULL
 * where it has none. */
void schema_choice_put_engine(const struct table *table, const char *version, const char *deleted,
                              struct buf *sql);

/* Whether a without blanks, backticks and outer parentheses is b without them: expressions or types
 * as a person writes them and as ClickHouse shows them. */
bool schema_choice_same(const char *a, const char *b);

#endif
