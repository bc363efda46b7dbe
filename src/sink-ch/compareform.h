/* compareform.h: how a column of ClickHouse is compared with its source's column. Chooses the
 * canonical text (canon.h) from the types of both, and writes ClickHouse's SQL for it. Asks
 * nobody. */
#ifndef WALPIPE_SINKCH_COMPAREFORM_H
#define WALPIPE_SINKCH_COMPAREFORM_H

#include "lib/canon.h"
#include "sink-ch/convert/base.h"
#include "sink-ch/table.h"

/* Fills *canon, which is CANON_NONE with *why if the column cannot be compared. */
void compareform_choose(const struct column *column, enum convert_policy policy,
                        const struct convert_limits *limits, struct canon_column *canon,
                        const char **why);

/* Whether the row's text has the text's length too. */
bool compareform_counts(const struct column *column, enum canon canon);

/* The canonical text of a row's column, and its length. Both are Strings, and '' for NULL. */
void compareform_put(const struct column *column, enum canon canon, struct buf *sql);
void compareform_put_length(const struct column *column, enum canon canon, struct buf *sql);

/* The value's beginning for people. */
void compareform_put_shown(const struct column *column, struct buf *sql);

#endif
