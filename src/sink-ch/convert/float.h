/* float.h: decimal text to Float32 and Float64. */
#ifndef WALPIPE_SINKCH_CONVERT_FLOAT_H
#define WALPIPE_SINKCH_CONVERT_FLOAT_H

#include "sink-ch/convert/base.h"
#include "sink-ch/convert/chtype.h"

enum convert_status convert_float(struct convert *convert, const struct ch_type *type,
                                  struct bytes text, struct buf *out);

#endif
