/* schema_choice.c: see schema_choice.h. Rows of a table with a key replace each other if their
 * ORDER BY and partition are equal. So both may depend on the key only, and ORDER BY on all of
 * it. */
#include "sink-ch/schema_choice.h"

#include <stdio.h>
#include <stdlib.h>

#include "sink-ch/convert/judge.h"
#include "sink-ch/items.h"
#include "sink-ch/schema_type.h"

static const char not_there[] = "correct the name, or remove it if the column was dropped";

/* The stream may be older than the column, which the catalog knows. */
static bool
is_to_come(const struct table *table, const char *name)
{
    return !table->informed || tableinfo_named(&table->info, name) != NULL;
}

/* The column's number in the relation, or columns_count if there is none. */
static uint32_t
find_column(const struct table *table, const char *name)
{
    uint32_t i = 0;

    while (i < table->relation.columns_count && strcmp(table->relation.columns[i].name, name) != 0)
        i++;
    return i;
}

/* The key's columns, if the source reports them. */
struct key {
    uint16_t columns[COLUMNS_MAX];
    uint32_t count;
};

static bool
is_in_key(const struct table *table, const struct key *key, const char *name)
{
    uint32_t number = find_column(table, name);

    return number < table->relation.columns_count &&
           (table_is_key(key->columns, key->count, number) ||
            (table->relation.replica_identity != 'f' && table->relation.columns[number].key));
}

/* ---- leave_out ---- */

static void
check_leave_out(const struct table *table, const struct key *key, struct report *report)
{
    for (const struct choice_column *c = table->choice->leave_out; c != NULL; c = c->next) {
        if (find_column(table, c->name) == table->relation.columns_count)
            report_say(
                report, is_to_come(table, c->name) ? FINDING_CHOICE : FINDING_FAIL, not_there,
                "leave_out names column \"%s\", which the source's table does not have", c->name);
        else if (is_in_key(table, key, c->name))
            report_say(report, FINDING_FAIL, "rows could not be told apart without it",
                       "leave_out names column \"%s\", which is part of the key", c->name);
    }
}

/* ---- column_types ---- */

static void
judge_type(const struct server *server, const struct table *table, const struct choice_column *c,
           bool key, struct report *report)
{
    const struct relation_column *column = &table->relation.columns[find_column(table, c->name)];
    uint32_t oid = schema_oid(column);
    const char *reason = "it is not a type that sink-ch writes";
    struct ch_type type = {.kind = CH_UNSUPPORTED};
    bool fits = chtype_parse(c->type, &type) == 0 &&
                convert_judge(&type, oid, column->typmod, &reason) != CONVERT_NEVER;

    if (fits && type.kind == CH_JSON && !server->has_json) {
        fits = false;
        reason = "this ClickHouse does not read JSON columns in RowBinary as text";
    }
    if (fits && key && type.nullable) {
        fits = false;
        reason = "a key column cannot be Nullable";
    }
    if (fits && key)
        fits = !convert_key_melts(&type, oid, &reason);
    if (!fits)
        report_say(report, FINDING_FAIL, "types(7) lists what a column may be",
                   "column_types gives column \"%s\" the type %s: %s", c->name, c->type, reason);
    chtype_free(&type);
}

static void
check_types(const struct server *server, const struct table *table, const struct key *key,
            struct report *report)
{
    for (const struct choice_column *c = table->choice->types; c != NULL; c = c->next) {
        if (find_column(table, c->name) == table->relation.columns_count)
            report_say(report, FINDING_CHOICE, not_there,
                       "column_types names column \"%s\", which the source's table does not have",
                       c->name);
        else
            judge_type(server, table, c, is_in_key(table, key, c->name), report);
    }
}

/* ---- order_by ---- */

static void
check_order_by(const struct table *table, const struct key *key, struct report *report)
{
    uint32_t found = 0;

    for (const struct choice_column *c = table->choice->order_by; c != NULL; c = c->next) {
        if (!is_in_key(table, key, c->name)) {
            report_say(report, FINDING_FAIL,
                       "rows replace each other by ORDER BY: order_by may only bring the key's "
                       "columns into another order",
                       "order_by names \"%s\", which is not a key column of the source", c->name);
            return;
        }
        found++;
    }
    if (found > 0 && found != key->count)
        report_say(report, FINDING_FAIL,
                   "rows replace each other by ORDER BY: order_by must name all key columns",
                   "order_by lacks key columns of the source");
}

/* Rows are only added then. But ClickHouse refuses NULL in a sorting key. */
static void
check_free_order_by(const struct table *table, struct report *report)
{
    for (const struct choice_column *c = table->choice->order_by; c != NULL; c = c->next) {
        uint32_t number = find_column(table, c->name);

        if (number == table->relation.columns_count || table_leaves_out(table, number))
            report_say(report, FINDING_FAIL, not_there,
                       "order_by names column \"%s\", which the table does not have", c->name);
        else if (table->choice->nullable != NULLABLE_SOURCE || !table_not_null(table, number))
            report_say(report, FINDING_FAIL,
                       "only columns that are NOT NULL in the source, with nullable = source",
                       "order_by names column \"%s\", which would be Nullable", c->name);
    }
}

