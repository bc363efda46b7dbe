/* chtype.c: see chtype.h. The grammar is a name, then perhaps arguments in parentheses, which are
 * types, numbers, quoted strings or 'name' = number. */
#include "sink-ch/convert/chtype.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX  8
#define ITEMS_MAX  65536
#define LENGTH_MAX (1u << 30)

static const struct {
    const char *name;
    enum ch_kind kind;
    uint32_t width;
} plain_types[] = {
    {"Int8", CH_INT, 1},      {"Int16", CH_INT, 2},         {"Int32", CH_INT, 4},
    {"Int64", CH_INT, 8},     {"Int128", CH_INT, 16},       {"Int256", CH_INT, 32},
    {"UInt8", CH_UINT, 1},    {"UInt16", CH_UINT, 2},       {"UInt32", CH_UINT, 4},
    {"UInt64", CH_UINT, 8},   {"UInt128", CH_UINT, 16},     {"UInt256", CH_UINT, 32},
    {"Float32", CH_FLOAT, 4}, {"Float64", CH_FLOAT, 8},     {"String", CH_STRING, 0},
    {"UUID", CH_UUID, 16},    {"Date", CH_DATE, 2},         {"Date32", CH_DATE32, 4},
    {"Bool", CH_BOOL, 1},     {"DateTime", CH_DATETIME, 4}, {"IPv4", CH_IPV4, 4},
    {"IPv6", CH_IPV6, 16},    {"JSON", CH_JSON, 0},
};

/* The rest of the text. */
struct parse {
    const char *at;
    int depth;
};

static int parse_type(struct parse *p, struct ch_type *type);

static void
skip_spaces(struct parse *p)
{
    while (*p->at == ' ')
        p->at++;
}

static bool
take(struct parse *p, char c)
{
    skip_spaces(p);
    if (*p->at != c)
        return false;
    p->at++;
    return true;
}

static bool
take_number(struct parse *p, long *out)
{
    char *end;

    skip_spaces(p);
    if (*p->at != '-' && (*p->at < '0' || *p->at > '9'))
        return false;
    *out = strtol(p->at, &end, 10);
    p->at = end;
    return true;
}

static size_t
take_word(struct parse *p, char word[64])
{
    size_t n = 0;

    skip_spaces(p);
    while ((p->at[n] >= '0' && p->at[n] <= '9') || (p->at[n] >= 'A' && p->at[n] <= 'Z') ||
           (p->at[n] >= 'a' && p->at[n] <= 'z') || p->at[n] == '_')
        n++;
    if (n >= 64)
        return 0;
    memcpy(word, p->at, n);
    word[n] = '\0';
    p->at += n;
    return n;
}

/* Moves past the closing parenthesis of arguments that are not used. */
static bool
skip_arguments(struct parse *p)
{
    int depth = 1;
    bool quoted = false;

    for (; *p->at != '\0'; p->at++) {
        if (quoted && *p->at == '\\' && p->at[1] != '\0')
            p->at++;
        else if (*p->at == '\'')
            quoted = !quoted;
        else if (!quoted && *p->at == '(')
            depth++;
        else if (!quoted && *p->at == ')' && --depth == 0) {
            p->at++;
            return true;
        }
    }
    return false;
}

static char
unescaped(char c)
{
    static const char from[] = "bfnrt0";
    static const char to[] = "\b\f\n\r\t\0";
    const char *found = c == '\0' ? NULL : strchr(from, c);

    return found == NULL ? c : to[found - from];
}

/* Copies 'text' to out. Returns false if it is not a quoted one. */
static bool
take_quoted(struct parse *p, char *out, size_t *len)
{
    if (!take(p, '\''))
        return false;
    *len = 0;
    for (; *p->at != '\'' && *p->at != '\0'; p->at++) {
        char c = *p->at;

        if (c == '\\') {
            p->at++;
            if (*p->at == '\0')
                return false;
            c = unescaped(*p->at);
        }
        out[(*len)++] = c;
    }
    return take(p, '\'');
}

