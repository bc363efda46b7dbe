/* plan.c: see plan.h. Names of the target are never put together from what a catalog said without
 * quoting. */
#include "sink-pg/plan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink-pg/catalog.h"
#include "sink-pg/fits.h"
#include "sink-pg/sqltext.h"

#define FIRST_NORMAL_OID 16384

/* What is read while a plan is made. */
struct making {
    struct session *session;
    const struct relation *relation;
    const char *label;
    PGresult *columns;
    PGresult *indexes;
    uint32_t *source; /* for each target column its place in the plan, or UINT32_MAX */
    struct plan_notes *notes;
    struct plan *plan;
};

PRINTF_LIKE(2, 3)
static void
note(struct making *m, const char *fmt, ...)
{
    va_list ap;

    if (m->notes == NULL || m->notes->count == sizeof m->notes->text / sizeof *m->notes->text)
        return;
    va_start(ap, fmt);
    vsnprintf(m->notes->text[m->notes->count++], sizeof m->notes->text[0], fmt, ap);
    va_end(ap);
}

static bool
is_true(const PGresult *r, int row, int field)
{
    return PQgetvalue(r, row, field)[0] == 't';
}

static bool
is_given(const PGresult *r, int row, int field)
{
    return PQgetvalue(r, row, field)[0] != '\0';
}

/* Types whose `=` is true only for values that print alike: bool, bytea, "char", name, int8, int2,
 * int4, text, oid, varchar, date, time, timestamp, timestamptz, uuid; and enums. */
static bool
is_exact(uint32_t oid, char kind)
{
    static const uint32_t exact[] = {16, 17,   18,   19,   20,   21,   23,  25,
                                     26, 1043, 1082, 1083, 1114, 1184, 2950};

    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        if (exact[i] == oid)
            return true;
    return kind == 'e';
}

static const struct relation_column *
find_source(const struct relation *r, const char *name, uint32_t *place)
{
    for (uint32_t i = 0; i < r->columns_count; i++)
        if (strcmp(r->columns[i].name, name) == 0) {
            *place = i;
            return &r->columns[i];
        }
    return NULL;
}

/* Binary values can be taken as they are only when the type is the same one. */
static void
compare_types(struct making *m, const struct relation_column *from, struct plan_column *to, int row)
{
    bool built_in = from->type_oid < FIRST_NORMAL_OID;

    to->source_oid = built_in ? from->type_oid : to->type_oid;
    if (built_in && from->type_oid != to->type_oid) {
        m->plan->binary_copies = false;
        m->plan->odd_types = true;
        note(m, "column %s: the source's type has oid %" PRIu32 ", the target's is %s", to->name,
             from->type_oid, to->type);
    }
    if (PQgetvalue(m->columns, row, COL_TYPE_KIND)[0] == 'd' || to->oids)
        m->plan->binary_copies = false;
    if (!built_in && strcmp(from->type_name, PQgetvalue(m->columns, row, COL_TYPE_NAME)) != 0 &&
        PQgetvalue(m->columns, row, COL_TYPE_KIND)[0] != 'd')
        m->plan->binary_copies = false;
    to->recode = recode_of(to->type_oid, PQgetvalue(m->columns, row, COL_TYPE_KIND)[0]);
    m->plan->recodes &= m->plan->binary_copies && to->recode != RECODE_NONE;
}

/* Types that lose something without an error are refused before the first row. */
static int
refuse_loss(const struct making *m, const struct relation_column *from, int row, struct err *err)
{
    struct fits_type source = {.oid = from->type_oid, .typmod = from->typmod};
    struct fits_type target = {
        .oid = (uint32_t)strtoul(PQgetvalue(m->columns, row, COL_BASE_TYPE_OID), NULL, 10),
        .typmod = (int32_t)strtol(PQgetvalue(m->columns, row, COL_BASE_TYPMOD), NULL, 10)};
    const char *loss = fits_loss(source, target);

    if (loss == NULL)
        return 0;
    err_set(err, EXIT_REFUSED,
            "cannot apply to %s: its column \"%s\" is %s, which cannot hold all values of the "
            "source's type: %s",
            m->label, from->name, PQgetvalue(m->columns, row, COL_FULL_TYPE), loss);
    return err_hint(err, "give the target's column the source's type, or a wider one");
}

/* regproc, regprocedure, regoper, regoperator, regclass, regtype, regconfig, regdictionary,
 * regnamespace, regrole, regcollation. */
static bool
is_object_name(uint32_t oid)
{
    return oid == 24 || (oid >= 2202 && oid <= 2206) || oid == 3734 || oid == 3769 || oid == 4089 ||
           oid == 4096 || oid == 4191;
}

