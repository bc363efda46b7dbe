/* work.c: see work.h. */
#include "walpipe/compare/work.h"

#include <stdlib.h>
#include <string.h>

#include "lib/pgtype.h"
#include "walpipe/compare/chform.h"
#include "walpipe/compare/published.h"

/* A table of the source and its target. */
struct pairing {
    struct sink_work *w;
    const struct relation *relation;
    struct columns source, target;
    struct shape shape;
    struct pgside source_side, pg_side;
    struct chside ch_side;
    struct table_report *report;
    struct pool *pool;
};

/* ---- the shape ---- */

static const char *
quoted(const char *name, struct pool *pool)
{
    struct column column = {.name = name};

    return form_reference(&column, pool) + 2;
}

static const char *
qualified(const char *schema, const char *name, bool only, struct pool *pool)
{
    return pool_print(pool, "%s%s.%s", only ? "ONLY " : "", quoted(schema, pool),
                      quoted(name, pool));
}

static struct form_servers
servers_of(const struct sink_work *w)
{
    struct form_servers s = {.source_version = PQserverVersion(w->source)};

    s.source_utf8 = strcmp(PQparameterStatus(w->source, "server_encoding"), "UTF8") == 0;
    if (w->target != NULL) {
        s.target_version = PQserverVersion(w->target);
        s.target_utf8 = strcmp(PQparameterStatus(w->target, "server_encoding"), "UTF8") == 0;
    }
    return s;
}

/* The columns that are published, in the order of the relation. */
static void
begin_shape(struct pairing *p)
{
    const struct relation *r = p->relation;

    p->shape = (struct shape){.finder = -1, .order = "", .keyed = false};
    p->shape.columns = pool_take(p->pool, (r->columns_count + 1) * sizeof *p->shape.columns);
    p->shape.count = r->columns_count;
    for (uint32_t i = 0; i < r->columns_count; i++) {
        struct shape_column *c = &p->shape.columns[i];

        c->source = columns_find(&p->source, r->columns[i].name);
    }
}

/* Whether there is a key, and all its columns are compared. */
static bool
has_key(const struct shape *shape)
{
    bool any = false;

    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_column *c = &shape->columns[i];

        if (c->key && c->form.source == NULL)
            return false;
        any = any || c->key;
    }
    return any;
}

/* The first column of the key. */
static int
first_of_key(const struct shape *shape)
{
    for (size_t i = 0; i < shape->count; i++)
        if (shape->columns[i].source != NULL && shape->columns[i].source->place == 1)
            return (int)i;
    return -1;
}

static void
omit_columns(struct pairing *p)
{
    for (size_t i = 0; i < p->shape.count; i++) {
        const struct shape_column *c = &p->shape.columns[i];

        if (c->form.source == NULL && c->form.why != NULL)
            report_omission(p->report,
                            pool_print(p->pool, "column %s", p->relation->columns[i].name),
                            c->form.why, p->pool);
    }
}

static int
refuse(struct pairing *p, const char *why)
{
    report_omission(p->report, NULL, why, p->pool);
    return 1;
}

/* Returns 0, or 1 if nothing can be compared. */
static int
end_shape(struct pairing *p, bool keyed)
{
    size_t compared = 0;

    omit_columns(p);
    for (size_t i = 0; i < p->shape.count; i++)
        compared += p->shape.columns[i].form.source != NULL;
    if (compared == 0)
        return refuse(p, "none of its columns can be compared");
    p->shape.keyed = keyed && has_key(&p->shape);
    if (!p->shape.keyed)
        p->shape.finder = -1;
    return 0;
}

/* Whether every column of the source's key is published. */
static bool
publishes_key(const struct pairing *p)
{
    size_t place = 0, published = 0;

    for (size_t i = 0; i < p->source.count; i++)
        place += p->source.list[i].place > 0;
    for (size_t i = 0; i < p->shape.count; i++)
        published += p->shape.columns[i].source != NULL && p->shape.columns[i].source->place > 0;
    return place == published;
}

/* ---- a PostgreSQL target ---- */

static void
find_target(const struct pairing *p, const struct relation *r, const char **schema,
            const char **name)
{
    const struct table_mapping *m = tablemap_find(&p->w->sink->map, r->schema, r->name);

    *schema = m == NULL ? r->schema : m->to_schema;
    *name = m == NULL ? r->name : m->to_table;
}

