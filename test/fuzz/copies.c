/* copies.c: pg-table-read's input, which is lines of COPY, finished ranges, notes, refusals and
 * keys of workers. The first byte chooses. */
/* clang-format off: make reads one line
 * links: pg-table-read/copytext lib/copydetail lib/spans lib/ctid lib/event lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include "input.h"
#include "lib/copydetail.h"
#include "lib/spans.h"
#include "pg-table-read/copytext.h"

#define COLUMNS 3u

static struct bytes
bytes_of(const struct buf *buf)
{
    return (struct bytes){.data = buf->data, .len = buf_len(buf)};
}

static void
try_line(const uint8_t *data, size_t len)
{
    char *line = malloc(len + (len == 0));
    struct value values[COLUMNS];
    struct ctid ctid;

    require(line != NULL);
    memcpy(line, data, len);
    if (copytext_row(line, len, values, COLUMNS)) {
        for (uint32_t i = 0; i < COLUMNS; i++)
            require(values[i].kind == VALUE_NULL ||
                    ((const char *)values[i].data >= line &&
                     (const char *)values[i].data + values[i].len < line + len));
        if (copytext_ctid(&values[0], &ctid))
            require(strlen(ctid_format(ctid).text) >= 5);
    }
    free(line);
}

/* When printed, they are read again as the same. Gaps and spans together are everything. */
static void
try_spans(struct bytes text)
{
    struct spans spans = {0}, again = {0}, gaps = {0};
    struct buf buf = {0}, second = {0};
    struct err err = {0};

    if (spans_parse(&spans, text, &err) == 0) {
        spans_print(&spans, &buf);
        require(spans_parse(&again, bytes_of(&buf), &err) == 0);
        spans_print(&again, &second);
        require(buf_len(&buf) == buf_len(&second) &&
                (buf_len(&buf) == 0 || memcmp(buf.data, second.data, buf_len(&buf)) == 0));
        require(spans_gaps(&spans, &gaps) == 0 && spans_keep(&again, &gaps) == 0);
        require(again.count == 0);
        for (size_t i = 0; i < spans.count; i++)
            require(spans_add(&gaps, spans.list[i]) == 0);
        require(gaps.count == 1 && gaps.list[0].open && gaps.list[0].from.block == 0 &&
                gaps.list[0].from.line == 0);
    } else {
        require(err.code == EXIT_REFUSED);
    }
    spans_free(&spans);
    spans_free(&again);
    spans_free(&gaps);
    buf_free(&buf);
    buf_free(&second);
}

static void
try_state(struct bytes detail)
{
    struct copydetail_state state, again;
    struct buf buf = {0};

    if (!copydetail_state_decode(detail, &state))
        return;
    copydetail_state_encode(&buf, &state);
    require(copydetail_state_decode(bytes_of(&buf), &again) && again.file == state.file &&
            strcmp(again.definition, state.definition) == 0 && again.done.len == state.done.len);
    buf_free(&buf);
}

static void
try_refusal(struct bytes detail)
{
    struct copydetail_refusal refusal, again;
    struct buf buf = {0};

    if (!copydetail_refusal_decode(detail, &refusal))
        return;
    copydetail_refusal_encode(&buf, &refusal);
    require(copydetail_refusal_decode(bytes_of(&buf), &again) &&
            strcmp(again.message, refusal.message) == 0);
    buf_free(&buf);
}

static void
try_keys(struct bytes keys)
{
    static struct value values[COLUMNS_MAX];
    struct cursor c = cursor_over(keys.data, keys.len);
    struct buf buf = {0};
    struct tuple key;

    while (copydetail_key_next(&c, 2, &key, values)) {
        require(key.count == 2 && values[0].kind == VALUE_TEXT && values[1].kind == VALUE_TEXT);
        copydetail_key_add(&buf, &key);
    }
    buf_free(&buf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;
    struct bytes rest;

    if (size == 0)
        return 0;
    copy = malloc(size - 1 + (size == 1)); /* of its own size, so that a read past it is seen */
    require(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    rest = (struct bytes){.data = copy, .len = size - 1};
    switch (data[0] % 5) {
    case 0:
        try_line(rest.data, rest.len);
        break;
    case 1:
        try_spans(rest);
        break;
    case 2:
        try_state(rest);
        break;
    case 3:
        try_refusal(rest);
        break;
    default:
        try_keys(rest);
    }
    free(copy);
    return 0;
}
