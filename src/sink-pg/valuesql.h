/* valuesql.h: a column's value as an SQL expression, by the rule of its types, and the columns that
 * a statement names. */
#ifndef SINK_PG_VALUESQL_H
#define SINK_PG_VALUESQL_H

#include "sink-pg/plan.h"

/* The server's message about a value that would change on the way has this mark in double quotes,
 * then the column's number in the target, ": " and the value that would be stored. */
#define VALUESQL_LOST "walpipe: another value in column "

/* The type in which parameter values of this column are passed. binary is true if there is a value
 * in binary format that is BINARY_BY_TEXT. */
Oid valuesql_param_type(const struct plan_column *column, bool binary);

/* Parameter number n as a value to store, or to compare with the column's values. */
void valuesql_param(struct buf *sql, const struct plan_column *column, uint32_t n, bool binary,
                    bool stored);

/* The same for a column of the temporary table. */
void valuesql_temp(struct buf *sql, const struct plan_column *column, const char *name,
                   bool stored);

/* The names of the key's columns, separated by commas. */
void valuesql_key(struct buf *sql, const struct plan *plan);

/* " ON CONFLICT (key) DO UPDATE SET" of all columns that an insert may overwrite. Returns false if
 * there is none, and ends with DO NOTHING. */
bool valuesql_on_conflict(struct buf *sql, const struct plan *plan);

#endif