static int
parse_enum(struct parse *p, struct ch_type *type, uint32_t width)
{
    size_t text = strlen(p->at), max = 1;
    char *names;

    /* Every item but the last is followed by a comma, so the commas bound their number. */
    for (const char *s = p->at; *s != '\0'; s++)
        max += *s == ',';
    if (max > ITEMS_MAX)
        return -1;
    type->kind = CH_ENUM;
    type->width = width;
    type->items = malloc(max * sizeof *type->items + text + 1);
    if (type->items == NULL)
        return -1;
    names = (char *)(type->items + max);
    do {
        struct ch_enum_item *item = &type->items[type->items_count];
        long number;

        item->name = names;
        if (type->items_count == max || !take_quoted(p, names, &item->len) || !take(p, '=') ||
            !take_number(p, &number) || number < INT16_MIN || number > INT16_MAX)
            return -1;
        item->number = (int16_t)number;
        names += item->len;
        type->items_count++;
    } while (take(p, ','));
    return take(p, ')') ? 0 : -1;
}

static uint32_t
decimal_width(long precision)
{
    return precision <= 9 ? 4 : precision <= 18 ? 8 : precision <= 38 ? 16 : 32;
}

/* fixed is the precision that the name implies (Decimal32(S)), or 0. */
static int
parse_decimal(struct parse *p, struct ch_type *type, long fixed)
{
    long precision = fixed, scale;

    if ((fixed == 0 && (!take_number(p, &precision) || !take(p, ','))) || !take_number(p, &scale) ||
        !take(p, ')') || precision < 1 || precision > 76 || scale < 0 || scale > precision)
        return -1;
    *type = (struct ch_type){.kind = CH_DECIMAL,
                             .width = decimal_width(precision),
                             .precision = (uint32_t)precision,
                             .scale = (uint32_t)scale};
    return 0;
}

static int
parse_number_argument(struct parse *p, struct ch_type *type, enum ch_kind kind)
{
    long n;

    if (!take_number(p, &n) || n < (kind == CH_FIXED_STRING) ||
        n > (kind == CH_DATETIME64 ? 9 : (long)LENGTH_MAX) || !skip_arguments(p))
        return -1;
    *type = (struct ch_type){.kind = kind};
    type->width = kind == CH_DATETIME64 ? 8 : (uint32_t)n;
    type->scale = kind == CH_DATETIME64 ? (uint32_t)n : 0;
    return 0;
}

/* In JSON(max_dynamic_paths=8, ...) such numbers change nothing here. Paths with types of their own
 * would be converted by the server's rules. */
static int
parse_json(struct parse *p, struct ch_type *type)
{
    const struct parse start = *p;
    char word[64];
    long ignored;

    *type = (struct ch_type){.kind = CH_JSON};
    do {
        if (take_word(p, word) == 0 || strncmp(word, "max_dynamic_", 12) != 0 || !take(p, '=') ||
            !take_number(p, &ignored)) {
            *p = start;
            type->kind = CH_UNSUPPORTED;
            return skip_arguments(p) ? 0 : -1;
        }
    } while (take(p, ','));
    return take(p, ')') ? 0 : -1;
}

static int
parse_array(struct parse *p, struct ch_type *type)
{
    type->kind = CH_ARRAY;
    type->element = calloc(1, sizeof *type->element);
    if (type->element == NULL || parse_type(p, type->element) != 0)
        return -1;
    return take(p, ')') ? 0 : -1;
}

static int
parse_wrapper(struct parse *p, struct ch_type *type, const char *word)
{
    char function[64];

    if (strcmp(word, "SimpleAggregateFunction") == 0 &&
        (take_word(p, function) == 0 || !take(p, ',')))
        return -1;
    if (parse_type(p, type) != 0 || !take(p, ')'))
        return -1;
    if (strcmp(word, "Nullable") == 0)
        type->nullable = true;
    return 0;
}

