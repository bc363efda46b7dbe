/* choice.c: see choice.h. */
#include "sink-ch/choice.h"

#include <stdlib.h>
#include <string.h>

/* ---- lists ---- */

const struct choice_column *
choice_find(const struct choice_column *list, const char *name)
{
    while (list != NULL && strcmp(list->name, name) != 0)
        list = list->next;
    return list;
}

static int
add_column(struct choice_column **list, const char *name, const char *type, size_t type_len,
           struct err *err)
{
    struct choice_column *column = malloc(sizeof *column + type_len + 1);

    if (choice_find(*list, name) != NULL) {
        free(column);
        return err_set(err, EXIT_REFUSED, "column \"%s\" is named twice", name);
    }
    if (column == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a list of columns");
    column->next = NULL;
    memcpy(column->name, name, strlen(name) + 1);
    memcpy(column->type, type, type_len);
    column->type[type_len] = '\0';
    while (*list != NULL)
        list = &(*list)->next;
    *list = column;
    return 0;
}

static int
add_names(struct choice_column **list, const char *value, struct err *err)
{
    char name[NAME_MAX_BYTES + 1];

    for (const char *at = value; at != NULL;)
        if (names_next(&at, name, err) != 0 || add_column(list, name, "", 0, err) != 0)
            return -1;
    return 0;
}

static int
add_types(struct choice_column **list, const char *value, struct err *err)
{
    struct typed_name typed;

    for (const char *at = value; at != NULL;)
        if (names_next_typed(&at, &typed, err) != 0 ||
            add_column(list, typed.name, typed.type, typed.type_len, err) != 0)
            return -1;
    return 0;
}

static void
free_list(struct choice_column *list)
{
    while (list != NULL) {
        struct choice_column *next = list->next;

        free(list);
        list = next;
    }
}

/* ---- values ---- */

/* *out becomes 1 or 2. */
static int
set_word(int *out, const char *first, const char *second, const char *value, struct err *err)
{
    if (strcmp(value, first) != 0 && strcmp(value, second) != 0)
        return err_set(err, EXIT_REFUSED, "expected %s or %s, not \"%s\"", first, second, value);
    *out = strcmp(value, first) == 0 ? 1 : 2;
    return 0;
}

static int
add_table(struct choices *choices, const char *value, struct err *err)
{
    struct choice *more = realloc(choices->tables, (choices->count + 1) * sizeof *more);
    struct choice choice = {0};

    if (more == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a list of tables");
    choices->tables = more;
    if (names_table(value, &choice.of, err) != 0)
        return -1;
    for (size_t i = 0; i < choices->count; i++)
        if (strcmp(more[i].of.schema, choice.of.schema) == 0 &&
            strcmp(more[i].of.table, choice.of.table) == 0)
            return err_set(err, EXIT_REFUSED, "table %s is named twice", value);
    more[choices->count++] = choice;
    return 0;
}

/* Sets a choice that only a single table may have. */
static int
set_own(struct choice *choice, const char *option, const char *value, struct err *err)
{
    if (strcmp(option, "engine") == 0)
        choice->engine = value;
    else if (strcmp(option, "partition-by") == 0)
        choice->partition_by = value;
    else if (strcmp(option, "order-by") == 0)
        return add_names(&choice->order_by, value, err);
    else if (strcmp(option, "leave-out") == 0)
        return add_names(&choice->leave_out, value, err);
    else
        return add_types(&choice->types, value, err);
    return 0;
}

int
choices_set(struct choices *choices, const char *option, const char *value, struct err *err)
{
    struct choice *choice =
        choices->count == 0 ? &choices->all : &choices->tables[choices->count - 1];

    if (strcmp(option, "table") == 0)
        return add_table(choices, value, err);
    if (strcmp(option, "nullable") == 0)
        return set_word(&choice->nullable, "always", "source", value, err);
    if (strcmp(option, "arrays") == 0)
        return set_word(&choice->arrays, "text", "array", value, err);
    if (strcmp(option, "json") == 0)
        return set_word(&choice->json, "text", "json", value, err);
    if (choices->count == 0)
        return err_set(err, EXIT_REFUSED, "expected --table SCHEMA.TABLE before it");
    return set_own(choice, option, value, err);
}

static void
settle(int *word, int all)
{
    if (*word == 0)
        *word = all;
}

void
choices_settle(struct choices *choices)
{
    for (size_t i = 0; i < choices->count; i++) {
        settle(&choices->tables[i].nullable, choices->all.nullable);
        settle(&choices->tables[i].arrays, choices->all.arrays);
        settle(&choices->tables[i].json, choices->all.json);
    }
}

const struct choice *
choices_find(const struct choices *choices, const char *schema, const char *table)
{
    for (size_t i = 0; i < choices->count; i++)
        if (strcmp(choices->tables[i].of.schema, schema) == 0 &&
            strcmp(choices->tables[i].of.table, table) == 0)
            return &choices->tables[i];
    return &choices->all;
}

void
choices_free(struct choices *choices)
{
    for (size_t i = 0; i < choices->count; i++) {
        free_list(choices->tables[i].order_by);
        free_list(choices->tables[i].leave_out);
        free_list(choices->tables[i].types);
    }
    free(choices->tables);
    *choices = (struct choices){0};
}
