/* names.h: names and lists of tables as people write them in options and in the config. It is the
 * grammar of `tables`, `map` and `publication`. walpipe.conf(5), NAMES, describes it.
 *
 *     name    = bare | quoted
 *     bare    = lower-case letters, digits, _, $ and every character beyond ASCII
 *     quoted  = " anything but NUL, "" for a quote "
 *     pattern = [!] part . part             a part: bare, quoted and * one behind the other
 *     mapping = name . name -> [name .] name
 *     typed   = name -> the text of a type     up to a comma outside of quotes and parentheses
 *     list    = elements with commas between them, blanks anywhere around a name
 *
 * An upper-case letter needs quotes. PostgreSQL would fold it and ClickHouse would not, so the user
 * must choose. */
#ifndef WALPIPE_NAMES_H
#define WALPIPE_NAMES_H

#include "lib/base.h"
#include "lib/limits.h"

/* A database or table of ClickHouse, whose name is a file name too. */
#define TARGET_NAME_MAX 255

/* If bit i of any is set, text[i] is a * for any run of characters. */
struct name_pattern {
    char text[NAME_MAX_BYTES + 1];
    uint64_t any;
};

struct table_pattern {
    bool exclude; /* ! in front */
    struct name_pattern schema;
    struct name_pattern table;
};

struct table_mapping {
    char schema[NAME_MAX_BYTES + 1];
    char table[NAME_MAX_BYTES + 1];
    char to_schema[TARGET_NAME_MAX + 1]; /* or database, empty if only a table is given */
    char to_table[TARGET_NAME_MAX + 1];
};

struct table_name {
    char schema[NAME_MAX_BYTES + 1];
    char table[NAME_MAX_BYTES + 1];
};

/* A column and a type. Only the type's quotes and parentheses were checked. It points into the
 * list. */
struct typed_name {
    char name[NAME_MAX_BYTES + 1];
    const char *type;
    size_t type_len;
};

/* Each takes the next element of the list at *at and moves *at behind it, to NULL behind the last
 * one. Returns 0, or -1 with err, whose message and hint name the expected text and the place. */
int names_next(const char **at, char name[NAME_MAX_BYTES + 1], struct err *err) MUST_CHECK;
int names_next_pattern(const char **at, struct table_pattern *pattern, struct err *err) MUST_CHECK;
int names_next_mapping(const char **at, struct table_mapping *mapping, struct err *err) MUST_CHECK;
int names_next_typed(const char **at, struct typed_name *typed, struct err *err) MUST_CHECK;

/* text is one SCHEMA.TABLE without any other text. Returns 0, or -1 with err. */
int names_table(const char *text, struct table_name *table, struct err *err) MUST_CHECK;

/* As names_table, for an option of a command. A shell takes double quotes away, and messages have
 * none. So text without them that names_table refuses is taken as it is, if its only dot divides
 * it. */
int names_option_table(const char *text, struct table_name *table, struct err *err) MUST_CHECK;

bool names_match(const struct name_pattern *pattern, const char *name);

/* Writes the name to out as people would write it, for messages. Cut where out is full. */
void names_show(const char *name, char *out, size_t size);

/* SCHEMA.TABLE in this form, which SQL and names_table take. It is not cut. */
struct shown_table {
    char text[2 * (2 * NAME_MAX_BYTES + 2) + 2];
};
struct shown_table names_show_table(const char *schema, const char *table);
void names_show_pattern(const struct table_pattern *pattern, char *out, size_t size);

#endif
