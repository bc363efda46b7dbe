/* choice.h: the config's choices of how tables are made, for all of them and for single ones. Only
 * their form is checked here. schema_choice.h checks whether they suit a table. */
#ifndef WALPIPE_SINKCH_CHOICE_H
#define WALPIPE_SINKCH_CHOICE_H

#include "lib/names.h"

/* 0 is the behaviour without a choice. */
enum choice_nullable { NULLABLE_ALWAYS = 1, NULLABLE_SOURCE };
enum choice_arrays { ARRAYS_TEXT = 1, ARRAYS_ARRAY };
enum choice_json { JSON_TEXT = 1, JSON_JSON };

/* A column, or a column and its type. */
struct choice_column {
    struct choice_column *next;
    char name[NAME_MAX_BYTES + 1];
    char type[]; /* "" where there is none */
};

/* Strings are the command line's, lists the struct's own, in the order in which they were given. */
struct choice {
    struct table_name of;     /* "" for that of all tables */
    const char *engine;       /* NULL for walpipe's choice */
    const char *partition_by; /* NULL if none */
    struct choice_column *order_by;
    struct choice_column *leave_out;
    struct choice_column *types;
    int nullable, arrays, json; /* the enums above */
};

/* Zero-initialise to use. */
struct choices {
    struct choice all;
    struct choice *tables;
    size_t count;
};

/* Takes the value of the option of that name, which is table, engine, order-by, partition-by,
 * column-types, leave-out, nullable, arrays or json. Options behind a table belong to it, others to
 * all tables. Returns 0, or -1 with err. */
int choices_set(struct choices *choices, const char *option, const char *value,
                struct err *err) MUST_CHECK;

/* Call it after the last option. Fills in the choices for all tables where a table has none of its
 * own. */
void choices_settle(struct choices *choices);

/* Never NULL. */
const struct choice *choices_find(const struct choices *choices, const char *schema,
                                  const char *table);

/* The list's entry of that name, or NULL if there is none. */
const struct choice_column *choice_find(const struct choice_column *list, const char *name);

void choices_free(struct choices *choices);

#endif