static int
parse_with_arguments(struct parse *p, struct ch_type *type, const char *word)
{
    static const struct {
        const char *name;
        long precision;
    } decimals[] = {{"Decimal", 0},
                    {"Decimal32", 9},
                    {"Decimal64", 18},
                    {"Decimal128", 38},
                    {"Decimal256", 76}};

    for (size_t i = 0; i < sizeof decimals / sizeof *decimals; i++)
        if (strcmp(word, decimals[i].name) == 0)
            return parse_decimal(p, type, decimals[i].precision);
    if (strcmp(word, "Nullable") == 0 || strcmp(word, "LowCardinality") == 0 ||
        strcmp(word, "SimpleAggregateFunction") == 0)
        return parse_wrapper(p, type, word);
    if (strcmp(word, "Array") == 0)
        return parse_array(p, type);
    if (strcmp(word, "JSON") == 0)
        return parse_json(p, type);
    if (strcmp(word, "Enum8") == 0 || strcmp(word, "Enum16") == 0)
        return parse_enum(p, type, word[4] == '8' ? 1 : 2);
    if (strcmp(word, "FixedString") == 0)
        return parse_number_argument(p, type, CH_FIXED_STRING);
    if (strcmp(word, "DateTime64") == 0)
        return parse_number_argument(p, type, CH_DATETIME64);
    if (strcmp(word, "DateTime") == 0)
        *type = (struct ch_type){.kind = CH_DATETIME, .width = 4};
    return skip_arguments(p) ? 0 : -1;
}

static int
parse_type(struct parse *p, struct ch_type *type)
{
    char word[64];

    if (++p->depth > DEPTH_MAX || take_word(p, word) == 0)
        return -1;
    if (take(p, '(')) {
        if (parse_with_arguments(p, type, word) != 0)
            return -1;
    } else {
        for (size_t i = 0; i < sizeof plain_types / sizeof *plain_types; i++)
            if (strcmp(word, plain_types[i].name) == 0)
                *type =
                    (struct ch_type){.kind = plain_types[i].kind, .width = plain_types[i].width};
        if (strcmp(word, "DateTime64") == 0)
            *type = (struct ch_type){.kind = CH_DATETIME64, .width = 8, .scale = 3};
    }
    p->depth--;
    return 0;
}

int
chtype_parse(const char *text, struct ch_type *type)
{
    struct parse p = {.at = text};

    *type = (struct ch_type){0};
    if (parse_type(&p, type) == 0 && *p.at == '\0')
        return 0;
    chtype_free(type);
    return -1;
}

void
chtype_free(struct ch_type *type)
{
    if (type->element != NULL)
        chtype_free(type->element);
    free(type->element);
    free(type->items);
    *type = (struct ch_type){0};
}

bool
chtype_read_length(struct cursor *c, uint64_t *out)
{
    uint8_t byte;

    *out = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
        if (!cursor_u8(c, &byte))
            return false;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    return false;
}

bool
chtype_skip(const struct ch_type *type, struct cursor *c)
{
    struct bytes skipped;
    uint64_t n = type->width;
    uint8_t is_null;

    if (type->nullable) {
        if (!cursor_u8(c, &is_null))
            return false;
        if (is_null != 0)
            return true;
    }
    if (type->kind == CH_UNSUPPORTED)
        return false;
    if (type->kind != CH_STRING && type->kind != CH_JSON && type->kind != CH_ARRAY)
        return cursor_bytes(c, type->width, &skipped);
    if (!chtype_read_length(c, &n))
        return false;
    if (type->kind != CH_ARRAY)
        return n <= c->left && cursor_bytes(c, (size_t)n, &skipped);
    for (; n > 0; n--)
        if (!chtype_skip(type->element, c))
            return false;
    return true;
}