/* Several tables of the source may have one target. */
static bool
shares_target(const struct pairing *p)
{
    const struct pgrelations *tables = &p->w->catalog->tables;
    const char *schema, *name, *other_schema, *other_name;

    find_target(p, p->relation, &schema, &name);
    for (size_t i = 0; i < tables->count; i++) {
        const struct relation *other = &tables->relations[i];

        if (other->relid == p->relation->relid ||
            !tablefilter_takes(&p->w->sink->filter, other->schema, other->name))
            continue;
        find_target(p, other, &other_schema, &other_name);
        if (strcmp(schema, other_schema) == 0 && strcmp(name, other_name) == 0)
            return true;
    }
    return false;
}

static void
choose_pg_finder(struct pairing *p, const struct form_servers *servers)
{
    struct shape *s = &p->shape;
    int first = first_of_key(s);
    const struct column *a, *b;

    if (first < 0 || s->columns[first].target == NULL)
        return;
    a = s->columns[first].source;
    b = s->columns[first].target;
    s->quoted = !form_is_integer(a->oid);
    if (form_is_integer(a->oid) && form_is_integer(b->oid)) {
        s->finder = first;
        s->ranged = true;
    } else if (form_finds(a, b)) {
        s->finder = first;
        s->ranged = a->oid == PG_UUID || (form_is_text(a->oid) && a->bytewise &&
                                          servers->source_utf8 && servers->target_utf8);
        s->order = s->ranged && form_is_text(a->oid) ? " COLLATE \"C\"" : "";
    }
}

static void
pair_columns(struct pairing *p, const struct form_servers *servers)
{
    for (size_t i = 0; i < p->shape.count; i++) {
        struct shape_column *c = &p->shape.columns[i];

        c->target = columns_find(&p->target, p->relation->columns[i].name);
        c->key = c->source != NULL && c->source->place > 0;
        if (c->source == NULL)
            c->form.why = "the source has no such column any more";
        else if (c->target == NULL)
            c->form.why = "the target has no such column";
        else if (c->target->generated && !c->source->generated)
            c->form.why = "the target computes it";
        else
            form_pair(&c->form, c->source, c->target, servers, p->pool);
    }
}

static int
pair_with_pg(struct pairing *p, struct err *err)
{
    const struct form_servers servers = servers_of(p->w);
    const char *schema, *name;

    find_target(p, p->relation, &schema, &name);
    if (shares_target(p))
        return refuse(p, "other tables of the source have the same target table");
    if (columns_read(&p->target, p->w->target, schema, name, p->pool, err) != 0)
        return refuse(p, err->message);
    if (!p->target.exists)
        return refuse(p, pool_print(p->pool, "the target has no table %s.%s", schema, name));
    pair_columns(p, &servers);
    choose_pg_finder(p, &servers);
    pgside_begin(&p->pg_side, p->w->target, true);
    p->pg_side.shape = &p->shape;
    p->pg_side.from = qualified(schema, name, !p->target.partitioned, p->pool);
    return end_shape(p, publishes_key(p));
}

/* ---- a ClickHouse target ---- */

static void
choose_ch_finder(struct pairing *p, const struct chcolumn *columns, size_t count)
{
    struct shape *s = &p->shape;
    int first = first_of_key(s);
    const struct column *a = first < 0 ? NULL : s->columns[first].source;

    for (size_t i = 0; a != NULL && i < count; i++) {
        if (columns[i].number != (uint32_t)first)
            continue;
        if (form_is_integer(a->oid) && columns[i].canon.canon == CANON_INTEGER) {
            s->finder = first;
            s->ranged = true;
        } else if (form_is_text(a->oid) && columns[i].canon.canon == CANON_TEXT) {
            s->finder = first;
            s->quoted = true;
            s->ranged = a->bytewise &&
                        strcmp(PQparameterStatus(p->w->source, "server_encoding"), "UTF8") == 0;
            s->order = s->ranged ? " COLLATE \"C\"" : "";
        }
    }
}

static int
take_columns(struct pairing *p, const struct chtable *table)
{
    const struct form_servers servers = servers_of(p->w);

    for (size_t i = 0; i < table->count; i++) {
        const struct chcolumn *column = &table->columns[i];
        struct shape_column *c =
            column->number < p->shape.count ? &p->shape.columns[column->number] : NULL;

        if (c == NULL || c->source == NULL)
            return refuse(p, "its columns have just changed in the source");
        c->key = column->key;
        if (column->canon.canon == CANON_NONE)
            c->form.why = column->why;
        else
            chform_make(&c->form, c->source, &column->canon, &servers, p->pool);
    }
    return 0;
}

