/* json.h: JSON written through stdio, without blanks. The caller ends the line after each
 * object. */
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

/* A member's name, before its value. In arrays it is NULL. */
void json_name(struct json *j, const char *name);
/* The name of an object or an array that is a member, and its opening bracket. */
void json_open_member(struct json *j, const char *name, char bracket);

/* A string. Bytes that are not UTF-8 become U+FFFD, because JSON cannot hold them. */
void json_string(struct json *j, const char *name, struct bytes s);
void json_cstr(struct json *j, const char *name, const char *s);
void json_uint(struct json *j, const char *name, uint64_t n);
/* As a string, because a JSON reader's numbers need not have 64 bits. */
void json_uint_text(struct json *j, const char *name, uint64_t n);
void json_int(struct json *j, const char *name, int64_t n);
/* With one digit behind the point. */
void json_tenths(struct json *j, const char *name, double n);
/* With three. */
void json_thousandths(struct json *j, const char *name, double n);
void json_bool(struct json *j, const char *name, bool b);
void json_null(struct json *j, const char *name);
void json_uint_or_null(struct json *j, const char *name, bool known, uint64_t n);
void json_hex(struct json *j, const char *name, struct bytes b);
void json_lsn(struct json *j, const char *name, uint64_t lsn);
/* 0 is null. */
void json_lsn_or_null(struct json *j, const char *name, uint64_t lsn);

/* Microseconds since 2000-01-01 UTC as "2026-11-22T17:00:00.000000Z". */
void json_time(struct json *j, const char *name, int64_t micros);

#endif
