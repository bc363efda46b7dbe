/* time.h: date and timestamp text to Date, Date32, DateTime, DateTime64. */
#ifndef WALPIPE_SINKCH_CONVERT_TIME_H
#define WALPIPE_SINKCH_CONVERT_TIME_H

#include "sink-ch/convert/base.h"
#include "sink-ch/convert/chtype.h"

enum convert_status convert_time(struct convert *convert, const struct ch_type *type,
                                 struct bytes text, struct buf *out);

#endif
