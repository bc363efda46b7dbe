/* report.c: see report.h. */
#include "walpipe/compare/report.h"

#include <inttypes.h>
#include <string.h>

static const char *const kinds[] = {[DIFFERENCE_MISSING] = "missing",
                                    [DIFFERENCE_OTHER] = "different",
                                    [DIFFERENCE_SURPLUS] = "surplus",
                                    [DIFFERENCE_COUNT] = "number"};

bool
report_is_full(const struct table_report *r)
{
    return r->differences_count >= REPORT_DIFFERENCES_MAX;
}

void
report_difference(struct table_report *r, const struct difference *difference, struct pool *pool)
{
    if (r->differences == NULL)
        r->differences = pool_take(pool, REPORT_DIFFERENCES_MAX * sizeof *r->differences);
    if (report_is_full(r))
        r->more = true;
    else
        r->differences[r->differences_count++] = *difference;
}

void
report_omission(struct table_report *r, const char *what, const char *why, struct pool *pool)
{
    if (r->omissions == NULL)
        r->omissions = pool_take(pool, REPORT_OMISSIONS_MAX * sizeof *r->omissions);
    if (r->omissions_count++ < REPORT_OMISSIONS_MAX)
        r->omissions[r->omissions_count - 1] = (struct omission){
            .what = what == NULL ? NULL : pool_copy(pool, what), .why = pool_copy(pool, why)};
}

static size_t
shown_omissions(const struct table_report *r)
{
    return r->omissions_count < REPORT_OMISSIONS_MAX ? r->omissions_count : REPORT_OMISSIONS_MAX;
}

static const char *
result_of(const struct table_report *r)
{
    return r->differences_count > 0 ? "different"
           : r->omissions_count > 0 ? "not compared"
                                    : "equal";
}

/* ---- for people ---- */

static void
print_value(const char *value, FILE *out)
{
    if (value == NULL) {
        fputs("NULL", out);
        return;
    }
    fputc('\'', out);
    for (const unsigned char *c = (const unsigned char *)value; *c != '\0'; c++)
        if (*c == '\n')
            fputs("\\n", out);
        else if (*c < ' ' || *c == 0x7f)
            fprintf(out, "\\x%02x", *c);
        else
            fputc(*c, out);
    fputc('\'', out);
}

/* Without a key, all values stand for it. */
static const char *
shown_key(const struct difference *d, bool values)
{
    return d->kind == DIFFERENCE_COUNT && !values ? "(hidden)" : d->key;
}

static void
print_difference(const struct difference *d, bool values, FILE *out)
{
    fprintf(out, "    %-9s  %s", kinds[d->kind], shown_key(d, values));
    for (size_t i = 0; i < d->columns_count; i++) {
        fprintf(out, "%s %s", i == 0 ? ":" : ",", d->columns[i].name);
        if (!values)
            continue;
        fputs(" ", out);
        print_value(d->columns[i].source, out);
        fputs(" in the source, ", out);
        print_value(d->columns[i].target, out);
        fputs(" in the target", out);
    }
    fputc('\n', out);
}

void
report_print(const struct table_report *r, bool values, FILE *out)
{
    fprintf(out, "  %-12s  %s.%s, %" PRIu64 " rows", result_of(r), r->schema, r->name, r->rows);
    if (r->differences_count > 0)
        fprintf(out, ", %zu%s differences", r->differences_count, r->more ? " or more" : "");
    fputc('\n', out);
    if (r->lacks != NULL)
        fprintf(out, "    %s\n", r->lacks);
    for (size_t i = 0; i < r->differences_count; i++)
        print_difference(&r->differences[i], values, out);
    for (size_t i = 0; i < shown_omissions(r); i++) {
        const struct omission *o = &r->omissions[i];

        fprintf(out, "    not compared: %s%s%s\n", o->what == NULL ? "" : o->what,
                o->what == NULL ? "" : ": ", o->why);
    }
    if (r->omissions_count > shown_omissions(r))
        fprintf(out, "    not compared: %zu more\n", r->omissions_count - shown_omissions(r));
    fflush(out);
}

/* ---- JSON ---- */

static void
json_value(struct json *j, const char *name, const char *value)
{
    if (value == NULL)
        json_null(j, name);
    else
        json_cstr(j, name, value);
}

static void
difference_json(const struct difference *d, bool values, struct json *j)
{
    json_open_member(j, NULL, '{');
    json_cstr(j, "kind", kinds[d->kind]);
    json_cstr(j, "key", shown_key(d, values));
    json_open_member(j, "columns", '[');
    for (size_t i = 0; i < d->columns_count; i++) {
        json_open_member(j, NULL, '{');
        json_cstr(j, "name", d->columns[i].name);
        if (values) {
            json_value(j, "source", d->columns[i].source);
            json_value(j, "target", d->columns[i].target);
        }
        json_close(j, '}');
    }
    json_close(j, ']');
    json_close(j, '}');
}

void
report_json(const struct table_report *r, bool values, struct json *j)
{
    json_open_member(j, NULL, '{');
    json_cstr(j, "schema", r->schema);
    json_cstr(j, "table", r->name);
    json_cstr(j, "result", result_of(r));
    json_uint(j, "rows", r->rows);
    json_lsn_or_null(j, "lsn", r->lsn);
    json_bool(j, "more", r->more);
    if (r->lacks != NULL)
        json_cstr(j, "lacks", r->lacks);
    json_open_member(j, "differences", '[');
    for (size_t i = 0; i < r->differences_count; i++)
        difference_json(&r->differences[i], values, j);
    json_close(j, ']');
    json_open_member(j, "not_compared", '[');
    for (size_t i = 0; i < shown_omissions(r); i++) {
        json_open_member(j, NULL, '{');
        if (r->omissions[i].what != NULL)
            json_cstr(j, "what", r->omissions[i].what);
        json_cstr(j, "why", r->omissions[i].why);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_close(j, '}');
}
