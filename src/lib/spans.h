/* spans.h: which parts of a physical table something was done for: the finished ranges of a copy
 * (docs/copy.md), and what is left of them. As text: "(0,0)-(512,0),(1024,0)-". */
#ifndef WALPIPE_SPANS_H
#define WALPIPE_SPANS_H

#include "lib/buf.h"
#include "lib/ctid.h"

/* From `from` up to but without `to`; open: up to the table's end, however much comes there. */
struct span {
    struct ctid from;
    struct ctid to;
    bool open;
};

/* Zero-initialise to use: none. */
struct spans {
    size_t count, size;
    struct span *list; /* ascending; no two touch each other */
};

/* Takes the text in place of what spans holds: "" is none. 0, or -1 with err: malformed
 * (EXIT_REFUSED), or out of memory (EXIT_PEER). */
int spans_parse(struct spans *spans, struct bytes text, struct err *err) MUST_CHECK;

/* Appends the text; a failure sticks to buf. */
void spans_print(const struct spans *spans, struct buf *buf);

/* Adds a span, which may touch or overlap others. One that is empty changes nothing. -1: out of
 * memory. */
int spans_add(struct spans *spans, struct span span) MUST_CHECK;

/* Keeps of spans what others has too. -1: out of memory. */
int spans_keep(struct spans *spans, const struct spans *others) MUST_CHECK;

/* Makes gaps, whose content is dropped, what spans has not. -1: out of memory. */
int spans_gaps(const struct spans *spans, struct spans *gaps) MUST_CHECK;

void spans_free(struct spans *spans);

#endif
