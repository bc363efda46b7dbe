/* promtext.h: appends families and values to a page in Prometheus' text format, version 0.0.4. */
#ifndef WALPIPE_ACKD_PROMTEXT_H
#define WALPIPE_ACKD_PROMTEXT_H

#include "lib/buf.h"

/* Text of at most 511 bytes. A longer one is cut. */
void promtext_add(struct buf *page, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The two lines in front of a family's values. */
void promtext_family(struct buf *page, const char *name, const char *type, const char *help);

/* A family with one value, without labels. */
void promtext_single(struct buf *page, const char *name, const char *type, const char *help,
                     uint64_t value);
void promtext_seconds(struct buf *page, const char *name, const char *help, double value);

/* The value of a label, escaped. It may hold any byte. */
void promtext_label(struct buf *page, const char *text);

/* Appends all of lines with the label pipeline="..." in front of the other labels, or without it
 * when the name is "". */
void promtext_label_all(struct buf *page, struct buf *lines, const char *pipeline);

#endif
