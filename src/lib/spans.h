/* spans.h: parts of a physical table, which are the finished ranges of a copy (docs/copy.md), and
 * the gaps between them. The text is "(0,0)-(512,0),(1024,0)-". */
#ifndef WALPIPE_SPANS_H
#define WALPIPE_SPANS_H

#include "lib/buf.h"
#include "lib/ctid.h"

/* From `from` up to `to`, without it. If open, up to the table's end, however far it grows. */
struct span {
    struct ctid from;
    struct ctid to;
    bool open;
};

/* Zero-initialise to use as an empty list. */
struct spans {
    size_t count, size;
    struct span *list; /* ascending, and no two touch each other */
};

/* Replaces the contents of spans by the text, in which "" is none. Returns 0, or -1 with err if it
 * is malformed (EXIT_REFUSED) or memory is out (EXIT_PEER). */
int spans_parse(struct spans *spans, struct bytes text, struct err *err) MUST_CHECK;

/* Appends the text. If memory runs out, buf remembers it. */
void spans_print(const struct spans *spans, struct buf *buf);

/* Adds a span, which may touch or overlap others. An empty one changes nothing. Returns -1 when
 * memory is out. */
int spans_add(struct spans *spans, struct span span) MUST_CHECK;

/* Keeps the parts that others has too. Returns -1 when memory is out. */
int spans_keep(struct spans *spans, const struct spans *others) MUST_CHECK;

/* Replaces the contents of gaps by the parts that spans lacks. Returns -1 when memory is out. */
int spans_gaps(const struct spans *spans, struct spans *gaps) MUST_CHECK;

void spans_free(struct spans *spans);

#endif
