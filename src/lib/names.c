/* names.c: see names.h. */
#include "lib/names.h"

#include <stdio.h>
#include <string.h>

static const char blanks[] = " \t\r\n";

/* ---- a name's characters ---- */

static bool
is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool
is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
           (unsigned char)c >= 0x80;
}

/* A name that is being read, of at most max bytes. */
struct taken {
    char *text;
    size_t len, max;
};

static int
take_char(struct taken *taken, char c, struct err *err)
{
    if (taken->len == taken->max)
        return err_set(err, EXIT_REFUSED, "name \"%.40s...\" is longer than %zu bytes", taken->text,
                       taken->max);
    taken->text[taken->len++] = c;
    taken->text[taken->len] = '\0';
    return 0;
}

static int
take_bare(const char **at, struct taken *taken, struct err *err)
{
    const char *p = *at;
    size_t len = 0;

    while (is_bare(p[len]) || is_upper(p[len]))
        len++;
    for (size_t i = 0; i < len; i++) {
        if (is_upper(p[i]))
            return err_set(err, EXIT_REFUSED,
                           "\"%.*s\" has an upper-case letter: write the name in double quotes, or "
                           "in lower case",
                           len < 80 ? (int)len : 80, p);
        if (take_char(taken, p[i], err) != 0)
            return -1;
    }
    *at = p + len;
    return 0;
}

/* *at is at the opening quote. */
static int
take_quoted(const char **at, struct taken *taken, struct err *err)
{
    const char *p = *at + 1;

    for (; *p != '"' || p[1] == '"'; p++) {
        if (*p == '\0')
            return err_set(err, EXIT_REFUSED, "a double quote is not closed: %.60s", *at);
        if (take_char(taken, *p, err) != 0)
            return -1;
        p += *p == '"';
    }
    *at = p + 1;
    return 0;
}

/* ---- the grammar's parts ---- */

static int
unexpected(const char *at, const char *expected, struct err *err)
{
    if (*at == '\0')
        return err_set(err, EXIT_REFUSED, "expected %s at the end", expected);
    return err_set(err, EXIT_REFUSED, "expected %s at \"%.60s\"", expected, at);
}

static bool
take_sign(const char **at, const char *sign)
{
    size_t len = strlen(sign);

    *at += strspn(*at, blanks);
    if (strncmp(*at, sign, len) != 0)
        return false;
    *at += len;
    return true;
}

static int
need_sign(const char **at, const char *sign, struct err *err)
{
    char expected[16];

    if (take_sign(at, sign))
        return 0;
    snprintf(expected, sizeof expected, "\"%s\"", sign);
    return unexpected(*at, expected, err);
}

static int
take_name(const char **at, char *out, size_t max, struct err *err)
{
    struct taken taken = {.text = out, .max = max};
    int rc;

    out[0] = '\0';
    *at += strspn(*at, blanks);
    rc = **at == '"' ? take_quoted(at, &taken, err) : take_bare(at, &taken, err);
    if (rc == 0 && taken.len == 0)
        return unexpected(*at, "a name", err);
    return rc;
}

static int
take_part(const char **at, struct name_pattern *part, struct err *err)
{
    struct taken taken = {.text = part->text, .max = NAME_MAX_BYTES};
    int rc = 0;

    *part = (struct name_pattern){0};
    *at += strspn(*at, blanks);
    while (rc == 0 && (**at == '*' || **at == '"' || is_bare(**at) || is_upper(**at))) {
        if (**at == '*') {
            if (taken.len < NAME_MAX_BYTES)
                part->any |= UINT64_C(1) << taken.len;
            rc = take_char(&taken, *(*at)++, err);
        } else if (**at == '"') {
            rc = take_quoted(at, &taken, err);
        } else {
            rc = take_bare(at, &taken, err);
        }
    }
    if (rc == 0 && taken.len == 0)
        return unexpected(*at, "a name", err);
    return rc;
}

