/* items.h: lists in ClickHouse's texts: "a, `b c`", "'/path', 'replica', _version". */
#ifndef WALPIPE_SINKCH_ITEMS_H
#define WALPIPE_SINKCH_ITEMS_H

#include "lib/base.h"

/* The next item up to a comma outside of parentheses and quotes, without backticks; false at the
 * end. *plain: a name, not an expression. */
bool items_next(const char **at, char *out, size_t size, bool *plain) MUST_CHECK;

#endif
