/* judge.h: judges a pair of types before any value was seen. */
#ifndef WALPIPE_SINKCH_CONVERT_JUDGE_H
#define WALPIPE_SINKCH_CONVERT_JUDGE_H

#include "sink-ch/convert/chtype.h"

enum convert_verdict {
    CONVERT_FITS,   /* every value fits */
    CONVERT_PARTLY, /* some values may not fit, which *reason describes */
    CONVERT_NEVER   /* *reason has the reason */
};

enum convert_verdict convert_judge(const struct ch_type *type, uint32_t oid, int32_t typmod,
                                   const char **reason);

/* Whether two different keys could become one in a column of this type. *reason describes how. It
 * is "" for a conversion that is one-to-one for all values that fit. */
bool convert_key_melts(const struct ch_type *type, uint32_t oid, const char **reason);

#endif