/* The comma, or the end of the list. */
static int
end_element(const char **at, struct err *err)
{
    if (take_sign(at, ","))
        return 0;
    if (**at != '\0')
        return unexpected(*at, "a comma or the end", err);
    *at = NULL;
    return 0;
}

/* ---- elements ---- */

int
names_next(const char **at, char name[NAME_MAX_BYTES + 1], struct err *err)
{
    if (take_name(at, name, NAME_MAX_BYTES, err) == 0 && end_element(at, err) == 0)
        return 0;
    return err_hint(err, "expected names with commas between them, unusual ones in double quotes: "
                         "orders, \"Odd,name\"");
}

static int
take_pattern(const char **at, struct table_pattern *pattern, struct err *err)
{
    pattern->exclude = take_sign(at, "!");
    return take_part(at, &pattern->schema, err) != 0 || need_sign(at, ".", err) != 0 ||
                   take_part(at, &pattern->table, err) != 0 || end_element(at, err) != 0
               ? -1
               : 0;
}

int
names_next_pattern(const char **at, struct table_pattern *pattern, struct err *err)
{
    if (take_pattern(at, pattern, err) == 0)
        return 0;
    return err_hint(err, "expected SCHEMA.TABLE with commas between several, with * for any "
                         "characters and ! to leave out, unusual names in double quotes: "
                         "public.*, !public.audit");
}

static int
take_mapping(const char **at, struct table_mapping *m, struct err *err)
{
    m->to_schema[0] = '\0';
    if (take_name(at, m->schema, NAME_MAX_BYTES, err) != 0 || need_sign(at, ".", err) != 0 ||
        take_name(at, m->table, NAME_MAX_BYTES, err) != 0 || need_sign(at, "->", err) != 0 ||
        take_name(at, m->to_table, TARGET_NAME_MAX, err) != 0)
        return -1;
    if (!take_sign(at, "."))
        return end_element(at, err);
    memcpy(m->to_schema, m->to_table, sizeof m->to_schema);
    return take_name(at, m->to_table, TARGET_NAME_MAX, err) != 0 ? -1 : end_element(at, err);
}

int
names_next_mapping(const char **at, struct table_mapping *mapping, struct err *err)
{
    if (take_mapping(at, mapping, err) == 0)
        return 0;
    return err_hint(err, "expected SCHEMA.TABLE -> TARGET with commas between several, unusual "
                         "names in double quotes: public.orders -> sales.\"Odd,name\"");
}

/* The length of the type's text, up to the comma or the end. 0 if a quote or parenthesis is
 * open. */
static size_t
type_length(const char *text)
{
    bool quoted = false;
    int depth = 0;
    size_t n = 0;

    for (; text[n] != '\0' && (quoted || depth > 0 || text[n] != ','); n++) {
        if (quoted && text[n] == '\\' && text[n + 1] != '\0')
            n++;
        else if (text[n] == '\'')
            quoted = !quoted;
        else if (!quoted)
            depth += (text[n] == '(') - (text[n] == ')');
        if (depth < 0)
            return 0;
    }
    while (n > 0 && strchr(blanks, text[n - 1]) != NULL)
        n--;
    return quoted || depth > 0 ? 0 : n;
}

static int
take_typed(const char **at, struct typed_name *typed, struct err *err)
{
    if (take_name(at, typed->name, NAME_MAX_BYTES, err) != 0 || need_sign(at, "->", err) != 0)
        return -1;
    *at += strspn(*at, blanks);
    typed->type = *at;
    typed->type_len = type_length(*at);
    if (typed->type_len == 0)
        return unexpected(*at, "a type", err);
    *at += typed->type_len;
    return end_element(at, err);
}

int
names_next_typed(const char **at, struct typed_name *typed, struct err *err)
{
    if (take_typed(at, typed, err) == 0)
        return 0;
    return err_hint(err, "expected COLUMN -> TYPE with commas between several, unusual names in "
                         "double quotes: note -> LowCardinality(String), \"Odd,name\" -> Int64");
}

