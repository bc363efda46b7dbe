/* comparelimits.h: the lowest and the highest value of ClickHouse's types as canonical texts. Pure.
 */
#ifndef WALPIPE_SINKCH_COMPARELIMITS_H
#define WALPIPE_SINKCH_COMPARELIMITS_H

#include "lib/canon.h"
#include "sink-ch/convert/base.h"
#include "sink-ch/convert/chtype.h"

/* Sets the column's width, scale, low and high. The conversion clamps to the same values (types(7),
 * on_overflow). */
void comparelimits_set(struct canon_column *column, const struct ch_type *type,
                       const struct convert_limits *limits);

#endif
