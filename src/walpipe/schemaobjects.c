/* schemaobjects.c: see schemaobjects.h. PostgreSQL itself notes the needs of an object in
 * pg_depend. Functions that a function's body calls are not in it, if the body is a string. */
#include "walpipe/schemaobjects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/pqx.h"

/* Objects below this oid come with every server (FirstNormalObjectId). Foreign partitions have
 * their rows elsewhere. A sequence does not need the table that owns it, and a table does not need
 * those that it references. $1 has the published tables, $2 to $4 the mapped ones with the schemas
 * and names of their targets, $5 the publications. %s is the version's text for columns that are
 * not published. */
static const char objects_sql[] =
    "WITH RECURSIVE taken AS ("
    "  SELECT t.oid AS published, t.oid AS relid FROM unnest($1::oid[]) t(oid)"
    " UNION"
    "  SELECT t.published, i.inhrelid FROM taken t"
    "  JOIN pg_class p ON p.oid = t.relid AND p.relkind = 'p'"
    "  JOIN pg_inherits i ON i.inhparent = p.oid"
    "  JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p')), "
    "needed(classid, objid) AS ("
    "  SELECT 'pg_class'::regclass::oid, relid FROM taken"
    " UNION"
    "  SELECT e.classid, e.objid FROM needed n, LATERAL ("
    "    SELECT d.refclassid, d.refobjid FROM pg_depend d"
    "    WHERE d.classid = n.classid AND d.objid = n.objid AND d.refobjid >= 16384"
    "      AND NOT (d.deptype = 'a' AND d.refobjsubid > 0 AND d.classid = 'pg_class'::regclass"
    "        AND d.refclassid = 'pg_class'::regclass)"
    "      AND (d.deptype = 'e' OR NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = d.classid"
    "        AND x.objid = d.objid AND x.deptype = 'e'))"
    "   UNION ALL SELECT 'pg_class'::regclass, typrelid FROM pg_type"
    "    WHERE n.classid = 'pg_type'::regclass AND oid = n.objid AND typrelid >= 16384"
    "   UNION ALL SELECT 'pg_constraint'::regclass, oid FROM pg_constraint"
    "    WHERE n.classid = 'pg_type'::regclass AND contypid = n.objid"
    "   UNION ALL SELECT 'pg_constraint'::regclass, oid FROM pg_constraint"
    "    WHERE n.classid = 'pg_class'::regclass AND conrelid = n.objid"
    "      AND contype NOT IN ('f', 't')"
    "   UNION ALL SELECT 'pg_attrdef'::regclass, oid FROM pg_attrdef"
    "    WHERE n.classid = 'pg_class'::regclass AND adrelid = n.objid"
    "   UNION ALL SELECT 'pg_class'::regclass, indexrelid FROM pg_index"
    "    WHERE n.classid = 'pg_class'::regclass AND indrelid = n.objid"
    "   UNION ALL SELECT 'pg_trigger'::regclass, oid FROM pg_trigger"
    "    WHERE n.classid = 'pg_class'::regclass AND tgrelid = n.objid AND NOT tgisinternal"
    "   UNION ALL SELECT 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext"
    "    WHERE n.classid = 'pg_class'::regclass AND stxrelid = n.objid"
    "   UNION ALL SELECT 'pg_class'::regclass, d.objid FROM pg_depend d"
    "    JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'"
    "    WHERE n.classid = 'pg_class'::regclass AND d.classid = 'pg_class'::regclass"
    "      AND d.refclassid = 'pg_class'::regclass AND d.refobjid = n.objid"
    "      AND d.deptype IN ('a', 'i')"
    "  ) e(classid, objid)), "
    "objects AS ("
    "  SELECT * FROM needed UNION ALL SELECT 'pg_constraint'::regclass, oid FROM pg_constraint"
    "  WHERE contype = 'f'"
    "    AND conrelid IN (SELECT objid FROM needed WHERE classid = 'pg_class'::regclass)"
    "    AND confrelid IN (SELECT objid FROM needed WHERE classid = 'pg_class'::regclass)), "
    "mapped AS (SELECT * FROM unnest($2::oid[], $3::text[], $4::text[]) m(relid, schema, name)), "
    "listed AS (SELECT p.schemaname, p.tablename, %s AS attnames FROM pg_publication_tables p"
    "  WHERE p.pubname = ANY ($5::text[])), "
    "gone AS ("
    "  SELECT t.relid, a.attnum, a.attname FROM taken t"
    "  JOIN pg_class c ON c.oid = t.published"
    "  JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  JOIN listed l ON l.schemaname = n.nspname AND l.tablename = c.relname"
    "  JOIN pg_attribute a ON a.attrelid = t.relid AND a.attnum > 0 AND NOT a.attisdropped"
    "    AND l.attnames <> '{}' AND %s"
    "  GROUP BY t.relid, a.attnum, a.attname HAVING bool_and(a.attname <> ALL (l.attnames))) "
    "SELECT n.classid, n.objid,"
    "  CASE WHEN c.relkind IN ('r', 'p') THEN 't'"
    "    WHEN i.indisreplident OR ki.indisreplident THEN 'k'"
    "    WHEN k.contype = 'p' OR ik.contype = 'p' THEN 'k'"
    "    WHEN c.relkind IN ('i', 'I') OR k.contype IN ('u', 'x') THEN 'i'"
    "    WHEN k.contype = 'f' THEN 'f' WHEN k.conrelid <> 0 THEN 'c'"
    "    WHEN g.oid IS NOT NULL OR s.oid IS NOT NULL THEN 'g' ELSE 'b' END,"
    "  EXISTS (SELECT FROM pg_depend d JOIN gone ON gone.relid = d.refobjid"
    "      AND gone.attnum = d.refobjsubid"
    "    WHERE d.refclassid = 'pg_class'::regclass"
    "      AND (d.classid = n.classid AND d.objid = n.objid"
    "        OR d.classid = 'pg_constraint'::regclass AND d.objid = ik.oid)),"
    "  coalesce(o.relid, 0),"
    "  coalesce((SELECT min(published) FROM taken WHERE relid = o.relid), 0),"
    "  coalesce((SELECT min(published) FROM taken WHERE relid = k.confrelid), 0),"
    "  CASE WHEN c.relispartition AND c.relkind IN ('r', 'p')"
    "      THEN format('%%s; Type: TABLE ATTACH; Schema: %%s; Owner: -', c.relname, cn.nspname)"
    "    WHEN q.deptype = 'a'"
    "      THEN format('%%s; Type: SEQUENCE OWNED BY; Schema: %%s; Owner: -', c.relname, "
    "cn.nspname)"
    "    WHEN i.indexrelid IS NOT NULL"
    "      THEN format('%%s; Type: INDEX ATTACH; Schema: %%s; Owner: -', c.relname, cn.nspname)"
    "    ELSE '' END,"
    "  CASE WHEN c.relkind IN ('r', 'p', 'S', 'i', 'I')"
    "      THEN format('%%s %%I.%%I', a.type, w.schema, w.name)"
    "    WHEN o.relid IS NOT NULL THEN format('%%s %%s on %%I.%%I', replace(a.type, 'table ', ''),"
    "      a.object_names[array_upper(a.object_names, 1)], ow.schema, ow.name)"
    "    ELSE a.type || ' ' || (pg_identify_object(n.classid, n.objid, 0)).identity END,"
    "  CASE WHEN c.oid IS NULL THEN '' ELSE format('%%I.%%I', w.schema, w.name) END,"
    "  CASE WHEN c.relkind IN ('r', 'p', 'S', 'i', 'I')"
    "      THEN format('%%s %%s {}', a.type, ARRAY[w.schema, w.name])"
    "    WHEN n.classid IN ('pg_constraint'::regclass, 'pg_trigger'::regclass,"
    "        'pg_attrdef'::regclass) AND o.relid IS NOT NULL"
    "      THEN format('%%s %%s %%s', a.type,"
    "        ARRAY[ow.schema, ow.name] || a.object_names[3:], a.object_args)"
    "    ELSE format('%%s %%s %%s', a.type, a.object_names, a.object_args) END,"
    "  coalesce((SELECT string_agg(format(' DROP COLUMN %%I CASCADE', attname), ','"
    "    ORDER BY attnum) FROM gone WHERE c.oid = gone.relid), ''),"
    "  coalesce(c.relkind = 'S', false),"
    "  CASE WHEN m.relid IS NULL OR c.oid IS NULL THEN '' ELSE cn.nspname END,"
    "  coalesce(c.relname, ''), coalesce(quote_ident(w.schema), ''),"
    "  format('schema %%s {}', ARRAY[w.schema]),"
    "  EXISTS (SELECT FROM pg_inherits WHERE inhrelid = coalesce(i.indexrelid, ki.indexrelid)),"
    "  coalesce((SELECT inhparent FROM pg_inherits"
    "    WHERE inhrelid = c.oid AND c.relispartition AND c.relkind IN ('r', 'p')), 0) "
    "FROM objects n "
    "CROSS JOIN LATERAL pg_identify_object_as_address(n.classid, n.objid, 0) a "
    "LEFT JOIN pg_class c ON n.classid = 'pg_class'::regclass AND c.oid = n.objid "
    "LEFT JOIN pg_namespace cn ON cn.oid = c.relnamespace "
    "LEFT JOIN pg_index i ON i.indexrelid = c.oid "
    "LEFT JOIN pg_constraint ik ON ik.conindid = i.indexrelid AND ik.contype IN ('p', 'u', 'x') "
    "LEFT JOIN pg_constraint k ON n.classid = 'pg_constraint'::regclass AND k.oid = n.objid "
    "LEFT JOIN pg_index ki ON ki.indexrelid = k.conindid AND k.contype IN ('p', 'u') "
    "LEFT JOIN pg_trigger g ON n.classid = 'pg_trigger'::regclass AND g.oid = n.objid "
    "LEFT JOIN pg_statistic_ext s ON n.classid = 'pg_statistic_ext'::regclass AND s.oid = n.objid "
    "LEFT JOIN pg_attrdef f ON n.classid = 'pg_attrdef'::regclass AND f.oid = n.objid "
    "LEFT JOIN LATERAL (SELECT d.refobjid, d.deptype FROM pg_depend d"
    "  JOIN needed o ON o.classid = d.refclassid AND o.objid = d.refobjid"
    "  WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid"
    "    AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0"
    "    AND d.deptype IN ('a', 'i') LIMIT 1) q ON true "
    "CROSS JOIN LATERAL (SELECT CASE WHEN c.relkind IN ('r', 'p') THEN c.oid"
    "  ELSE coalesce(i.indrelid, nullif(k.conrelid, 0), g.tgrelid, s.stxrelid, f.adrelid,"
    "    q.refobjid) END) o(relid) "
    "LEFT JOIN mapped m ON m.relid = o.relid "
    "LEFT JOIN pg_class oc ON oc.oid = o.relid "
    "LEFT JOIN pg_namespace oq ON oq.oid = oc.relnamespace "
    "CROSS JOIN LATERAL (SELECT coalesce(m.schema, oq.nspname), coalesce(m.name, oc.relname))"
    "  ow(schema, name) "
    "CROSS JOIN LATERAL (SELECT coalesce(m.schema, cn.nspname),"
    "  CASE WHEN c.oid = o.relid THEN ow.name ELSE c.relname::text END) w(schema, name) "
    "WHERE c.relkind IS DISTINCT FROM 'c' "
    "ORDER BY n.classid, n.objid";