/* The sink creates a table before its first row. */
static int
miss(struct pairing *p, struct err *err)
{
    bool empty;

    if (p->w->sink->create_tables) {
        if (pgside_empty(&p->source_side, &empty, err) != 0)
            return refuse(p, err->message);
        if (empty)
            return 1;
    }
    return refuse(p, "the target has no such table");
}

static int
pair_with_ch(struct pairing *p, struct err *err)
{
    struct chtable table;
    int rc;

    chside_begin(&p->ch_side, &p->w->program, p->relation->relid);
    p->ch_side.shape = &p->shape;
    rc = chside_describe(&p->ch_side, &table, p->pool, err);
    if (rc != 0)
        return rc < 0 ? refuse(p, err->message) : miss(p, err);
    if (take_columns(p, &table) != 0)
        return 1;
    choose_ch_finder(p, table.columns, table.count);
    if (end_shape(p, table.keyed) != 0)
        return 1;
    /* sink-ch asks by the key */
    return p->shape.keyed == table.keyed ? 0 : refuse(p, "a column of its key cannot be compared");
}

/* ---- the table ---- */

/* Returns 0, 1 if it cannot be compared, or -1 with err. */
static int
pair(struct pairing *p, struct err *err)
{
    const struct relation *r = p->relation;
    struct err why = {0};

    if (columns_read(&p->source, p->w->source, r->schema, r->name, p->pool, err) != 0)
        return -1;
    if (!p->source.exists)
        return refuse(p, "the source has no such table any more");
    begin_shape(p);
    pgside_begin(&p->source_side, p->w->source, false);
    p->source_side.shape = &p->shape;
    p->source_side.from = qualified(r->schema, r->name, !p->source.partitioned, p->pool);
    if (published_filter(p->w->source, &p->w->catalog->hello, r->relid, &p->source_side.filter,
                         p->pool, err) != 0)
        return -1;
    return p->w->sink->type == SINK_PG ? pair_with_pg(p, &why) : pair_with_ch(p, &why);
}

static int
run(struct pairing *p, struct err *err)
{
    struct sink_work *w = p->w;
    struct position position = {
        .config = w->config, .sink = w->sink, .source = w->source, .status = w->status};
    struct table_work t = {
        .judge = {.source = &p->source_side.side,
                  .target = w->sink->type == SINK_PG ? &p->pg_side.side : &p->ch_side.side,
                  .shape = &p->shape,
                  .position = &position,
                  .report = p->report,
                  .pool = p->pool},
        .source = &p->source_side,
        .pace = w->pace,
        .progress = w->progress};

    if (position_of_source(w->source, &p->report->lsn, err) != 0)
        return -1;
    return table_compare(&t, err);
}

static bool
same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_shape(const struct shape *a, const struct shape *b)
{
    bool same = a->count == b->count && a->keyed == b->keyed;

    for (size_t i = 0; same && i < a->count; i++) {
        const struct shape_column *x = &a->columns[i], *y = &b->columns[i];

        same = x->key == y->key && same_text(x->form.source, y->form.source) &&
               same_text(x->form.target, y->form.target);
    }
    return same;
}

/* Columns whose types have changed meanwhile may have looked different. */
static int
check_shape(const struct pairing *before, struct err *err)
{
    struct table_report ignored = {0};
    struct pairing now = {
        .w = before->w, .relation = before->relation, .report = &ignored, .pool = before->pool};
    struct table_report *report = before->report;

    if (report->differences_count == 0)
        return 0;
    switch (pair(&now, err)) {
    case 0:
        if (same_shape(&before->shape, &now.shape) &&
            same_text(before->source_side.filter, now.source_side.filter))
            return 0;
        break;
    case 1:
        break;
    default:
        return -1;
    }
    report->differences_count = 0;
    report_omission(report, NULL, "its columns or its row filter have changed meanwhile",
                    before->pool);
    return 0;
}

int
work_table(struct sink_work *w, const struct relation *relation, struct table_report *report,
           struct pool *pool, struct err *err)
{
    struct pairing p = {.w = w, .relation = relation, .report = report, .pool = pool};
    struct err why = {0};
    int rc = pair(&p, err);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (run(&p, &why) == 0)
        return check_shape(&p, err);
    report_omission(report, NULL, why.message, pool);
    if (PQstatus(w->source) == CONNECTION_OK)
        return 0;
    *err = why;
    return -1;
}
