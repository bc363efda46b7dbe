/* sqltext.c: see sqltext.h. Knows no table and no connection. */
#include "sink-pg/sqltext.h"

#include <stdarg.h>
#include <stdio.h>

void
sqltext_add(struct buf *sql, const char *fmt, ...)
{
    char small[256];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof small) {
        buf_append(sql, small, (size_t)n);
        return;
    }
    if (n < 0 || buf_reserve(sql, (size_t)n + 1) != 0) {
        sql->failed = true;
        return;
    }
    va_start(ap, fmt);
    vsnprintf((char *)sql->data + sql->end, (size_t)n + 1, fmt, ap);
    va_end(ap);
    sql->end += (size_t)n;
}

void
sqltext_name(struct buf *sql, const char *name)
{
    buf_append(sql, "\"", 1);
    for (const char *p = name; *p != '\0'; p++) {
        if (*p == '"')
            buf_append(sql, "\"", 1);
        buf_append(sql, p, 1);
    }
    buf_append(sql, "\"", 1);
}

const char *
sqltext_get(struct buf *sql)
{
    buf_append(sql, "", 1);
    if (sql->failed)
        return NULL;
    sql->end--;
    return (const char *)sql->data + sql->start;
}