enum object_field {
    OBJECT_CLASS,
    OBJECT_OID,
    OBJECT_KIND,
    OBJECT_LEFT_OUT,
    OBJECT_RELID,
    OBJECT_PUBLISHED,
    OBJECT_PUBLISHED_TOO,
    OBJECT_ATTACH,
    OBJECT_LABEL,
    OBJECT_TARGET,
    OBJECT_KEY,
    OBJECT_DROPS,
    OBJECT_SEQUENCE,
    OBJECT_SCHEMA,
    OBJECT_NAME,
    OBJECT_TO_SCHEMA,
    OBJECT_SCHEMA_KEY,
    OBJECT_INHERITED,
    OBJECT_PARENT
};

/* pg_dump locks the tables that it dumps, and needs the right to do so. A schema without a needed
 * relation is one pattern. */
static const char excluded_sql[] =
    "WITH relations AS ("
    "  SELECT '\"' || replace(n.nspname, '\"', '\"\"') || '\"' AS schema,"
    "    '\"' || replace(c.relname, '\"', '\"\"') || '\"' AS name, c.relkind,"
    "    c.oid = ANY ($1::oid[]) AS needed,"
    "    bool_or(c.oid = ANY ($1::oid[])) OVER (PARTITION BY n.oid) AS used"
    "  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.oid >= 16384"
    "    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema') "
    "SELECT DISTINCT schema || '.*' FROM relations WHERE NOT used "
    "UNION ALL SELECT schema || '.' || name FROM relations"
    "  WHERE used AND NOT needed AND relkind IN ('r', 'p')";

