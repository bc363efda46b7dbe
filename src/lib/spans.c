/* spans.c: see spans.h. */
#include "lib/spans.h"

#include <stdlib.h>

/* Positions as numbers. An open end is behind all. */
static uint64_t
number(struct ctid ctid)
{
    return (uint64_t)ctid.block << 16 | ctid.line;
}

static uint64_t
from(const struct span *span)
{
    return number(span->from);
}

static uint64_t
to(const struct span *span)
{
    return span->open ? UINT64_MAX : number(span->to);
}

/* ---- the set ---- */

static int
make_room(struct spans *s)
{
    size_t size = s->size * 2 + 8;
    struct span *list;

    if (s->count < s->size)
        return 0;
    list = realloc(s->list, size * sizeof *list);
    if (list == NULL)
        return -1;
    s->list = list;
    s->size = size;
    return 0;
}

/* Joins span with other, which it touches. */
static void
join(struct span *span, const struct span *other)
{
    if (from(other) < from(span))
        span->from = other->from;
    if (to(other) > to(span)) {
        span->to = other->to;
        span->open = other->open;
    }
}

int
spans_add(struct spans *s, struct span span)
{
    size_t first = 0, behind;

    if (from(&span) >= to(&span))
        return 0;
    if (make_room(s) != 0)
        return -1;
    while (first < s->count && to(&s->list[first]) < from(&span))
        first++;
    for (behind = first; behind < s->count && from(&s->list[behind]) <= to(&span); behind++)
        join(&span, &s->list[behind]);
    memmove(s->list + first + 1, s->list + behind, (s->count - behind) * sizeof span);
    s->list[first] = span;
    s->count = s->count - (behind - first) + 1;
    return 0;
}

/* The common part of two spans. It is empty if its end is not behind its beginning. */
static struct span
common(const struct span *a, const struct span *b)
{
    const struct span *ends_first = to(a) < to(b) ? a : b;

    return (struct span){.from = from(a) > from(b) ? a->from : b->from,
                         .to = ends_first->to,
                         .open = ends_first->open};
}

int
spans_keep(struct spans *s, const struct spans *others)
{
    struct spans kept = {0};

    for (size_t i = 0, k = 0; i < s->count && k < others->count;) {
        const struct span *a = &s->list[i], *b = &others->list[k];

        if (spans_add(&kept, common(a, b)) != 0) {
            spans_free(&kept);
            return -1;
        }
        if (to(a) < to(b))
            i++;
        else
            k++;
    }
    spans_free(s);
    *s = kept;
    return 0;
}

int
spans_gaps(const struct spans *s, struct spans *gaps)
{
    struct ctid at = {0};

    gaps->count = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (spans_add(gaps, (struct span){.from = at, .to = s->list[i].from}) != 0)
            return -1;
        if (s->list[i].open)
            return 0;
        at = s->list[i].to;
    }
    return spans_add(gaps, (struct span){.from = at, .open = true});
}

void
spans_free(struct spans *s)
{
    free(s->list);
    *s = (struct spans){0};
}

/* ---- text ---- */

/* One span at *at. */
static bool
take_span(const uint8_t **at, const uint8_t *end, struct span *span)
{
    *span = (struct span){0};
    if (!ctid_parse(at, end, &span->from) || *at == end || *(*at)++ != '-')
        return false;
    span->open = *at == end || **at == ',';
    return span->open || ctid_parse(at, end, &span->to);
}

int
spans_parse(struct spans *s, struct bytes text, struct err *err)
{
    const uint8_t *at = text.data, *end;
    struct span span;

    s->count = 0;
    if (text.len == 0)
        return 0;
    end = at + text.len;
    while (at != end) {
        if (!take_span(&at, end, &span) || (at != end && (*at++ != ',' || at == end)))
            return err_set(err, EXIT_REFUSED, "malformed list of finished ranges");
        if (spans_add(s, span) != 0)
            return err_set(err, EXIT_PEER, "out of memory for finished ranges");
    }
    return 0;
}

static void
print(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void
spans_print(const struct spans *s, struct buf *buf)
{
    for (size_t i = 0; i < s->count; i++) {
        if (i > 0)
            print(buf, ",");
        print(buf, ctid_format(s->list[i].from).text);
        print(buf, "-");
        if (!s->list[i].open)
            print(buf, ctid_format(s->list[i].to).text);
    }
}
