/* json.c: json text to a column of type JSON. A setting tells the server to read such values as
 * Strings (input_format_binary_read_json_as_string), and it parses them. Where that is cheap, this
 * file finds the values that the server's JSON cannot hold. A document that is no object would be
 * taken for {} (null), or end in an error that names no column. So would numbers beyond 64 bits. */
#include "sink-ch/convert/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sink-ch/convert/number.h"

static bool
is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The length of the string that begins at text[at], its quotes included. */
static size_t
string_length(struct bytes text, size_t at)
{
    size_t i = at + 1;

    while (i < text.len && text.data[i] != '"')
        i += text.data[i] == '\\' ? 2 : 1;
    return (i < text.len ? i + 1 : text.len) - at;
}

static size_t
number_length(struct bytes text, size_t at)
{
    size_t n = 0;

    while (at + n < text.len && text.data[at + n] != 0 &&
           memchr("+-.0123456789eE", text.data[at + n], 15) != NULL)
        n++;
    return n;
}

/* Integers have 64 bits, signed or not. Every other number is a Float64. */
static bool
number_fits(struct bytes text)
{
    static const char *const largest[] = {"18446744073709551615", "9223372036854775808"};
    bool negative = text.data[0] == '-';
    struct number n;
    char copy[512];

    if (!number_scan(text, &n))
        return false;
    if (n.fraction.len == 0 && n.exponent == 0 && number_length(text, 0) == n.whole.len + negative)
        return n.whole.len < strlen(largest[negative]) ||
               (n.whole.len == strlen(largest[negative]) &&
                memcmp(n.whole.data, largest[negative], n.whole.len) <= 0);
    if (text.len >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return !isinf(strtod(copy, NULL));
}

static bool
numbers_fit(struct bytes text)
{
    for (size_t at = 0; at < text.len;) {
        uint8_t c = text.data[at];
        size_t n = 1;

        if (c == '"') {
            n = string_length(text, at);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            n = number_length(text, at);
            if (!number_fits((struct bytes){.data = text.data + at, .len = n}))
                return false;
        }
        at += n;
    }
    return true;
}

enum convert_status
convert_json(struct convert *convert, struct bytes text, struct buf *out)
{
    size_t at = 0;

    while (at < text.len && is_space(text.data[at]))
        at++;
    if (at == text.len || text.data[at] != '{')
        return convert_misfit(convert, "not a JSON object, and the column holds only these");
    if (!numbers_fit(text))
        return convert_misfit(convert, "JSON with a number beyond 64 bits");
    convert_put_length(out, text.len);
    buf_append(out, text.data, text.len);
    return CONVERT_DONE;
}
