/* convert.c: see convert.h. It has NULL, strings, arrays, the policy for values that do not fit,
 * and the choice of the conversion for a column's type. */
#include "sink-ch/convert/convert.h"

#include <arpa/inet.h>
#include <string.h>

#include "lib/pgtype.h"
#include "sink-ch/convert/array.h"
#include "sink-ch/convert/binary.h"
#include "sink-ch/convert/float.h"
#include "sink-ch/convert/integer.h"
#include "sink-ch/convert/json.h"
#include "sink-ch/convert/time.h"

static bool
text_is(struct bytes text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

static int
hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* ---- String, FixedString ---- */

/* '\x..' as bytes in convert->decoded. */
static enum convert_status
decode_bytea(struct convert *convert, struct bytes text)
{
    struct buf *decoded = &convert->decoded;

    if (text.len < 2 || text.len % 2 != 0 || text.data[0] != '\\' || text.data[1] != 'x')
        return convert_bad(convert, "bytea that does not begin with \\x");
    buf_reset(decoded, 1u << 20);
    if (buf_reserve(decoded, text.len / 2) != 0)
        return convert_bad(convert, "out of memory");
    for (size_t i = 2; i < text.len; i += 2) {
        int high = hex_digit(text.data[i]), low = hex_digit(text.data[i + 1]);

        if (high < 0 || low < 0)
            return convert_bad(convert, "bytea with a character that isn't a hex digit");
        decoded->data[decoded->end++] = (uint8_t)(high << 4 | low);
    }
    return CONVERT_DONE;
}

/* The first bytes that fit. Text is cut between characters. */
static size_t
cut_length(uint32_t oid, struct bytes text, size_t max)
{
    size_t n = max;

    if (oid == PG_BYTEA)
        return max;
    while (n > 0 && (text.data[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static enum convert_status
put_fixed_string(struct convert *convert, const struct ch_type *type, uint32_t oid,
                 struct bytes text, struct buf *out)
{
    if (text.len > type->width) {
        if (!convert_may_clamp(convert))
            return convert_misfit(convert, "%zu bytes do not fit into FixedString(%u)", text.len,
                                  type->width);
        text.len = cut_length(oid, text, type->width);
    }
    if (convert->key && oid == PG_BYTEA && text.len < type->width)
        return convert_misfit(
            convert,
            "%zu bytes in a key would be filled with zeros to FixedString(%u), and "
            "so would others",
            text.len, type->width);
    if (buf_reserve(out, type->width) != 0)
        return convert_bad(convert, "out of memory");
    memset(out->data + out->end, 0, type->width);
    if (text.len > 0)
        memcpy(out->data + out->end, text.data, text.len);
    out->end += type->width;
    return CONVERT_DONE;
}

/* ---- UUID, IPv4, IPv6, Enum, Bool ---- */

/* Two UInt64 halves, each little-endian (trap 120). */
static enum convert_status
put_uuid(struct convert *convert, struct bytes text, struct buf *out)
{
    uint8_t halves[16];
    size_t digits = 0;

    for (size_t i = 0; i < text.len; i++) {
        int digit = hex_digit(text.data[i]);
        uint8_t *at;

        if (text.data[i] == '-' && digits > 0)
            continue;
        if (digit < 0 || digits == 32)
            return convert_bad(convert, "not a uuid");
        at = &halves[digits / 16 * 8 + 7 - digits % 16 / 2];
        *at = (uint8_t)(digits % 2 == 0 ? digit << 4 : *at | digit);
        digits++;
    }
    if (digits != 32)
        return convert_bad(convert, "not a uuid");
    buf_append(out, halves, sizeof halves);
    return CONVERT_DONE;
}

/* inet and cidr have an address with perhaps a netmask. The column cannot hold a netmask unless it
 * covers the whole address. */
static enum convert_status
put_address(struct convert *convert, const struct ch_type *type, struct bytes text, struct buf *out)
{
    char copy[64], *mask;
    uint8_t address[16] = {0};

    if (text.len >= sizeof copy)
        return convert_bad(convert, "not an IP address");
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    mask = strchr(copy, '/');
    if (mask != NULL) {
        *mask++ = '\0';
        if (strcmp(mask, strchr(copy, ':') == NULL ? "32" : "128") != 0)
            return convert_misfit(convert, "an IP network: the column holds addresses only");
    }
    if (type->kind == CH_IPV4) {
        if (inet_pton(AF_INET, copy, address) != 1)
            return convert_misfit(convert, "not an IPv4 address");
        convert_put(out,
                    (uint64_t)address[0] << 24 | (uint64_t)address[1] << 16 |
                        (uint64_t)address[2] << 8 | address[3],
                    4);
        return CONVERT_DONE;
    }
    if (inet_pton(AF_INET, copy, address + 12) == 1)
        address[10] = address[11] = 0xff; /* an IPv4 address mapped into IPv6 */
    else if (inet_pton(AF_INET6, copy, address) != 1)
        return convert_bad(convert, "not an IP address");
    buf_append(out, address, sizeof address);
    return CONVERT_DONE;
}

static enum convert_status
put_enum(struct convert *convert, const struct ch_type *type, struct bytes text, struct buf *out)
{
    for (size_t i = 0; i < type->items_count; i++) {
        const struct ch_enum_item *item = &type->items[i];

        if (item->len == text.len && memcmp(item->name, text.data, text.len) == 0) {
            convert_put(out, (uint64_t)(int64_t)item->number, type->width);
            return CONVERT_DONE;
        }
    }
    return convert_misfit(convert, "the Enum has no such value");
}

static enum convert_status
put_bool(struct convert *convert, struct bytes text, struct buf *out)
{
    bool is_true = text_is(text, "t") || text_is(text, "1") || text_is(text, "true");

    if (!is_true && !text_is(text, "f") && !text_is(text, "0") && !text_is(text, "false"))
        return convert_bad(convert, "not a truth value");
    convert_put(out, is_true, 1);
    return CONVERT_DONE;
}

/* ---- Array ---- */

static enum convert_status put_nullable(struct convert *convert, const struct ch_type *type,
                                        uint32_t oid, bool is_binary, struct bytes value,
                                        struct buf *out);

static enum convert_status
put_array_element(struct convert *convert, const struct ch_type *type, uint32_t oid,
                  struct array_text *a, struct buf *out)
{
    struct array_item item;

    if (a->at < a->end && *a->at == '{')
        return convert_bad(convert, "an array of more dimensions than the column has");
    if (!array_element(a, &convert->element, &item))
        return convert_bad(convert, "a malformed array");
    if (convert->element.failed)
        return convert_bad(convert, "out of memory");
    if (!item.is_null)
        return put_nullable(convert, type, oid, false, item.text, out);
    if (!type->nullable)
        return convert_bad(convert, "a null element, and the Array's elements are not Nullable");
    convert_put(out, 1, 1);
    return CONVERT_DONE;
}

/* From the opening brace to behind the closing one. */
static enum convert_status
put_array_items(struct convert *convert, const struct ch_type *type, uint32_t element_oid,
                struct array_text *a, struct buf *out)
{
    bool nested = type->element->kind == CH_ARRAY;
    enum convert_status status;
    int64_t count;

    if (!array_take(a, '{'))
        return convert_bad(convert, "an array of fewer dimensions than the column has");
    count = array_count(a);
    if (count < 0)
        return convert_bad(convert, "a malformed array");
    convert_put_length(out, (uint64_t)count);
    for (int64_t i = 0; i < count; i++) {
        if (i > 0 && !array_take(a, a->delimiter))
            return convert_bad(convert, "a malformed array");
        status = nested ? put_array_items(convert, type->element, element_oid, a, out)
                        : put_array_element(convert, type->element, element_oid, a, out);
        if (status != CONVERT_DONE)
            return status;
    }
    return array_take(a, '}') ? CONVERT_DONE : convert_bad(convert, "a malformed array");
}

/* An array must have as many dimensions as the column, and begin at 1. */
static enum convert_status
put_array(struct convert *convert, const struct ch_type *type, uint32_t oid, struct bytes text,
          struct buf *out)
{
    struct array_text a = {
        .at = text.data,
        .end = text.data + text.len,
        .delimiter = oid == PG_BOX_ARRAY ? ';' : ',',
    };
    enum convert_status status;

    if (text.len > 0 && text.data[0] == '[')
        return convert_bad(convert, "an array that does not begin at 1");
    if (text.len == 0 || text.data[0] != '{')
        return convert_bad(convert, "not an array");
    status = put_array_items(convert, type, pgtype_element(oid), &a, out);
    if (status == CONVERT_DONE && a.at != a.end)
        return convert_bad(convert, "a malformed array");
    return status;
}

/* ---- one value ---- */

/* bytea comes as its bytes, every other type as PostgreSQL's text. */
static enum convert_status
put_value(struct convert *convert, const struct ch_type *type, uint32_t oid, struct bytes text,
          struct buf *out)
{
    switch (type->kind) {
    case CH_STRING:
        convert_put_length(out, text.len);
        buf_append(out, text.data, text.len);
        return CONVERT_DONE;
    case CH_FIXED_STRING:
        return put_fixed_string(convert, type, oid, text, out);
    case CH_INT:
    case CH_UINT:
    case CH_DECIMAL:
        if (oid == PG_BOOL && type->kind != CH_DECIMAL && text.len == 1)
            text.data = (const uint8_t *)(text.data[0] == 't'   ? "1"
                                          : text.data[0] == 'f' ? "0"
                                                                : "?");
        return convert_integer(convert, type, text, out);
    case CH_FLOAT:
        return convert_float(convert, type, text, out);
    case CH_UUID:
        return put_uuid(convert, text, out);
    case CH_DATE:
    case CH_DATE32:
    case CH_DATETIME:
    case CH_DATETIME64:
        return convert_time(convert, type, text, out);
    case CH_BOOL:
        return put_bool(convert, text, out);
    case CH_ENUM:
        return put_enum(convert, type, text, out);
    case CH_IPV4:
    case CH_IPV6:
        return put_address(convert, type, text, out);
    case CH_ARRAY:
        return put_array(convert, type, oid, text, out);
    case CH_JSON:
        return convert_json(convert, text, out);
    case CH_UNSUPPORTED:
        break;
    }
    return convert_bad(convert, "columns of this ClickHouse type are not supported");
}

static enum convert_status
put_text(struct convert *convert, const struct ch_type *type, uint32_t oid, struct bytes text,
         struct buf *out)
{
    enum convert_status status;

    if (oid != PG_BYTEA)
        return put_value(convert, type, oid, text, out);
    status = decode_bytea(convert, text);
    if (status != CONVERT_DONE)
        return status;
    text = (struct bytes){.data = convert->decoded.data, .len = buf_len(&convert->decoded)};
    return put_value(convert, type, oid, text, out);
}

static enum convert_status
put_binary(struct convert *convert, const struct ch_type *type, uint32_t oid, struct bytes value,
           struct buf *out)
{
    enum convert_status status;
    struct bytes text;

    if (type->kind == CH_ENUM &&
        oid >= PGTYPE_USER_FIRST) /* an enum's label is its binary format */
        return put_enum(convert, type, value, out);
    status = convert_binary(convert, oid, value);
    if (status != CONVERT_DONE)
        return status;
    text = (struct bytes){.data = convert->binary.data, .len = buf_len(&convert->binary)};
    return put_value(convert, type, oid, text, out);
}

static enum convert_status
put_null(struct convert *convert, const struct ch_type *type, struct buf *out)
{
    if (!type->nullable)
        return convert_bad(convert, "null, and the column is not Nullable");
    convert_put(out, 1, 1);
    return CONVERT_DONE;
}

static enum convert_status
put_nullable(struct convert *convert, const struct ch_type *type, uint32_t oid, bool is_binary,
             struct bytes value, struct buf *out)
{
    size_t before = buf_len(out);
    enum convert_status status;

    if (type->nullable)
        convert_put(out, 0, 1);
    status = is_binary ? put_binary(convert, type, oid, value, out)
                       : put_text(convert, type, oid, value, out);
    if (status == CONVERT_MISFIT && convert->policy == CONVERT_NULL && type->nullable) {
        out->end = out->start + before;
        convert->altered = true;
        return put_null(convert, type, out);
    }
    return status;
}

int
convert_value(struct convert *convert, const struct ch_type *type, uint32_t oid,
              const struct value *v, struct buf *out)
{
    struct bytes value = {.data = v->data, .len = v->len};
    size_t before = buf_len(out);
    enum convert_status status = CONVERT_BAD;

    convert->altered = false;
    if (v->kind == VALUE_NULL)
        status = put_null(convert, type, out);
    else if (v->kind == VALUE_UNCHANGED)
        convert_bad(convert, "the value was not sent");
    else
        status = put_nullable(convert, type, oid, v->kind == VALUE_BINARY, value, out);
    if (status == CONVERT_DONE && !out->failed)
        return 0;
    if (out->failed)
        convert_bad(convert, "out of memory");
    out->end = out->start + before;
    return -1;
}

struct bytes
convert_text(struct convert *convert, uint32_t oid, const struct value *v)
{
    static const char null[] = "null", unread[] = "a binary value";

    if (v->kind == VALUE_TEXT)
        return (struct bytes){.data = v->data, .len = v->len};
    if (v->kind == VALUE_NULL)
        return (struct bytes){.data = (const uint8_t *)null, .len = sizeof null - 1};
    if (v->kind == VALUE_BINARY && oid != PG_BYTEA &&
        convert_binary(convert, oid, (struct bytes){.data = v->data, .len = v->len}) ==
            CONVERT_DONE)
        return (struct bytes){.data = convert->binary.data, .len = buf_len(&convert->binary)};
    return (struct bytes){.data = (const uint8_t *)unread, .len = sizeof unread - 1};
}

void
convert_default(const struct ch_type *type, struct buf *out)
{
    static const uint8_t zeros[64];
    uint32_t left = type->width;

    if (type->nullable) {
        convert_put(out, 1, 1);
        return;
    }
    if (type->kind == CH_ENUM) {
        convert_put(out, (uint64_t)(int64_t)type->items[0].number, type->width);
        return;
    }
    if (type->kind == CH_STRING || type->kind == CH_ARRAY)
        convert_put(out, 0, 1);
    if (type->kind == CH_JSON)
        buf_append(out, "\002{}", 3);
    for (; left > sizeof zeros; left -= (uint32_t)sizeof zeros)
        buf_append(out, zeros, sizeof zeros);
    buf_append(out, zeros, left);
}
