/* table.c: see table.h. */
#include "sink-ch/table.h"

#include "sink-ch/notetable.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

char *
table_target_sql(const struct target_name *target)
{
    struct buf sql = {0};

    server_put_name(&sql, target->database);
    server_put_text(&sql, ".");
    server_put_name(&sql, target->table);
    buf_append(&sql, "", 1);
    if (sql.failed) {
        buf_free(&sql);
        return NULL;
    }
    buf_fit(&sql);
    return (char *)sql.data;
}

struct table *
table_new(struct relation *relation, uint32_t number, const struct options *options,
          struct err *err)
{
    struct table *table = calloc(1, sizeof *table);

    if (table == NULL) {
        relation_free(relation);
        err_set(err, EXIT_PEER, "out of memory for a table");
        return NULL;
    }
    table->number = number;
    table->relation = *relation;
    *relation = (struct relation){0};
    snprintf(table->source_name, sizeof table->source_name, "%s.%s", table->relation.schema,
             table->relation.name);
    table->choice = choices_find(&options->choices, table->relation.schema, table->relation.name);
    if (mapping_target(&options->map, options->database, table->relation.schema,
                       table->relation.name, &table->target) != 0) {
        err_set(err, EXIT_REFUSED, "the name of table \"%s\" is too long", table->source_name);
        goto failed;
    }
    table->target_sql = table_target_sql(&table->target);
    if (table->target_sql == NULL) {
        err_set(err, EXIT_PEER, "out of memory for a table");
        goto failed;
    }
    return table;
failed:
    table_free(table);
    return NULL;
}

bool
table_has_key(const struct table *table)
{
    for (uint32_t i = 0; i < table->relation.columns_count; i++)
        if (table->relation.columns[i].key)
            return true;
    return false;
}

void
table_inform(struct table *table, struct tableinfo *info)
{
    tableinfo_free(&table->info);
    table->informed = tableinfo_agrees(info, &table->relation);
    if (table->informed)
        table->info = *info;
    else
        tableinfo_free(info);
    *info = (struct tableinfo){0};
}

/* Returns 0 if one of the key's columns is not published. */
static uint32_t
key_of_info(const struct table *table, const struct tableinfo_key *key, uint16_t *columns)
{
    const struct relation *relation = &table->relation;

    for (uint32_t k = 0; k < key->count; k++) {
        const struct tableinfo_column *column = tableinfo_at(&table->info, key->attnums[k]);
        uint32_t i = 0;

        while (column != NULL && i < relation->columns_count &&
               strcmp(relation->columns[i].name, column->name) != 0)
            i++;
        if (column == NULL || i == relation->columns_count)
            return 0;
        columns[k] = (uint16_t)i;
    }
    return key->count;
}

uint32_t
table_key(const struct table *table, uint16_t *columns)
{
    const struct relation *relation = &table->relation;
    uint32_t count = 0;

    if (relation->replica_identity == 'f')
        return table->informed ? key_of_info(table, &table->info.primary, columns) : 0;
    if (table->informed)
        count = key_of_info(table, &table->info.identity, columns);
    if (count != 0)
        return count;
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (relation->columns[i].key)
            columns[count++] = (uint16_t)i;
    return count;
}

bool
table_is_key(const uint16_t *key, uint32_t count, uint32_t column)
{
    for (uint32_t i = 0; i < count; i++)
        if (key[i] == column)
            return true;
    return false;
}

bool
table_leaves_out(const struct table *table, uint32_t column)
{
    return choice_find(table->choice->leave_out, table->relation.columns[column].name) != NULL;
}

bool
table_not_null(const struct table *table, uint32_t column)
{
    const struct tableinfo_column *known =
        table->informed ? tableinfo_named(&table->info, table->relation.columns[column].name)
                        : NULL;

    return known != NULL && known->not_null;
}

void
table_unload(struct table *table)
{
    for (uint32_t i = 0; i < table->columns_count; i++) {
        free(table->columns[i].name);
        free(table->columns[i].type_text);
        chtype_free(&table->columns[i].type);
    }
    free(table->columns);
    free(table->insert_sql);
    buf_free(&table->shape);
    buf_free(&table->described);
    table->columns = NULL;
    table->insert_sql = NULL;
    table->columns_count = table->keys_count = 0;
    table->loaded = table->keyed = table->has_version = table->has_deleted = false;
    table->mark = (struct mark){0};
}

void
table_free(struct table *table)
{
    if (table == NULL)
        return;
    table_unload(table);
    relation_free(&table->relation);
    tableinfo_free(&table->info);
    seen_free(&table->seen);
    free(table->past);
    free(table->target_sql);
    free(table);
}

bool
table_name_fits(const char *name, const char *suffix)
{
    size_t n = strlen(suffix) + strlen(".sql");

    for (; *name != '\0'; name++)
        n += (*name >= '0' && *name <= '9') || (*name >= 'a' && *name <= 'z') ||
                     (*name >= 'A' && *name <= 'Z') || *name == '_'
                 ? 1
                 : 3;
    return n <= TARGET_NAME_MAX;
}

void
table_put_version(uint32_t width, struct version version, struct buf *sql)
{
    char text[96];

    if (width == 16)
        snprintf(text, sizeof text, "bitShiftLeft(toUInt128(%" PRIu64 "), 64) + %" PRIu64,
                 version.high, version.low);
    else
        snprintf(text, sizeof text, "toUInt64(%" PRIu64 ")", version.high);
    server_put_text(sql, text);
}

int
table_check_own(const char *source_name, const char *target, struct err *err)
{
    static const char *const own[] = {JOURNAL_TABLE,   NOTETABLE_TABLES, NOTETABLE_MISSING,
                                      NOTETABLE_SKIPS, NOTETABLE_LACKS,  NOTETABLE_PARKED};
    bool is_own = false;

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        is_own = is_own || strcmp(target, own[i]) == 0;
    if (!is_own)
        return 0;
    err_set(err, EXIT_REFUSED,
            "table \"%s\" of the source goes to %s, where walpipe keeps notes of its own",
            source_name, target);
    return err_hint(err, "set map for it, or leave it out of the sink's tables");
}

/* A table that was dropped and made again has the same name and another relid. */
int
table_check_target(const struct table *table, struct table *const *tables, uint32_t count,
                   bool loaded_only, struct err *err)
{
    if (table_check_own(table->source_name, table->target.table, err) != 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        const struct table *other = tables[i];

        if ((loaded_only && !other->loaded) || strcmp(other->target_sql, table->target_sql) != 0 ||
            strcmp(other->source_name, table->source_name) == 0 ||
            other->relation.relid == table->relation.relid)
            continue;
        err_set(err, EXIT_REFUSED, "tables \"%s\" and \"%s\" of the source both go to %s",
                other->source_name, table->source_name, table->target_sql);
        return err_hint(err, "their rows would replace each other: set map for one of them, or "
                             "leave it out of the sink's tables");
    }
    return 0;
}

int
table_place(const struct table *table, uint64_t lsn, struct err *err)
{
    snprintf(err->relation, sizeof err->relation, "%s", table->source_name);
    err->lsn = lsn;
    return -1;
}

int
table_error(const struct table *table, uint64_t lsn, struct err *err)
{
    err->culprit = table->relation.relid;
    return table_place(table, lsn, err);
}