struct asking {
    const struct catalog *catalog;
    const struct sink_config *sink;
    struct pool *pool;
    const char *taken, *mapped, *schemas, *tables; /* array literals */
};

/* Adds an element to an array literal. */
static void
append(struct buf *list, const char *text)
{
    buf_append(list, buf_len(list) == 0 ? "{\"" : ",\"", 2);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buf_append(list, "\\", 1);
        buf_append(list, text, 1);
    }
    buf_append(list, "\"", 1);
}

static const char *
finish(struct buf *list, struct pool *pool)
{
    const char *text;

    buf_append(list, buf_len(list) == 0 ? "{}" : "}", buf_len(list) == 0 ? 2 : 1);
    text = list->failed ? "out of memory"
                        : pool_copy_bytes(pool, (const char *)list->data, buf_len(list));
    buf_free(list);
    return text;
}

static void
list_tables(struct asking *a)
{
    struct buf taken = {0}, mapped = {0}, schemas = {0}, tables = {0};

    for (size_t i = 0; i < a->catalog->tables.count; i++) {
        const struct relation *r = &a->catalog->tables.relations[i];
        const struct table_mapping *map = tablemap_find(&a->sink->map, r->schema, r->name);
        char oid[12];

        if (!tablefilter_takes(&a->sink->filter, r->schema, r->name))
            continue;
        snprintf(oid, sizeof oid, "%u", r->relid);
        append(&taken, oid);
        if (map == NULL)
            continue;
        append(&mapped, oid);
        append(&schemas, map->to_schema);
        append(&tables, map->to_table);
    }
    a->taken = finish(&taken, a->pool);
    a->mapped = finish(&mapped, a->pool);
    a->schemas = finish(&schemas, a->pool);
    a->tables = finish(&tables, a->pool);
}