static int
add_column(struct making *m, int row, struct err *err)
{
    const char *name = PQgetvalue(m->columns, row, COL_NAME);
    struct plan *plan = m->plan;
    const struct relation_column *from;
    struct plan_column *to;
    uint32_t place;

    from = find_source(m->relation, name, &place);
    m->source[row] = UINT32_MAX;
    if (is_given(m->columns, row, COL_GENERATED)) {
        if (from != NULL && from->key && m->relation->replica_identity != 'f')
            return err_set(err, EXIT_REFUSED,
                           "cannot apply to %s: its column \"%s\" is generated, but part of the "
                           "source's replica identity",
                           m->label, name);
        return 0;
    }
    if (from == NULL) {
        plan->extra = true;
        if (is_true(m->columns, row, COL_NOT_NULL) && !is_true(m->columns, row, COL_HAS_DEFAULT) &&
            !is_given(m->columns, row, COL_IDENTITY))
            note(m,
                 "column %s is not in the source, NOT NULL and has no default: inserts will "
                 "fail; give it a default",
                 name);
        return 0;
    }
    to = &plan->columns[plan->columns_count];
    m->source[row] = plan->columns_count++;
    to->source = place;
    to->name = from->name;
    to->type_oid = (uint32_t)strtoul(PQgetvalue(m->columns, row, COL_TYPE_OID), NULL, 10);
    to->not_null = is_true(m->columns, row, COL_NOT_NULL);
    to->exact = is_exact(to->type_oid, PQgetvalue(m->columns, row, COL_TYPE_KIND)[0]);
    snprintf(to->temp_type, sizeof to->temp_type, "%s", PQgetvalue(m->columns, row, COL_TEMP_TYPE));
    snprintf(to->type, sizeof to->type, "%s", PQgetvalue(m->columns, row, COL_TYPE));
    to->domain = PQgetvalue(m->columns, row, COL_TYPE_KIND)[0] == 'd';
    snprintf(to->equals, sizeof to->equals, "%s",
             PQgetisnull(m->columns, row, COL_EQUALS) ? "="
                                                      : PQgetvalue(m->columns, row, COL_EQUALS));
    to->scalar = is_object_name(from->type_oid);
    to->oids = to->scalar || is_true(m->columns, row, COL_OIDS);
    plan->identity_always |= PQgetvalue(m->columns, row, COL_IDENTITY)[0] == 'a';
    compare_types(m, from, to, row);
    return refuse_loss(m, from, row, err);
}

/* Every source column must be somewhere: nothing is dropped silently (trap 44). A generated target
 * column takes its value from its own expression. */
static int
require_all_columns(struct making *m, struct err *err)
{
    for (uint32_t i = 0; i < m->relation->columns_count; i++) {
        const char *name = m->relation->columns[i].name;
        int row = 0;

        while (row < PQntuples(m->columns) &&
               strcmp(PQgetvalue(m->columns, row, COL_NAME), name) != 0)
            row++;
        if (row < PQntuples(m->columns))
            continue;
        err_set(err, EXIT_REFUSED, "cannot apply to %s: the target table has no column \"%s\"",
                m->label, name);
        return err_hint(err, "add the column to the target table, then start again; nothing is "
                             "lost");
    }
    return 0;
}

static int
read_columns(struct making *m, struct err *err)
{
    int count = PQntuples(m->columns);

    m->plan->binary_copies = m->plan->recodes = true;
    m->plan->columns = calloc((size_t)count + 1, sizeof *m->plan->columns);
    m->plan->keys = calloc((size_t)count + 1, sizeof *m->plan->keys);
    m->source = calloc((size_t)count + 1, sizeof *m->source);
    if (m->plan->columns == NULL || m->plan->keys == NULL || m->source == NULL)
        return err_set(err, EXIT_PEER, "out of memory for the plan of %s", m->label);
    for (int row = 0; row < count; row++)
        if (add_column(m, row, err) != 0)
            return -1;
    return require_all_columns(m, err);
}

/* The plan's column for a target column number, or UINT32_MAX. */
static uint32_t
column_of_number(const struct making *m, const char *number)
{
    for (int row = 0; row < PQntuples(m->columns); row++)
        if (strcmp(PQgetvalue(m->columns, row, COL_NUMBER), number) == 0)
            return m->source[row];
    return UINT32_MAX;
}

static bool
is_in(const uint32_t *list, uint32_t count, uint32_t what)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] == what)
            return true;
    return false;
}

/* An index's columns as places in the plan; 0 when one of them is not in it. */
static uint32_t
index_columns(const struct making *m, int index, uint32_t *out)
{
    char text[32 * 8], *rest = NULL;
    uint32_t n = 0;

    snprintf(text, sizeof text, "%s", PQgetvalue(m->indexes, index, INDEX_COLUMNS));
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        out[n] = column_of_number(m, word);
        if (out[n] == UINT32_MAX || n == 31)
            return 0;
        n++;
    }
    return n;
}

/* FULL: the target's own primary key finds a row faster than all its columns. A deferrable one does
 * not tell rows apart: two may hold one key inside a transaction, as when they swap keys. */
static void
take_target_key(struct making *m)
{
    uint32_t columns[32];

    for (int i = 0; i < PQntuples(m->indexes); i++) {
        uint32_t n = index_columns(m, i, columns);

        if (!is_true(m->indexes, i, INDEX_PRIMARY) || !is_true(m->indexes, i, INDEX_IMMEDIATE) ||
            n == 0)
            continue;
        memcpy(m->plan->keys, columns, n * sizeof *columns);
        m->plan->keys_count = n;
    }
}

