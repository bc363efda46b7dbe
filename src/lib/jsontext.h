/* jsontext.h: text as it is written inside a JSON string (RFC 8259). */
#ifndef WALPIPE_JSONTEXT_H
#define WALPIPE_JSONTEXT_H

#include <string.h>

#include "lib/utf8.h"

/* "\u0000" */
#define JSONTEXT_MAX 6

/* Takes a character off the front of *text, which is not empty, and writes its JSON form to out,
 * without a NUL. Returns the number of bytes. Bytes that are not UTF-8 become U+FFFD one by one,
 * because JSON cannot hold them. */
static inline size_t
jsontext_take(struct bytes *text, char out[JSONTEXT_MAX])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t first = text->data[0];
    size_t taken = utf8_sequence(text->data, text->len), n = taken;

    if (taken == 0) {
        memcpy(out, "\\ufffd", n = 6);
        taken = 1;
    } else if (first == '"' || first == '\\') {
        out[0] = '\\';
        out[1] = (char)first;
        n = 2;
    } else if (first < 0x20 || first == 0x7f) {
        memcpy(out, "\\u00", 4);
        out[4] = digits[first >> 4];
        out[5] = digits[first & 15];
        n = 6;
    } else {
        memcpy(out, text->data, n);
    }
    text->data += taken;
    text->len -= taken;
    return n;
}

#endif
