/* convert.c: a value of any PostgreSQL type, in text and in binary, into any ClickHouse type. The
 * output must be one whole RowBinary value. A refusal must leave no output and have a reason. */
/* clang-format off: make reads one line
 * links: lib/pgtype sink-ch/convert/ lib/moment lib/cursor lib/buf lib/err */
/* clang-format on */
#include "sink-ch/convert/convert.h"
#include "input.h"
#include "sink-ch/convert/judge.h"

/* Built-in types that have a conversion of their own, some arrays, ranges and drawings, and some
 * unknown types. */
static const uint32_t oids[] = {
    16,   17,   18,   19,   20,   21,   23,   25,   26,   114,  142,   650,  700,  701,
    774,  790,  829,  869,  1042, 1043, 1082, 1083, 1114, 1184, 1186,  1266, 1560, 1562,
    1700, 2950, 3220, 3802, 4072, 5069, 199,  1000, 1001, 1005, 1007,  1009, 1016, 1020,
    1021, 1022, 1041, 1115, 1182, 1185, 1231, 2951, 3807, 600,  601,   602,  603,  604,
    628,  718,  3904, 3905, 3906, 3910, 4451, 4532, 6151, 3614, 16385, 0};

static void
try_value(const struct ch_type *type, uint32_t oid, struct value value, enum convert_policy policy,
          const struct convert_limits *limits)
{
    static struct convert convert;
    struct buf out = {0};

    convert.limits = limits;
    convert.policy = policy;
    buf_append(&out, "#", 1);
    if (convert_value(&convert, type, oid, &value, &out) == 0) {
        struct cursor c = cursor_over(out.data + 1, buf_len(&out) - 1);

        require(chtype_skip(type, &c) && c.left == 0);
    } else {
        require(buf_len(&out) == 1 && convert.reason[0] != '\0');
    }
    require(out.data[0] == '#');
    buf_free(&out);
}

static void
try_type(const struct ch_type *type, uint32_t oid, struct value value, uint8_t flags)
{
    const struct convert_limits *limits =
        (flags & 1) != 0 ? &convert_limits_old : &convert_limits_modern;
    const char *reason = NULL;
    struct buf out = {0};

    if (convert_judge(type, oid, -1, &reason) != CONVERT_FITS)
        require(reason != NULL && reason[0] != '\0');
    for (enum convert_policy policy = CONVERT_ERROR; policy <= CONVERT_NULL; policy++)
        for (int binary = 0; binary < 2; binary++) {
            value.kind = binary ? VALUE_BINARY : VALUE_TEXT;
            try_value(type, oid, value, policy, limits);
        }
    value.kind = VALUE_NULL;
    try_value(type, oid, value, CONVERT_ERROR, limits);
    if (type->kind != CH_UNSUPPORTED) {
        struct cursor c;

        convert_default(type, &out);
        c = cursor_over(out.data, buf_len(&out));
        require(chtype_skip(type, &c) && c.left == 0);
    }
    buf_free(&out);
}

/* Two bytes choose the PostgreSQL type and more. Then come the ClickHouse type's text, and the
 * value. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor input = cursor_over(data, size);
    struct bytes name, bytes;
    struct ch_type type;
    uint8_t pick, flags, *copy;
    char *text;

    if (!cursor_u8(&input, &pick) || !cursor_u8(&input, &flags) || !input_next(&input, &name) ||
        name.len > 200)
        return 0;
    text = strndup((const char *)name.data, name.len);
    require(text != NULL);
    if (chtype_parse(text, &type) == 0) {
        struct cursor c = input;

        (void)!chtype_skip(&type, &c);
        require(cursor_bytes(&input, input.left, &bytes));
        copy = malloc(bytes.len + (bytes.len == 0));
        require(copy != NULL);
        memcpy(copy, bytes.data, bytes.len);
        try_type(&type, oids[pick % (sizeof oids / sizeof *oids)],
                 (struct value){.len = (uint32_t)bytes.len, .data = copy}, flags);
        free(copy);
        chtype_free(&type);
    }
    free(text);
    return 0;
}
