/* json.h: one JSON object a line, written through stdio. */
#ifndef WALPIPE_JSON_H
#define WALPIPE_JSON_H

#include <stdio.h>

#include "lib/base.h"

struct json {
    FILE *out;
    bool comma; /* a member was written in the innermost object or array */
};

void json_open(struct json *j, char bracket);
void json_close(struct json *j, char bracket);

/* A member's name; the value follows. In arrays NULL. */
void json_name(struct json *j, const char *name);

/* A string. Bytes that are not UTF-8 become U+FFFD: JSON has no way to hold them. */
void json_string(struct json *j, const char *name, struct bytes s);
void json_cstr(struct json *j, const char *name, const char *s);
void json_uint(struct json *j, const char *name, uint64_t n);
void json_bool(struct json *j, const char *name, bool b);
void json_null(struct json *j, const char *name);
void json_hex(struct json *j, const char *name, struct bytes b);
void json_lsn(struct json *j, const char *name, uint64_t lsn);

/* Microseconds since 2000-01-01 UTC as "2026-11-22T17:00:00.000000Z". */
void json_time(struct json *j, const char *name, int64_t micros);

#endif