/* ---- partition_by ---- */

struct scan {
    const char *at;
    int depth;
    bool strange; /* it has characters that no expression of columns and functions has */
};

/* Takes a quoted name or text. scan->at is at the quote. */
static void
take_quoted(struct scan *scan, char *out, size_t size)
{
    char quote = *scan->at++;
    size_t n = 0;

    for (; *scan->at != '\0' && *scan->at != quote; scan->at++) {
        if (*scan->at == '\\' && scan->at[1] != '\0')
            scan->at++;
        if (n + 1 < size)
            out[n++] = *scan->at;
    }
    out[n] = '\0';
    scan->strange = scan->strange || *scan->at == '\0';
    scan->at += *scan->at == quote;
}

static void
take_sign(struct scan *scan)
{
    scan->depth += (*scan->at == '(') - (*scan->at == ')');
    scan->strange = scan->strange || strchr(" (),+-*/%.", *scan->at) == NULL || scan->depth < 0 ||
                    strncmp(scan->at, "--", 2) == 0 || strncmp(scan->at, "/*", 2) == 0;
    scan->at++;
}

/* Takes the next name in the expression that is not a function's. Returns false at the end. */
static bool
next_name(struct scan *scan, char *name, size_t size)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

    while (*scan->at != '\0') {
        const char *start = scan->at;
        size_t len = strspn(start, word);

        if (len > 0) {
            scan->at += len;
            snprintf(name, size, "%.*s", (int)len, start);
            if ((*start < '0' || *start > '9') && scan->at[strspn(scan->at, " ")] != '(')
                return true;
        } else if (strchr("`\"'", *start) != NULL) {
            take_quoted(scan, name, size);
            if (*start != '\'')
                return true;
        } else {
            take_sign(scan);
        }
    }
    return false;
}

static void
check_partition_by(const struct table *table, const struct key *key, struct report *report)
{
    struct scan scan = {.at = table->choice->partition_by};
    char name[256];

    while (next_name(&scan, name, sizeof name)) {
        uint32_t number = find_column(table, name);

        if (table_has_key(table)
                ? is_in_key(table, key, name)
                : number < table->relation.columns_count && !table_leaves_out(table, number))
            continue;
        report_say(report, FINDING_FAIL,
                   table_has_key(table)
                       ? "rows in different partitions never replace each other: partition by an "
                         "expression of key columns, of functions instead of words like AND"
                       : not_there,
                   "partition_by names \"%s\", which is no %scolumn of the source", name,
                   table_has_key(table) ? "key " : "");
        return;
    }
    if (scan.strange || scan.depth != 0)
        report_say(report, FINDING_FAIL, "expected functions of columns, as toYYYYMM(day)",
                   "partition_by is not an expression: %.200s", table->choice->partition_by);
}

/* ---- engine ---- */

/* The length of the name in NAME, or NAME('text', ...). 0 if it has another form. */
static size_t
engine_name_length(const char *engine)
{
    size_t len = strspn(engine, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    struct scan scan = {.at = engine + len + strspn(engine + len, " ")};
    char ignored[256];

    if (*scan.at == '\0')
        return len;
    if (*scan.at++ != '(')
        return 0;
    do {
        scan.at += strspn(scan.at, " ");
        if (*scan.at != '\'')
            return 0;
        take_quoted(&scan, ignored, sizeof ignored);
        scan.at += strspn(scan.at, " ");
    } while (*scan.at++ == ',');
    return !scan.strange && strcmp(scan.at - 1, ")") == 0 ? len : 0;
}

static bool
is_one_of(const char *name, size_t len, const char *family)
{
    static const char *const prefixes[] = {"", "Replicated", "Shared"};

    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i]);

        if (strncmp(name, prefixes[i], n) == 0 && len == n + strlen(family) &&
            strncmp(name + n, family, len - n) == 0)
            return true;
    }
    return false;
}

static void
check_engine(const struct table *table, struct report *report)
{
    const char *engine = table->choice->engine;
    const char *family = table_has_key(table) ? "ReplacingMergeTree" : "MergeTree";
    size_t len = engine_name_length(engine);

    if (len == 0)
        report_say(report, FINDING_FAIL,
                   "expected a name, in parentheses the texts that it needs; the version and the "
                   "deleted column are put behind them",
                   "engine is not understood: %.200s", engine);
    else if (!is_one_of(engine, len, family))
        report_say(report, FINDING_FAIL, "expected it, or Replicated or Shared in front",
                   "engine %.*s would merge or lose rows of a table with%s a key, which needs %s",
                   (int)len, engine, table_has_key(table) ? "" : "out", family);
}

void
schema_choice_put_engine(const struct table *table, const char *version, const char *deleted,
                         struct buf *sql)
{
    const char *engine = table->choice->engine;
    size_t len = engine == NULL ? 0 : strlen(engine);
    bool open = len > 0 && engine[len - 1] == ')';

