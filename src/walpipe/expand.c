/* expand.c: see expand.h. */
#include "walpipe/expand.h"

#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t\r\n\f\v";
static const char begin[] = "${";
static const char escaped[] = "$${";

/* The place in a connection string, by the rules of libpq's conninfo_parse(). */
enum place { IN_KEYWORD, BEHIND_EQUALS, IN_WORD, IN_QUOTES };

struct expanding {
    enum expand_form form;
    struct variable **list;
    struct pool *pool;
    struct err *err;
    char *text; /* the result so far, with room for all of it */
    size_t len;
    enum place place;
    bool literal; /* a backslash is before it */
};

static void
add(struct expanding *e, char c)
{
    e->text[e->len++] = c;
}

/* A character of the value itself. */
static void
step(struct expanding *e, char c)
{
    bool blank = strchr(blanks, c) != NULL;

    add(e, c);
    if (e->literal || (e->place != IN_KEYWORD && c == '\\')) {
        e->literal = !e->literal;
        e->place = e->place == BEHIND_EQUALS ? IN_WORD : e->place;
    } else if (e->place == IN_KEYWORD && c == '=') {
        e->place = BEHIND_EQUALS;
    } else if (e->place == BEHIND_EQUALS && !blank) {
        e->place = c == '\'' ? IN_QUOTES : IN_WORD;
    } else if ((e->place == IN_WORD && blank) || (e->place == IN_QUOTES && c == '\'')) {
        e->place = IN_KEYWORD;
    }
}

static bool
is_part(const struct expanding *e)
{
    return e->form == EXPAND_CONNINFO && e->place != IN_KEYWORD;
}

static void
put(struct expanding *e, const char *value, char next)
{
    bool part = is_part(e);

    e->literal = false;
    /* libpq would take the next parameter for the value. */
    if (part && e->place == BEHIND_EQUALS && value[0] == '\0' &&
        (next == '\0' || strchr(blanks, next) != NULL)) {
        add(e, '\'');
        add(e, '\'');
        e->place = IN_KEYWORD;
        return;
    }
    for (const char *c = value; *c != '\0'; c++) {
        if (part && (*c == '\'' || *c == '\\' || strchr(blanks, *c) != NULL))
            add(e, '\\');
        add(e, *c);
    }
    if (part && e->place == BEHIND_EQUALS && value[0] != '\0')
        e->place = IN_WORD;
}

static void
note(struct expanding *e, const char *name)
{
    bool secret = e->form == EXPAND_CONNINFO;
    struct variable **v = e->list;

    while (*v != NULL && strcmp((*v)->name, name) != 0)
        v = &(*v)->next;
    if (*v == NULL) {
        *v = pool_take(e->pool, sizeof **v);
        **v = (struct variable){.name = name};
    }
    (*v)->secret = (*v)->secret || secret;
}

/* The name in "${NAME}" at at, NULL if it is not one. */
static const char *
take_name(struct expanding *e, const char *at)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    const char *name = at + strlen(begin);
    size_t len = strspn(name, all);

    if (name[len] != '}' || strspn(name, letters) == 0)
        return NULL;
    return pool_copy_bytes(e->pool, name, len);
}

/* The value of the variable at at, and its end in *end. NULL with err. */
static const char *
look_up(struct expanding *e, const char *at, const char **end)
{
    const char *name = take_name(e, at), *value = name == NULL ? NULL : getenv(name);

    if (name == NULL) {
        err_set(e->err, EXIT_REFUSED, "malformed variable behind \"$\"");
        err_hint(e->err, "expected ${NAME}; for the characters \"${\" themselves write \"$${\"");
        return NULL;
    }
    if (value == NULL) {
        err_set(e->err, EXIT_REFUSED, "the environment variable %s is not set", name);
        err_hint(e->err,
                 "set it for this command, or write \"$${%s}\" if these characters are meant",
                 name);
        return NULL;
    }
    note(e, name);
    *end = at + strlen(begin) + strlen(name) + 1;
    return value;
}

static bool
is_uri(const char *value)
{
    return strncmp(value, "postgres://", 11) == 0 || strncmp(value, "postgresql://", 13) == 0;
}

/* The largest result. Each character of a variable may need another one in front of it. */
static int
measure(struct expanding *e, const char *value, size_t *size)
{
    *size = strlen(value) + 1;
    for (const char *at = value; (at = strchr(at, '$')) != NULL;) {
        const char *text;

        if (strncmp(at, escaped, strlen(escaped)) == 0) {
            at += strlen(escaped);
        } else if (strncmp(at, begin, strlen(begin)) == 0) {
            if (e->form == EXPAND_CONNINFO && is_uri(value)) {
                err_set(e->err, EXIT_REFUSED, "a variable cannot be a part of a URI");
                return err_hint(e->err, "write host=${NAME} dbname=... instead, or let one "
                                        "variable hold the whole URI");
            }
            text = look_up(e, at, &at);
            if (text == NULL)
                return -1;
            *size += 2 * strlen(text) + 2;
        } else {
            at++;
        }
    }
    return 0;
}

int
expand_value(const char *value, enum expand_form form, const char **out, struct variable **list,
             struct pool *pool, struct err *err)
{
    struct expanding e = {.form = form, .list = list, .pool = pool, .err = err};
    size_t size;

    *out = value;
    if (strstr(value, begin) == NULL)
        return 0;
    if (measure(&e, value, &size) != 0)
        return -1;
    e.text = pool_take(pool, size);
    for (const char *at = value; *at != '\0';) {
        if (strncmp(at, escaped, strlen(escaped)) == 0) {
            step(&e, '$');
            step(&e, '{');
            at += strlen(escaped);
        } else if (strncmp(at, begin, strlen(begin)) == 0) {
            const char *text = look_up(&e, at, &at);

            if (text == NULL)
                return -1;
            put(&e, text, *at);
        } else {
            step(&e, *at++);
        }
    }
    *out = e.text;
    return 0;
}
