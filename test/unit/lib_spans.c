/* lib_spans.c: lib/spans and lib/ctid. The text there and back, and malformed texts. Union,
 * intersection and gaps are compared with a set of single positions, for random spans.
 * links: lib/spans lib/ctid lib/buf lib/err */
#include "lib/spans.h"

#include <stdlib.h>

#include "check.h"

#define PLACES 24u /* blocks of three lines each */

static struct bytes
bytes_of(const char *text)
{
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

/* text, read and printed, is this. */
static void
prints(const char *text, const char *as)
{
    struct spans spans = {0};
    struct buf buf = {0};
    struct err err = {0};

    check(spans_parse(&spans, bytes_of(text), &err) == 0, "\"%s\" is read", text);
    spans_print(&spans, &buf);
    check(buf_len(&buf) == strlen(as) && (*as == 0 || memcmp(buf.data, as, strlen(as)) == 0),
          "and is \"%s\"", as);
    buf_free(&buf);
    spans_free(&spans);
}

static void
is_none(const char *text)
{
    struct spans spans = {0};
    struct err err = {0};

    check(spans_parse(&spans, bytes_of(text), &err) != 0 && err.code == EXIT_REFUSED,
          "\"%s\" is refused", text);
    spans_free(&spans);
}

static void
test_text(void)
{
    prints("", "");
    prints("(0,0)-(512,0)", "(0,0)-(512,0)");
    prints("(0,0)-(512,0),(1024,0)-", "(0,0)-(512,0),(1024,0)-");
    prints("(4294967295,65535)-", "(4294967295,65535)-");
    prints("(7,0)-(9,0),(0,0)-(7,0)", "(0,0)-(9,0)");
    prints("(5,0)-,(3,0)-(9,0)", "(3,0)-");
    prints("(5,0)-(5,0)", "");
    is_none("(0,0)");
    is_none("(0,0)-(1,0),");
    is_none(",(0,0)-");
    is_none("(0,0)-(1,0) ");
    is_none("(0,0)-(4294967296,0)");
    is_none("(0,65536)-");
    is_none("(,0)-");
    is_none("(0 ,0)-");
    is_none("(0,0)-(1,0");
    is_none("(-1,0)-");
}

/* ---- against single positions ---- */

static struct ctid
place(uint32_t n)
{
    return (struct ctid){.block = n / 3, .line = (uint16_t)(n % 3)};
}

static bool
has(const struct spans *spans, uint32_t n)
{
    for (size_t i = 0; i < spans->count; i++) {
        const struct span *s = &spans->list[i];

        if (n >= s->from.block * 3 + s->from.line && (s->open || n < s->to.block * 3 + s->to.line))
            return true;
    }
    return false;
}

/* Adds some spans, and the same to the set. */
static void
make(struct spans *spans, bool set[PLACES + 1])
{
    for (int i = rand() % 6; i > 0; i--) {
        uint32_t from = (uint32_t)rand() % PLACES, to = from + (uint32_t)rand() % 6;
        bool open = rand() % 12 == 0;

        if (to > PLACES)
            to = PLACES;
        if (spans_add(spans, (struct span){.from = place(from), .to = place(to), .open = open}) !=
            0)
            abort();
        for (uint32_t n = from; n < (open ? PLACES + 1 : to); n++)
            set[n] = true;
    }
}

static bool
is_set(const struct spans *spans, const bool set[PLACES + 1])
{
    for (uint32_t n = 0; n <= PLACES; n++)
        if (has(spans, n) != set[n])
            return false;
    for (size_t i = 1; i < spans->count; i++)
        if (spans->list[i - 1].open || spans->list[i - 1].to.block > spans->list[i].from.block)
            return false;
    return true;
}

static void
test_sets(void)
{
    bool union_ok = true, gaps_ok = true, keep_ok = true;

    srand(1);
    for (int round = 0; round < 20000; round++) {
        struct spans a = {0}, b = {0}, gaps = {0};
        bool in_a[PLACES + 1] = {0}, in_b[PLACES + 1] = {0}, out[PLACES + 1];

        make(&a, in_a);
        make(&b, in_b);
        union_ok = union_ok && is_set(&a, in_a) && is_set(&b, in_b);
        for (uint32_t n = 0; n <= PLACES; n++)
            out[n] = !in_a[n];
        gaps_ok = gaps_ok && spans_gaps(&a, &gaps) == 0 && is_set(&gaps, out);
        for (uint32_t n = 0; n <= PLACES; n++)
            out[n] = in_a[n] && in_b[n];
        keep_ok = keep_ok && spans_keep(&a, &b) == 0 && is_set(&a, out);
        spans_free(&a);
        spans_free(&b);
        spans_free(&gaps);
    }
    check(union_ok, "what was added is there, and nothing else");
    check(gaps_ok, "the gaps are the rest");
    check(keep_ok, "what two have in common is kept");
}

int
main(void)
{
    test_text();
    test_sets();
    return check_done();
}
