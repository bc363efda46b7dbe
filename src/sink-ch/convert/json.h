/* json.h: json text to a JSON column, which takes it as a String. */
#ifndef WALPIPE_SINKCH_CONVERT_JSON_H
#define WALPIPE_SINKCH_CONVERT_JSON_H

#include "sink-ch/convert/base.h"

enum convert_status convert_json(struct convert *convert, struct bytes text, struct buf *out);

#endif
