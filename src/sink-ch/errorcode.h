/* errorcode.h: tells from a code of ClickHouse's errors whether a person must act. */
#ifndef WALPIPE_SINKCH_ERRORCODE_H
#define WALPIPE_SINKCH_ERRORCODE_H

#include "lib/base.h"

enum errorcode_class {
    ERRORCODE_WAIT,       /* it may heal by itself, also codes that are unknown here */
    ERRORCODE_PARTITIONS, /* fewer rows at a time may pass */
    ERRORCODE_DATA,       /* these bytes never fit */
    ERRORCODE_PERSON      /* a person must act */
};

/* Of those that a person must end: whether the table or its rows are the reason, and not the login,
 * the user's rights and limits, or the replicas. */
bool errorcode_is_of_table(uint64_t code);

enum errorcode_class errorcode_classify(uint64_t code, const char *message);

#endif