static void
take_source_key(struct making *m)
{
    struct plan *plan = m->plan;

    for (uint32_t i = 0; i < plan->columns_count; i++)
        if (m->relation->columns[plan->columns[i].source].key)
            plan->keys[plan->keys_count++] = i;
}

static void
find_arbiter(struct making *m)
{
    struct plan *plan = m->plan;
    uint32_t columns[32];

    for (int i = 0; i < PQntuples(m->indexes); i++) {
        uint32_t n = index_columns(m, i, columns);
        bool same = n == plan->keys_count && n > 0;

        for (uint32_t k = 0; k < n && same; k++)
            same = is_in(plan->keys, plan->keys_count, columns[k]);
        if (same && is_true(m->indexes, i, INDEX_IMMEDIATE))
            plan->arbiter = true;
        else if (same)
            plan->deferrable_key = true;
    }
}

static void
choose_match(struct making *m)
{
    struct plan *plan = m->plan;
    bool full = m->relation->replica_identity == 'f';

    if (full)
        take_target_key(m);
    else
        take_source_key(m);
    for (uint32_t k = 0; k < plan->keys_count; k++)
        plan->columns[plan->keys[k]].key = true;
    for (int row = 0; row < PQntuples(m->columns); row++)
        if (m->source[row] != UINT32_MAX && plan->columns[m->source[row]].key &&
            PQgetvalue(m->columns, row, COL_IDENTITY)[0] == 'a')
            plan->identity_key = true;
    plan->match = plan->keys_count > 0 ? MATCH_KEY : full ? MATCH_ROW : MATCH_NOTHING;
    find_arbiter(m);
    plan->overwrites = plan->arbiter && !full;
    if (plan->match == MATCH_KEY && !plan->arbiter)
        note(m,
             "no unique, immediate, valid index without a predicate on exactly the source's "
             "replica identity: updates and deletes go row by row, slowly%s",
             plan->deferrable_key ? " (there is one, but deferrable)" : "");
    if (plan->match == MATCH_ROW)
        note(m, "replica identity full and no primary key: rows are found by all their columns, "
                "slowly");
    if (plan->match == MATCH_NOTHING)
        note(m, "the source table has no key: only inserts can be applied");
}

static int
name_target(struct plan *plan, const char *schema, const char *name, struct err *err)
{
    struct buf sql = {0};

    sqltext_name(&sql, schema);
    sqltext_add(&sql, ".");
    sqltext_name(&sql, name);
    plan->target = sqltext_get(&sql) == NULL ? NULL : strdup((const char *)sql.data);
    buf_free(&sql);
    return plan->target == NULL ? err_set(err, EXIT_PEER, "out of memory for a table") : 0;
}

static int
read_table(struct making *m, const char *schema, const char *name, struct err *err)
{
    const char *names[] = {schema, name}, *oid[1];
    PGresult *table = catalog_ask(m->session, QUERY_TABLE, names, err);

    if (table == NULL)
        return -1;
    if (PQntuples(table) == 0) {
        PQclear(table);
        err_set(err, EXIT_REFUSED, "there is no table %s in the target database", m->label);
        return err_hint(err, "create the table in the target, or leave it out of this sink with "
                             "tables = ..., or give it another target with map");
    }
    oid[0] = PQgetvalue(table, 0, 0);
    m->plan->truncate_only = PQgetvalue(table, 0, 1)[0] == 'r';
    m->columns = catalog_ask(m->session, QUERY_COLUMNS, oid, err);
    if (m->columns != NULL)
        m->indexes = catalog_ask(m->session, QUERY_INDEXES, oid, err);
    PQclear(table);
    return m->columns == NULL || m->indexes == NULL ? -1 : 0;
}

struct plan *
plan_make(struct session *s, const struct relation *relation, const char *schema, const char *name,
          struct plan_notes *notes, struct err *err)
{
    char label[132];
    struct making m = {.session = s, .relation = relation, .label = label, .notes = notes};
    int rc = -1;

    snprintf(label, sizeof label, "%s.%s", schema, name);
    m.plan = calloc(1, sizeof *m.plan);
    if (m.plan == NULL) {
        err_set(err, EXIT_PEER, "out of memory for a table");
        return NULL;
    }
    m.plan->generation = s->generation;
    if (name_target(m.plan, schema, name, err) != 0 || read_table(&m, schema, name, err) != 0 ||
        read_columns(&m, err) != 0)
        goto out;
    choose_match(&m);
    rc = 0;
out:
    PQclear(m.columns);
    PQclear(m.indexes);
    free(m.source);
    if (rc == 0)
        return m.plan;
    plan_free(m.plan);
    return NULL;
}

void
plan_free(struct plan *plan)
{
    if (plan == NULL)
        return;
    while (plan->statements != NULL) {
        struct plan_stmt *stmt = plan->statements;

        plan->statements = stmt->next;
        free(stmt->mask);
        free(stmt->params);
        free(stmt);
    }
    free(plan->target);
    free(plan->columns);
    free(plan->keys);
    free(plan);
}
