/* items.h: lists in ClickHouse's texts, such as "a, `b c`" or "'/path', 'replica', _version". */
#ifndef WALPIPE_SINKCH_ITEMS_H
#define WALPIPE_SINKCH_ITEMS_H

#include "lib/base.h"

/* Takes the next item up to a comma outside of parentheses and quotes, without backticks. Returns
 * false at the end. Sets *plain if it is a name and not an expression. */
bool items_next(const char **at, char *out, size_t size, bool *plain) MUST_CHECK;

#endif
