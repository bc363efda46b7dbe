/* sqltoken.c: see sqltoken.h. pg_dump sets standard_conforming_strings, so a backslash escapes only
 * in E'...' (PostgreSQL's manual, 4.1 Lexical Structure). */
#include "walpipe/sqltoken.h"

#include <string.h>

static bool
begins_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool
continues_name(char c)
{
    return begins_name(c) || (c >= '0' && c <= '9') || c == '$';
}

/* Returns the byte behind the closing quote. Two quotes are one of the text. */
static const char *
skip_quoted(const char *at, char quote, bool escapes)
{
    for (at++; *at != '\0'; at++) {
        if (escapes && *at == '\\' && at[1] != '\0')
            at++;
        else if (*at == quote && at[1] == quote)
            at++;
        else if (*at == quote)
            return at + 1;
    }
    return at;
}

/* at is at a $. Returns the byte behind $tag$...$tag$, or behind the $ alone. */
static const char *
skip_dollars(const char *at)
{
    const char *end = at + 1;
    size_t len;

    if (begins_name(*end))
        while (continues_name(*end) && *end != '$')
            end++;
    if (*end != '$')
        return at + 1;
    len = (size_t)(end + 1 - at);
    for (end++; *end != '\0'; end++)
        if (*end == '$' && strncmp(end, at, len) == 0)
            return end + len;
    return end;
}

static const char *
skip_block(const char *at)
{
    int depth = 0;

    do {
        int step = at[0] == '/' && at[1] == '*' ? 1 : at[0] == '*' && at[1] == '/' ? -1 : 0;

        depth += step;
        at += step == 0 ? 1 : 2;
    } while (depth > 0 && *at != '\0');
    return at;
}

static const char *
skip_word(const char *at)
{
    while (continues_name(*at))
        at++;
    return at;
}

static const char *
skip(const char *at, enum sqltoken_kind *kind)
{
    *kind = SQLTOKEN_OTHER;
    if ((at[0] == 'E' || at[0] == 'e') && at[1] == '\'')
        return skip_quoted(at + 1, '\'', true);
    if (at[0] == '$')
        return skip_dollars(at);
    if (at[0] == '/' && at[1] == '*')
        return skip_block(at);
    if (at[0] == '-' && at[1] == '-') {
        *kind = SQLTOKEN_COMMENT;
        return at + strcspn(at, "\n");
    }
    if (at[0] == '\'') {
        *kind = SQLTOKEN_STRING;
        return skip_quoted(at, '\'', false);
    }
    if (at[0] == '"' || begins_name(at[0])) {
        *kind = SQLTOKEN_NAME;
        return at[0] == '"' ? skip_quoted(at, '"', false) : skip_word(at);
    }
    if (at[0] >= '0' && at[0] <= '9') /* 1e5 has no name in it */
        return skip_word(at);
    return at + 1;
}

void
sqltoken_next(const char **at, struct sqltoken *token)
{
    size_t blanks = strspn(*at, " \t\r\n");

    token->start = *at;
    if (**at == '\0')
        token->kind = SQLTOKEN_END;
    else if (blanks > 0)
        token->kind = SQLTOKEN_OTHER;
    if (**at != '\0')
        *at = blanks > 0 ? *at + blanks : skip(*at, &token->kind);
    token->len = (size_t)(*at - token->start);
}

bool
sqltoken_is(const struct sqltoken *token, char c)
{
    return token->len == 1 && token->start[0] == c;
}
