/* json.c: see json.h. */
#include "evcat/json.h"

#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/lsn.h"
#include "lib/utf8.h"

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
