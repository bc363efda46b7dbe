/* utf8.h: recognizes UTF-8 (RFC 3629). */
#ifndef WALPIPE_UTF8_H
#define WALPIPE_UTF8_H

#include "lib/base.h"

/* Length of the UTF-8 sequence at s, of which n > 0 bytes are left. 0 if it is not a valid one. */
static inline size_t
utf8_sequence(const uint8_t *s, size_t n)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t len;

    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        len = 2;
    } else if ((s[0] & 0xf0) == 0xe0) {
        len = 3;
        low = s[0] == 0xe0 ? 0xa0 : 0x80;
        high = s[0] == 0xed ? 0x9f : 0xbf;
    } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        len = 4;
        low = s[0] == 0xf0 ? 0x90 : 0x80;
        high = s[0] == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (len > n || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

/* A text that may be cut within a character, in place. */
static inline void
utf8_make_valid(char *text)
{
    size_t len = strlen(text), at = 0;

    while (at < len) {
        size_t n = utf8_sequence((const uint8_t *)text + at, len - at);

        if (n == 0)
            text[at] = '?';
        at += n == 0 ? 1 : n;
    }
}

#endif
