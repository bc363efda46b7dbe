/* lib_copydetail.c: notes, refusals and keys there and back, at their limits, cut at every byte and
 * with a byte too many. */
/* clang-format off: make reads one line
 * links: lib/copydetail lib/event lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include "lib/copydetail.h"

#include <stdlib.h>

#include "check.h"

static struct value values[COLUMNS_MAX];

static bool
takes_state(struct bytes detail)
{
    struct copydetail_state state;

    return copydetail_state_decode(detail, &state);
}

static bool
takes_refusal(struct bytes detail)
{
    struct copydetail_refusal refusal;

    return copydetail_refusal_decode(detail, &refusal);
}

/* Keys of two columns. */
static bool
takes_keys(struct bytes keys)
{
    struct cursor c = cursor_over(keys.data, keys.len);
    struct tuple key;

    do
        if (!copydetail_key_next(&c, 2, &key, values))
            return false;
    while (c.left > 0);
    return true;
}

/* The bytes in buf are accepted whole and in no other length. A cut that is accepted all the same
 * may contain whole keys only. There are `cuts` of them. */
static void
strict(const struct buf *buf, bool (*takes)(struct bytes), int cuts, const char *name)
{
    int taken = 0;

    for (size_t len = 0; len <= buf_len(buf) + 1; len++) {
        uint8_t *copy =
            calloc(1, len + (len == 0)); /* of its own size, so that a read past it is seen */

        if (copy == NULL)
            abort();
        memcpy(copy, buf->data, len < buf_len(buf) ? len : buf_len(buf));
        if (takes((struct bytes){.data = copy, .len = len}))
            taken += len == buf_len(buf) ? 1000 : 1;
        free(copy);
    }
    check(taken == 1000 + cuts, "%s: whole, and not otherwise", name);
}

static void
test_state(void)
{
    struct copydetail_state in = {.file = UINT32_MAX,
                                  .done = {.data = (const uint8_t *)"(0,0)-", .len = 6}},
                            out;
    char definition[COPY_DEFINITION_MAX + 2] = {0};
    struct buf buf = {0};
    struct packer p = {.buf = &buf};

    memset(in.definition, 'd', COPY_DEFINITION_MAX);
    copydetail_state_encode(&buf, &in);
    check(
        !buf.failed &&
            copydetail_state_decode((struct bytes){.data = buf.data, .len = buf_len(&buf)}, &out) &&
            out.file == UINT32_MAX && strcmp(out.definition, in.definition) == 0 &&
            out.done.len == 6 && memcmp(out.done.data, "(0,0)-", 6) == 0,
        "a note comes back");
    check(!out.resync, "of no resync");
    strict(&buf, takes_state, 0, "a note");
    buf_reset(&buf, 0);
    in.resync = true;
    copydetail_state_encode(&buf, &in);
    check(copydetail_state_decode((struct bytes){.data = buf.data, .len = buf_len(&buf)}, &out) &&
              out.resync && out.done.len == 6,
          "a note of a resync comes back");
    strict(&buf, takes_state, 0, "a note of a resync");
    buf_reset(&buf, 0);
    pack_array(&p, 3);
    pack_uint(&p, 1);
    memset(definition, 'd', COPY_DEFINITION_MAX + 1);
    pack_cstr(&p, definition);
    pack_cstr(&p, "");
    check(!takes_state((struct bytes){.data = buf.data, .len = buf_len(&buf)}),
          "a definition of one byte more than the most is refused");
    buf_free(&buf);
}

static void
test_refusal(void)
{
    struct copydetail_refusal in = {.message = "the table has rows", .hint = "copy = no"}, out;
    struct buf buf = {0};

    copydetail_refusal_encode(&buf, &in);
    check(copydetail_refusal_decode((struct bytes){.data = buf.data, .len = buf_len(&buf)}, &out) &&
              strcmp(out.message, in.message) == 0 && strcmp(out.hint, in.hint) == 0,
          "a refusal comes back");
    strict(&buf, takes_refusal, 0, "a refusal");
    buf_free(&buf);
}

static void
test_keys(void)
{
    struct value a[] = {{.kind = VALUE_TEXT, .len = 1, .data = (const uint8_t *)"7"},
                        {.kind = VALUE_TEXT, .len = 0, .data = (const uint8_t *)""}};
    struct tuple key = {.count = 2, .values = a}, out;
    struct buf buf = {0};
    struct cursor c;

    copydetail_key_add(&buf, &key);
    copydetail_key_add(&buf, &key);
    c = cursor_over(buf.data, buf_len(&buf));
    check(copydetail_key_next(&c, 2, &out, values) && values[0].len == 1 &&
              values[0].data[0] == '7' && values[1].len == 0 && values[1].kind == VALUE_TEXT,
          "a key comes back");
    strict(&buf, takes_keys, 1, "two keys");
    c = cursor_over(buf.data, buf_len(&buf));
    check(!copydetail_key_next(&c, 3, &out, values), "a key of other columns is refused");
    buf_reset(&buf, 0);
    a[1].kind = VALUE_NULL;
    copydetail_key_add(&buf, &key);
    c = cursor_over(buf.data, buf_len(&buf));
    check(!copydetail_key_next(&c, 2, &out, values), "a key with a null is refused");
    buf_free(&buf);
}

int
main(void)
{
    test_state();
    test_refusal();
    test_keys();
    return check_done();
}
