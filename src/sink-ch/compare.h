/* compare.h: sink-ch --compare. Answers walpipe compare's questions about the tables whose relation
 * events are on stdin. Each question is a line on descriptor 3, with a tab between two fields, in
 * which a backslash, a tab and a newline are written as \\, \t and \n. "-" is a field that is not
 * given.
 *
 *     table    RELID
 *     sum      RELID COLUMN FROM TO
 *     buckets  RELID COLUMN FROM TO COUNT
 *     list     RELID COLUMN FROM TO COUNT BUCKETS HASHES VALUE...
 *     rows     RELID COLUMN FROM TO COUNT BUCKETS HASHES VALUE...
 *
 * COLUMN is the number of a column in the relation. The answer is the line "ok BYTES" with that
 * many bytes behind it, or the line "failed CODE MESSAGE HINT". The bytes are lines of the same
 * form. To "table" they are "missing", or "keyed" or "keyless" and a line for each column:
 *
 *     COLUMN CANON ARRAY FIT WIDTH SCALE LOW HIGH KEY WHY
 *
 * FIT is a number of enum canon_fit. */
#ifndef WALPIPE_SINKCH_COMPARE_H
#define WALPIPE_SINKCH_COMPARE_H

#include "sink-ch/state.h"

/* Returns 0 at the end of the questions, or -1 with err. */
int compare_run(struct worker *worker, struct err *err) MUST_CHECK;

#endif
