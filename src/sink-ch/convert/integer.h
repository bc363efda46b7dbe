/* integer.h: decimal text to Int, UInt and Decimal. */
#ifndef WALPIPE_SINKCH_CONVERT_INTEGER_H
#define WALPIPE_SINKCH_CONVERT_INTEGER_H

#include "sink-ch/convert/base.h"
#include "sink-ch/convert/chtype.h"

enum convert_status convert_integer(struct convert *convert, const struct ch_type *type,
                                    struct bytes text, struct buf *out);

#endif
