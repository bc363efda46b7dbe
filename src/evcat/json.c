/* json.c: see json.h. */
#include "evcat/json.h"

#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/lsn.h"

void
json_open(struct json *j, char bracket)
{
    putc(bracket, j->out);
    j->comma = false;
}

void
json_close(struct json *j, char bracket)
{
    putc(bracket, j->out);
    j->comma = true;
}

/* Length of the UTF-8 sequence at s, of which n bytes are left; 0: none (RFC 3629). */
static size_t
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

static void
put_escaped(struct json *j, struct bytes s)
{
    size_t i = 0;

    putc('"', j->out);
    while (i < s.len) {
        const uint8_t *at = s.data + i;
        size_t n = utf8_sequence(at, s.len - i);

        if (n == 0)
            fputs("\\ufffd", j->out);
        else if (*at == '"' || *at == '\\')
            fprintf(j->out, "\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f)
            fprintf(j->out, "\\u%04x", *at);
        else
            fwrite(at, 1, n, j->out);
        i += n == 0 ? 1 : n;
    }
    putc('"', j->out);
}

void
json_name(struct json *j, const char *name)
{
    if (j->comma)
        putc(',', j->out);
    j->comma = true;
    if (name == NULL)
        return;
    put_escaped(j, (struct bytes){.data = (const uint8_t *)name, .len = strlen(name)});
    putc(':', j->out);
}

void
json_string(struct json *j, const char *name, struct bytes s)
{
    json_name(j, name);
    put_escaped(j, s);
}

void
json_cstr(struct json *j, const char *name, const char *s)
{
    json_string(j, name, (struct bytes){.data = (const uint8_t *)s, .len = strlen(s)});
}

void
json_uint(struct json *j, const char *name, uint64_t n)
{
    json_name(j, name);
    fprintf(j->out, "%llu", (unsigned long long)n);
}

void
json_bool(struct json *j, const char *name, bool b)
{
    json_name(j, name);
    fputs(b ? "true" : "false", j->out);
}

void
json_null(struct json *j, const char *name)
{
    json_name(j, name);
    fputs("null", j->out);
}

void
json_hex(struct json *j, const char *name, struct bytes b)
{
    static const char digits[] = "0123456789abcdef";

    json_name(j, name);
    putc('"', j->out);
    for (size_t i = 0; i < b.len; i++) {
        putc(digits[b.data[i] >> 4], j->out);
        putc(digits[b.data[i] & 15], j->out);
    }
    putc('"', j->out);
}

void
json_lsn(struct json *j, const char *name, uint64_t lsn)
{
    struct lsn_text text = lsn_format(lsn);

    json_cstr(j, name, text.text);
}

void
json_time(struct json *j, const char *name, int64_t micros)
{
    int64_t seconds = micros / 1000000, rest = micros % 1000000;
    char date[64], text[96];
    struct tm utc;
    time_t unix_time;

    if (rest < 0) {
        rest += 1000000;
        seconds -= 1;
    }
    unix_time = (time_t)(seconds + POSTGRES_EPOCH);
    if (gmtime_r(&unix_time, &utc) == NULL ||
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc) == 0) {
        json_null(j, name);
        return;
    }
    snprintf(text, sizeof text, "%s.%06dZ", date, (int)rest);
    json_cstr(j, name, text);
}