    if (engine != NULL)
        buf_append(sql, engine, len - open);
    else
        server_put_text(sql, version == NULL ? "MergeTree" : "ReplacingMergeTree");
    if (version != NULL) {
        server_put_text(sql, open ? ", " : "(");
        server_put_name(sql, version);
        open = true;
    }
    if (deleted != NULL) {
        server_put_text(sql, ", ");
        server_put_name(sql, deleted);
    }
    server_put_text(sql, open ? ")" : "");
}

/* ---- all of it ---- */

void
schema_choice_check(const struct server *server, const struct table *table, struct report *report)
{
    const struct choice *choice = table->choice;
    struct key key = {0};
    bool known;

    key.count = table_key(table, key.columns);
    known = table_has_key(table) && key.count > 0;
    check_leave_out(table, &key, report);
    check_types(server, table, &key, report);
    if (known)
        check_order_by(table, &key, report);
    else if (!table_has_key(table))
        check_free_order_by(table, report);
    if (choice->partition_by != NULL && (known || !table_has_key(table)))
        check_partition_by(table, &key, report);
    if (choice->engine != NULL)
        check_engine(table, report);
}

/* ---- a table that is there ---- */

static const char is_older[] =
    "the table stays as it is: make it anew, or change the config to match it";

bool
schema_choice_same(const char *a, const char *b)
{
    struct buf bare[2] = {{0}, {0}};
    const char *texts[] = {a, b};
    bool same;

    for (int i = 0; i < 2; i++) {
        for (const char *at = texts[i]; *at != '\0'; at++)
            if (strchr(" \n`", *at) == NULL)
                buf_append(&bare[i], at, 1);
        buf_append(&bare[i], "", 1);
        if (bare[i].failed) {
            buf_free(&bare[0]);
            buf_free(&bare[1]);
            return true;
        }
        describe_strip_parentheses((char *)bare[i].data);
    }
    same = strcmp((const char *)bare[0].data, (const char *)bare[1].data) == 0;
    buf_free(&bare[0]);
    buf_free(&bare[1]);
    return same;
}

static void
compare_engine(const struct table *table, const struct described *d, struct report *report)
{
    const char *engine = table->choice->engine;
    size_t len = engine == NULL ? 0 : engine_name_length(engine);

    if (engine != NULL && (strlen(d->engine) != len || strncmp(d->engine, engine, len) != 0))
        report_say(report, FINDING_CHOICE, is_older, "engine is %.*s, and that of %s is %s",
                   (int)len, engine, table->target_sql, d->engine);
}

static void
compare_order_by(const struct table *table, const struct described *d, struct report *report)
{
    const struct choice_column *c = table->choice->order_by;
    const char *at = d->sorting_key;
    char name[256];
    bool plain;

    if (c == NULL)
        return;
    while (items_next(&at, name, sizeof name, &plain) && c != NULL && strcmp(c->name, name) == 0)
        c = c->next;
    if (c != NULL)
        report_say(report, FINDING_CHOICE, is_older,
                   "order_by has other columns, or another order, than %s (%s)", table->target_sql,
                   d->sorting_key);
}

static void
compare_partition_by(const struct table *table, const struct described *d, struct report *report)
{
    const char *wanted = table->choice->partition_by;
    char *real = describe_partition_by(d);

    if (wanted != NULL && real != NULL && !schema_choice_same(wanted, real))
        report_say(report, FINDING_CHOICE, is_older,
                   "partition_by is %.150s, and %s is partitioned by %.150s", wanted,
                   table->target_sql, real[0] == '\0' ? "nothing" : real);
    free(real);
}

static void
compare_column(const struct server *server, const struct table *table, const struct column *column,
               struct report *report)
{
    struct buf wanted = {0};
    bool chosen = schema_type_is_chosen(server, table, column->source, column->key);
    const char *text;

    schema_put_type(server, table, column->source, column->key, &wanted);
    buf_append(&wanted, "", 1);
    text = wanted.failed ? "" : (const char *)wanted.data;
    if (!wanted.failed &&
        (chosen ? !schema_choice_same(text, column->type_text)
                : table->choice->nullable != 0 && !column->key && column->type.kind != CH_ARRAY &&
                      (strncmp(text, "Nullable(", 9) == 0) != column->type.nullable))
        report_say(report, FINDING_CHOICE, is_older,
                   "column \"%s\" is to be %.150s by the config, and is %.150s in %s", column->name,
                   text, column->type_text, table->target_sql);
    buf_free(&wanted);
}

void
schema_choice_compare(const struct server *server, const struct table *table,
                      const struct described *d, struct report *report)
{
    compare_engine(table, d, report);
    compare_order_by(table, d, report);
    compare_partition_by(table, d, report);
    for (uint32_t i = 0; i < table->columns_count; i++)
        compare_column(server, table, &table->columns[i], report);
}