int
names_table(const char *text, struct table_name *table, struct err *err)
{
    const char *at = text;

    if (take_name(&at, table->schema, NAME_MAX_BYTES, err) == 0 && need_sign(&at, ".", err) == 0 &&
        take_name(&at, table->table, NAME_MAX_BYTES, err) == 0) {
        at += strspn(at, blanks);
        if (*at == '\0')
            return 0;
        (void)unexpected(at, "the end", err);
    }
    return err_hint(err,
                    "expected one SCHEMA.TABLE, unusual names in double quotes: public.orders");
}

static bool
take_half(const char *text, size_t len, char out[NAME_MAX_BYTES + 1])
{
    if (len == 0 || len > NAME_MAX_BYTES)
        return false;
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

int
names_option_table(const char *text, struct table_name *table, struct err *err)
{
    const char *dot = strchr(text, '.');

    if (names_table(text, table, err) == 0)
        return 0;
    if (dot == NULL || strchr(dot + 1, '.') != NULL || strchr(text, '"') != NULL ||
        !take_half(text, (size_t)(dot - text), table->schema) ||
        !take_half(dot + 1, strlen(dot + 1), table->table))
        return err_hint(err, "expected one SCHEMA.TABLE, a name with a dot or a quote in double "
                             "quotes, and all of it in single quotes for the shell: "
                             "'public.\"Odd.name\"'");
    *err = (struct err){0};
    return 0;
}

/* ---- matching ---- */

static bool
is_any(const struct name_pattern *pattern, size_t i)
{
    return i < NAME_MAX_BYTES && (pattern->any >> i & 1) != 0;
}

bool
names_match(const struct name_pattern *pattern, const char *name)
{
    size_t p = 0, after_any = 0;
    const char *retry = NULL;

    while (*name != '\0') {
        if (is_any(pattern, p)) {
            after_any = ++p;
            retry = name;
        } else if (pattern->text[p] == *name) {
            p++;
            name++;
        } else if (retry != NULL) {
            p = after_any;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (is_any(pattern, p))
        p++;
    return pattern->text[p] == '\0';
}

/* ---- showing ---- */

static bool
is_plain(const char *name)
{
    size_t len = 0;

    while (is_bare(name[len]))
        len++;
    return len > 0 && name[len] == '\0';
}

static void
put(char *out, size_t size, size_t *at, char c)
{
    if (*at + 1 < size)
        out[(*at)++] = c;
    out[*at] = '\0';
}

static void
put_quoted(const char *text, size_t len, char *out, size_t size, size_t *at)
{
    put(out, size, at, '"');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"')
            put(out, size, at, '"');
        put(out, size, at, text[i]);
    }
    put(out, size, at, '"');
}

void
names_show(const char *name, char *out, size_t size)
{
    size_t at = 0;

    if (is_plain(name))
        snprintf(out, size, "%s", name);
    else
        put_quoted(name, strlen(name), out, size, &at);
}

struct shown_table
names_show_table(const char *schema, const char *table)
{
    struct shown_table shown;
    size_t len;

    names_show(schema, shown.text, sizeof shown.text / 2);
    len = strlen(shown.text);
    shown.text[len++] = '.';
    names_show(table, shown.text + len, sizeof shown.text - len);
    return shown;
}

/* Writes it bare if every character allows that. Stars always are bare. */
static void
put_part(const struct name_pattern *part, char *out, size_t size, size_t *at)
{
    for (size_t i = 0; part->text[i] != '\0';) {
        size_t end = i;

        if (is_any(part, i) || is_bare(part->text[i])) {
            put(out, size, at, part->text[i++]);
            continue;
        }
        while (part->text[end] != '\0' && !is_any(part, end) && !is_bare(part->text[end]))
            end++;
        put_quoted(part->text + i, end - i, out, size, at);
        i = end;
    }
}

void
names_show_pattern(const struct table_pattern *pattern, char *out, size_t size)
{
    size_t at = 0;

    if (pattern->exclude)
        put(out, size, &at, '!');
    put_part(&pattern->schema, out, size, &at);
    put(out, size, &at, '.');
    put_part(&pattern->table, out, size, &at);
}