static uint32_t
number(const PGresult *r, int row, int field)
{
    return (uint32_t)strtoul(PQgetvalue(r, row, field), NULL, 10);
}

static void
add_schema(struct schemaobjects *o, const char *name, const char *key)
{
    for (size_t i = 0; i < o->schemas_count; i++)
        if (strcmp(o->schemas[i].name, name) == 0)
            return;
    o->schemas[o->schemas_count++] = (struct schemaobjects_schema){.name = name, .key = key};
}

static void
take(struct schemaobjects *o, const PGresult *r, int row, struct pool *pool)
{
    struct schemaobject *object = &o->list[o->count++];
    const char *values[OBJECT_PARENT + 1];

    for (int i = 0; i <= OBJECT_PARENT; i++)
        values[i] = pool_copy(pool, PQgetvalue(r, row, i));
    *object = (struct schemaobject){
        .classid = number(r, row, OBJECT_CLASS),
        .oid = number(r, row, OBJECT_OID),
        .kind = (enum schemaobject_kind)(unsigned char)values[OBJECT_KIND][0],
        .left_out = values[OBJECT_LEFT_OUT][0] == 't',
        .relid = number(r, row, OBJECT_RELID),
        .published = number(r, row, OBJECT_PUBLISHED),
        .published_too = number(r, row, OBJECT_PUBLISHED_TOO),
        .attach = values[OBJECT_ATTACH],
        .label = values[OBJECT_LABEL],
        .target = values[OBJECT_TARGET],
        .key = values[OBJECT_KEY],
        .drops = values[OBJECT_DROPS],
        .sequence = values[OBJECT_SEQUENCE][0] == 't',
        .inherited = values[OBJECT_INHERITED][0] == 't',
        .parent = number(r, row, OBJECT_PARENT),
    };
    if (values[OBJECT_SCHEMA][0] != '\0')
        o->renames.entries[o->renames.count++] = (struct rename_entry){
            .schema = values[OBJECT_SCHEMA], .name = values[OBJECT_NAME], .to = object->target};
    if (object->kind == SCHEMAOBJECT_TABLE)
        add_schema(o, values[OBJECT_TO_SCHEMA], values[OBJECT_SCHEMA_KEY]);
}

