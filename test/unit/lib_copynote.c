/* lib_copynote.c: each kind of line there and back, texts that contain separators of fields and
 * lines, and malformed lines.
 * links: lib/copynote lib/lsn lib/buf lib/err */
#include "lib/copynote.h"

#include "check.h"

static bool
same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same(const struct copynote *a, const struct copynote *b)
{
    return a->kind == b->kind && a->lsn == b->lsn && a->workers == b->workers &&
           a->noted == b->noted && a->settled == b->settled && a->system == b->system &&
           a->timeline == b->timeline && a->relid == b->relid && a->part == b->part &&
           a->shard == b->shard && a->file == b->file && a->count == b->count &&
           a->updated == b->updated && a->behind == b->behind && same_text(a->state, b->state) &&
           same_text(a->done, b->done) && same_text(a->schema, b->schema) &&
           same_text(a->name, b->name) && same_text(a->message, b->message) &&
           same_text(a->hint, b->hint);
}

static const struct copynote notes[] = {
    {.kind = COPYNOTE_SINK, .state = "waiting", .lsn = UINT64_MAX, .workers = 3},
    {.kind = COPYNOTE_SINK, .state = "streaming", .noted = true},
    {.kind = COPYNOTE_SINK,
     .state = "",
     .settled = true,
     .system = 1234567890123456789,
     .timeline = 3},
    {.kind = COPYNOTE_PART,
     .relid = UINT32_MAX,
     .part = 7,
     .shard = 2,
     .state = "copying",
     .lsn = 0x16B374D848,
     .file = 9,
     .count = 12345678901234567,
     .updated = 1764157483000001,
     .behind = true,
     .done = "(0,0)-(512,0),(1024,0)-",
     .schema = "a\tb\nc\rd\\e\\t",
     .name = "\xc3\xa4 \"odd\" name"},
    {.kind = COPYNOTE_PART, .state = "", .done = "", .schema = "", .name = ""},
    {.kind = COPYNOTE_MISSING, .relid = 16384, .count = 5},
    {.kind = COPYNOTE_PARKED,
     .relid = 16384,
     .updated = 1764157483000001,
     .lsn = 0x16B374D848,
     .message = "insert into public.t (k)=(1\t2): no",
     .hint = ""},
    {.kind = COPYNOTE_ERROR, .message = "could not connect:\n\tno"},
    {.kind = COPYNOTE_LACKS,
     .relid = 7,
     .lsn = 0x16B374D848,
     .count = 3,
     .schema = "public",
     .name = "a\tb"},
    {.kind = COPYNOTE_SKIP, .lsn = 0x16B374D848, .schema = "", .name = ""},
};

static void
test_there_and_back(void)
{
    struct buf out = {0};
    struct copynote note;
    size_t count = sizeof notes / sizeof *notes;
    char *at;

    for (size_t i = 0; i < count; i++)
        copynote_print(&notes[i], &out);
    buf_append(&out, "", 1);
    at = (char *)out.data;
    for (size_t i = 0; i < count; i++)
        check(copynote_next(&at, &note) == 1 && same(&note, &notes[i]), "note %zu comes back", i);
    check(copynote_next(&at, &note) == 0, "and that is all");
    buf_free(&out);
}

static void
is_none(const char *line)
{
    char text[200], *at = text;
    struct copynote note;

    snprintf(text, sizeof text, "%s", line);
    check(copynote_next(&at, &note) == -1, "\"%s\" is refused", line);
}

static void
test_malformed(void)
{
    is_none("\n");
    is_none("sink\twaiting\t0/0\t1\t0\t0\t0\t0");
    is_none("sink\twaiting\t0/0\t1\t0\t2\t0\t0\n");
    is_none("sink\twaiting\t0/0\t1\t0\t0\t0\t4294967296\n");
    is_none("sink\twaiting\t0/0\t1\t0\t0\t0\n");
    is_none("sink\twaiting\t0/0\t1\t2\t0\t0\t0\n");
    is_none("sink\twaiting\t0/0\t1\t10\t0\t0\t0\n");
    is_none("sink\twaiting\t0/0\t1\t\t0\t0\t0\t0\n");
    is_none("sink\twaiting\t0\t1\t0\t0\t0\t0\n");
    is_none("sink\twaiting\t0/0\t-1\t0\t0\t0\t0\n");
    is_none("sink\twaiting\t0/0\t1x\t0\t0\t0\t0\n");
    is_none("sink\twai\\xting\t0/0\t1\t0\t0\t0\t0\n");
    is_none("sink\twaiting\\\t0/0\t1\t0\t0\t0\t0\n");
    is_none("missing\t4294967296\t1\n");
    is_none("missing\t1\t12345678901234567890\n");
    is_none("part\t1\t1\t1\twaiting\t0/0\t1\t1\t1\t0\t\ta\n");
    is_none("part\t1\t1\t1\twaiting\t0/0\t1\t1\t1\t0\t\ta\tb\tc\n");
    is_none("part\t1\t1\t1\twaiting\t0/0\t1\t1\t1\t2\t\ta\tb\n");
    is_none("whatever\t1\n");
}

int
main(void)
{
    test_there_and_back();
    test_malformed();
    return check_done();
}
