/* json.c: see json.h. */
#include "lib/json.h"

#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/jsontext.h"
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

static void
put_escaped(struct json *j, struct bytes s)
{
    char piece[JSONTEXT_MAX] = "";

    putc('"', j->out);
    while (s.len > 0) {
        size_t len = jsontext_take(&s, piece);

        fwrite(piece, 1, len, j->out);
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
json_open_member(struct json *j, const char *name, char bracket)
{
    json_name(j, name);
    json_open(j, bracket);
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
json_uint_text(struct json *j, const char *name, uint64_t n)
{
    json_name(j, name);
    fprintf(j->out, "\"%llu\"", (unsigned long long)n);
}

void
json_int(struct json *j, const char *name, int64_t n)
{
    json_name(j, name);
    fprintf(j->out, "%lld", (long long)n);
}

void
json_tenths(struct json *j, const char *name, double n)
{
    json_name(j, name);
    fprintf(j->out, "%.1f", n);
}

void
json_thousandths(struct json *j, const char *name, double n)
{
    json_name(j, name);
    fprintf(j->out, "%.3f", n);
}

void
json_null(struct json *j, const char *name)
{
    json_name(j, name);
    fputs("null", j->out);
}

void
json_uint_or_null(struct json *j, const char *name, bool known, uint64_t n)
{
    if (known)
        json_uint(j, name, n);
    else
        json_null(j, name);
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
json_lsn_or_null(struct json *j, const char *name, uint64_t lsn)
{
    if (lsn != 0)
        json_lsn(j, name, lsn);
    else
        json_null(j, name);
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