static int
read_objects(struct schemaobjects *o, const struct asking *a, struct err *err)
{
    static const char what[] = "read what the published tables need";
    const struct hello *h = &a->catalog->hello;
    bool lists = PQserverVersion(a->catalog->conn) >= 150000;
    const char *sql = pool_print(a->pool, objects_sql, lists ? "p.attnames" : "'{}'::name[]",
                                 lists ? "a.attgenerated = ''" : "true");
    char *publications = pgrelations_publications(h->publications, h->publications_count, err);
    const char *params[] = {a->taken, a->mapped, a->schemas, a->tables, publications};
    PGresult *r =
        publications == NULL ? NULL : pqx_exec_params(a->catalog->conn, what, sql, 5, params, err);
    size_t rows;

    free(publications);
    r = r == NULL ? NULL : pqx_shaped(r, what, 0, PQX_ROWS, "vvvvvvvvvvvvvvvvvvv", err);
    if (r == NULL)
        return -1;
    rows = (size_t)PQntuples(r) + 1;
    o->list = pool_take(a->pool, rows * sizeof *o->list);
    o->renames.entries = pool_take(a->pool, rows * sizeof *o->renames.entries);
    o->schemas = pool_take(a->pool, rows * sizeof *o->schemas);
    for (int row = 0; row < PQntuples(r); row++)
        take(o, r, row, a->pool);
    PQclear(r);
    renames_sort(&o->renames);
    return 0;
}

static int
read_excluded(struct schemaobjects *o, const struct asking *a, struct err *err)
{
    static const char what[] = "list the tables that are not needed";
    struct buf needed = {0};
    const char *params[1];
    PGresult *r;

    for (size_t i = 0; i < o->count; i++)
        if (o->list[i].target[0] != '\0')
            append(&needed, pool_print(a->pool, "%u", o->list[i].oid));
    params[0] = finish(&needed, a->pool);
    r = pqx_exec_params(a->catalog->conn, what, excluded_sql, 1, params, err);
    r = r == NULL ? NULL : pqx_shaped(r, what, 0, PQX_ROWS, "v", err);
    if (r == NULL)
        return -1;
    for (int row = 0; row < PQntuples(r); row++)
        words_add(&o->excluded, pool_copy(a->pool, PQgetvalue(r, row, 0)));
    PQclear(r);
    return 0;
}

/* All names are looked up in pg_catalog. To compile the query takes longer than to run it. */
static int
prepare(PGconn *conn, struct err *err)
{
    PGresult *r =
        pqx_exec(conn, "prepare the session",
                 PQserverVersion(conn) >= 110000 ? "SET search_path = pg_catalog; SET jit = off"
                                                 : "SET search_path = pg_catalog",
                 err);

    PQclear(r);
    return r == NULL ? -1 : 0;
}

int
schemaobjects_read(struct schemaobjects *objects, const struct catalog *catalog,
                   const struct sink_config *sink, struct pool *pool, struct err *err)
{
    struct asking a = {.catalog = catalog, .sink = sink, .pool = pool};

    *objects = (struct schemaobjects){.excluded.pool = pool};
    list_tables(&a);
    if (prepare(catalog->conn, err) != 0 || read_objects(objects, &a, err) != 0)
        return -1;
    return read_excluded(objects, &a, err);
}

static int
compare(const void *left, const void *right)
{
    const struct schemaobject *a = left, *b = right;

    if (a->classid != b->classid)
        return a->classid < b->classid ? -1 : 1;
    return a->oid < b->oid ? -1 : a->oid > b->oid;
}

const struct schemaobject *
schemaobjects_find(const struct schemaobjects *objects, uint32_t classid, uint32_t oid)
{
    const struct schemaobject key = {.classid = classid, .oid = oid};

    return objects->count == 0 ? NULL
                               : bsearch(&key, objects->list, objects->count, sizeof key, compare);
}

const struct schemaobject *
schemaobjects_find_head(const struct schemaobjects *objects, const char *head)
{
    for (size_t i = 0; i < objects->count; i++)
        if (objects->list[i].attach[0] != '\0' && strcmp(objects->list[i].attach, head) == 0)
            return &objects->list[i];
    return NULL;
}
