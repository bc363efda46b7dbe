/* pgside.c: see pgside.h. */
#include "walpipe/compare/pgside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/pgtype.h"
#include "lib/pqx.h"

/* Functions have at most 100 arguments. */
#define ARGUMENTS_MAX 90

static const char reading[] = "read rows to compare";

/* ---- SQL ---- */

static void
add(struct buf *sql, const char *text)
{
    buf_append(sql, text, strlen(text));
}

static void
add_number(struct buf *sql, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, number);
    add(sql, text);
}

static void
add_literal(struct buf *sql, const struct pgside *s, const char *text)
{
    char *literal = PQescapeLiteral(s->conn, text, strlen(text));

    if (literal == NULL)
        sql->failed = true;
    else
        add(sql, literal);
    PQfreemem(literal);
}

static const char *
text_of(const struct pgside *s, size_t i)
{
    const struct form *form = &s->shape->columns[i].form;

    return s->target ? form->target : form->source;
}

static const char *
length_of(const struct pgside *s, size_t i)
{
    const struct form *form = &s->shape->columns[i].form;

    return s->target ? form->target_length : form->source_length;
}

static bool
takes(const struct pgside *s, size_t i, bool keys_only)
{
    const struct shape_column *c = &s->shape->columns[i];

    return c->form.source != NULL && (!keys_only || c->key);
}

/* One argument of concat(), and the separator. */
static void
add_argument(struct buf *sql, const char *argument, uint32_t *count)
{
    if (*count > 0 && *count % (ARGUMENTS_MAX / 2) == 0)
        add(sql, "), concat(");
    else if (*count > 0)
        add(sql, ", ");
    ++*count;
    add(sql, argument);
    add(sql, ", '|'");
}

/* The text of docs/design.md. */
static void
add_row_text(struct buf *sql, const struct pgside *s, bool keys_only)
{
    uint32_t count = 0;

    add(sql, "concat(concat(");
    for (size_t i = 0; i < s->shape->count; i++)
        if (takes(s, i, keys_only))
            add_argument(sql, text_of(s, i), &count);
    for (size_t i = 0; i < s->shape->count; i++)
        if (takes(s, i, keys_only) && length_of(s, i) != NULL)
            add_argument(sql, length_of(s, i), &count);
    add(sql, count == 0 ? "''))" : "))");
}

static void
add_md5(struct buf *sql, const struct pgside *s, const char *text)
{
    add(sql, s->utf8 ? "md5(" : "md5(convert_to(");
    add(sql, text);
    add(sql, s->utf8 ? ")" : ", 'UTF8'))");
}

static void
add_hash(struct buf *sql, const struct pgside *s, bool keys_only)
{
    add(sql, s->utf8 ? "('x' || left(md5(" : "('x' || left(md5(convert_to(");
    add_row_text(sql, s, keys_only);
    add(sql, s->utf8 ? "), 15))::bit(60)::int8" : ", 'UTF8')), 15))::bit(60)::int8");
}

/* The hash is not negative, and a sum of bigints is a numeric. ClickHouse sums modulo 2^64. */
static void
add_sum(struct buf *sql, const char *hashes)
{
    add(sql, "mod(coalesce(sum(");
    add(sql, hashes);
    add(sql, "), 0), 18446744073709551616)");
}

static void
add_finder(struct buf *sql, const struct pgside *s, struct pool *pool)
{
    const struct shape_column *c = &s->shape->columns[s->shape->finder];

    add(sql, form_reference(s->target ? c->target : c->source, pool));
}

static void
add_value(struct buf *sql, const struct pgside *s, const char *value)
{
    if (s->shape->quoted)
        add_literal(sql, s, value);
    else
        add(sql, value);
}

static void
add_limit(struct buf *sql, const struct pgside *s, const char *operator, const char * value,
          struct pool *pool)
{
    add_finder(sql, s, pool);
    add(sql, s->shape->order);
    add(sql, operator);
    add_value(sql, s, value);
}

/* Rows without a value of the column can only be surplus. They belong to the first range. */
static void
add_limits(struct buf *sql, const struct pgside *s, const struct question *q, struct pool *pool)
{
    const struct shape_column *c =
        s->shape->finder < 0 ? NULL : &s->shape->columns[s->shape->finder];

    if (q->from != NULL) {
        add(sql, " AND ");
        add_limit(sql, s, " > ", q->from, pool);
    }
    if (q->to == NULL)
        return;
    add(sql, " AND (");
    add_limit(sql, s, " <= ", q->to, pool);
    if (q->from == NULL && s->target && c->target->nullable) {
        add(sql, " OR ");
        add_finder(sql, s, pool);
        add(sql, " IS NULL");
    }
    add(sql, ")");
}

/* NULL and the empty text are the same in an answer. */
static bool
is_null(const struct pgside *s, const char *value)
{
    uint32_t oid = s->shape->columns[s->shape->finder].source->oid;

    return value[0] == '\0' && !form_is_text(oid) && oid != PG_BPCHAR;
}

static void
add_values(struct buf *sql, const struct pgside *s, const struct question *q, struct pool *pool)
{
    if (q->keys_count == 0 || s->shape->finder < 0)
        return;
    add(sql, " AND (");
    add_finder(sql, s, pool);
    for (size_t i = 0; i < q->keys_count; i++) {
        add(sql, i == 0 ? " IN (" : ", ");
        if (is_null(s, q->keys[i].value))
            add(sql, "NULL");
        else
            add_value(sql, s, q->keys[i].value);
    }
    add(sql, ")");
    if (s->target && s->shape->columns[s->shape->finder].target->nullable) {
        add(sql, " OR ");
        add_finder(sql, s, pool);
        add(sql, " IS NULL");
    }
    add(sql, ")");
}

static void
add_from(struct buf *sql, const struct pgside *s, const struct question *q, struct pool *pool)
{
    add(sql, " FROM ");
    add(sql, s->from);
    add(sql, " t WHERE ");
    if (s->filter == NULL) {
        add(sql, "true");
    } else {
        add(sql, "(");
        add(sql, s->filter);
        add(sql, ")");
    }
    add_limits(sql, s, q, pool);
    add_values(sql, s, q, pool);
}

/* The rows with their hashes as a table r. OFFSET 0 keeps the server from computing a hash
 * twice. */
static void
add_hashes(struct buf *sql, const struct pgside *s, const struct question *q, const char *more,
           struct pool *pool)
{
    add(sql, " FROM (SELECT ");
    add_hash(sql, s, s->shape->keyed);
    add(sql, " AS key, ");
    add_hash(sql, s, false);
    add(sql, " AS row");
    add(sql, more);
    add_from(sql, s, q, pool);
    add(sql, " OFFSET 0) r");
}

static void
add_chosen(struct buf *sql, const struct question *q)
{
    if (q->keys_count == 0 && q->chosen_count == 0)
        return;
    add(sql, " WHERE r.key");
    if (q->keys_count == 0) {
        add(sql, " % ");
        add_number(sql, q->buckets);
    }
    for (size_t i = 0; i < q->chosen_count; i++) {
        add(sql, i == 0 ? " IN (" : ", ");
        add_number(sql, q->chosen[i]);
    }
    for (size_t i = 0; i < q->keys_count; i++) {
        add(sql, i == 0 ? " IN (" : ", ");
        add_number(sql, q->keys[i].hash);
    }
    add(sql, ")");
}

static void
add_list(struct buf *sql, const struct pgside *s, const struct question *q, struct pool *pool)
{
    const char *value = ", '' AS value";

    if (s->shape->finder >= 0) {
        const struct shape_column *c = &s->shape->columns[s->shape->finder];

        value = pool_print(pool, ", concat(%s) AS value",
                           form_reference(s->target ? c->target : c->source, pool));
    }
    add(sql, s->shape->keyed ? "SELECT r.key, r.row, r.value" : "SELECT r.key, count(*), ''");
    add_hashes(sql, s, q, value, pool);
    add_chosen(sql, q);
    if (!s->shape->keyed)
        add(sql, " GROUP BY r.key");
}

static const char *
shown_of(const struct pgside *s, size_t i, struct pool *pool)
{
    const struct shape_column *c = &s->shape->columns[i];
    const char *r = form_reference(s->target ? c->target : c->source, pool);

    return pool_print(pool, "CASE WHEN %s IS NOT NULL THEN left(concat(%s), 200) END", r, r);
}

/* The columns of the rows, as a text behind the hashes. */
static const char *
row_columns(const struct pgside *s, struct pool *pool)
{
    struct buf sql = {0};
    const char *out;

    add(&sql,
        ", t.xmin::text || t.ctid::text || t.tableoid::text AS version, array_to_string(ARRAY[");
    for (size_t i = 0; i < s->shape->count; i++) {
        if (!takes(s, i, false))
            continue;
        add(&sql, pool_print(pool, "CASE WHEN (%s) IS NULL THEN '~' ELSE ", text_of(s, i)));
        add_md5(&sql, s, pool_print(pool, "concat(%s)", text_of(s, i)));
        add(&sql, " END, ");
    }
    add(&sql, "''], ',') AS hashes");
    for (size_t i = 0; i < s->shape->count; i++)
        if (takes(s, i, false))
            add(&sql, pool_print(pool, ", %s AS s%zu", shown_of(s, i, pool), i));
    out = sql.failed ? NULL : pool_copy_bytes(pool, (const char *)sql.data, buf_len(&sql));
    buf_free(&sql);
    return out;
}

static void
add_rows(struct buf *sql, const struct pgside *s, const struct question *q, struct pool *pool)
{
    const char *columns = row_columns(s, pool);

    if (columns == NULL) {
        sql->failed = true;
        return;
    }
    add(sql, s->shape->keyed
                 ? "SELECT r.key, r.version, r.hashes"
                 : "SELECT r.key, md5(string_agg(r.version, ' ' ORDER BY r.version)), count(*)");
    for (size_t i = 0; i < s->shape->count; i++)
        if (takes(s, i, false))
            add(sql,
                pool_print(pool, s->shape->keyed ? ", r.s%zu" : ", min(r.s%zu COLLATE \"C\")", i));
    add_hashes(sql, s, q, columns, pool);
    add_chosen(sql, q);
    if (!s->shape->keyed)
        add(sql, " GROUP BY r.key");
}

static void
add_question(struct buf *sql, const struct pgside *s, const struct question *q, struct pool *pool)
{
    switch (q->kind) {
    case QUESTION_SUM:
        add(sql, "SELECT count(*), mod(coalesce(sum(");
        add_hash(sql, s, false);
        add(sql, "), 0), 18446744073709551616)");
        add_from(sql, s, q, pool);
        break;
    case QUESTION_BUCKETS:
        add(sql, "SELECT r.key % ");
        add_number(sql, q->buckets);
        add(sql, ", count(*), ");
        add_sum(sql, "r.row");
        add_hashes(sql, s, q, "", pool);
        add(sql, " GROUP BY 1");
        break;
    case QUESTION_LIST:
        add_list(sql, s, q, pool);
        break;
    case QUESTION_ROWS:
        add_rows(sql, s, q, pool);
        break;
    }
    buf_append(sql, "", 1);
}

/* ---- the conversation ---- */

static int
ask(struct side *side, const struct question *question, struct err *err)
{
    struct pgside *s = (struct pgside *)side;
    struct pool pool = {0};
    struct buf sql = {0};
    int rc = 0;

    add_question(&sql, s, question, &pool);
    if (sql.failed)
        rc = err_set(err, EXIT_PEER, "out of memory for a question");
    else if (PQsendQuery(s->conn, (const char *)sql.data) != 1)
        rc = pqx_error(s->conn, NULL, reading, err);
    buf_free(&sql);
    pool_free(&pool);
    return rc;
}

static void
clear(void *result)
{
    PQclear(result);
}

static int
take(struct answer *answer, PGresult *result, struct err *err)
{
    size_t rows = (size_t)PQntuples(result), columns = (size_t)PQnfields(result);

    *answer = (struct answer){
        .rows = rows,
        .columns = columns,
        .fields = calloc(rows * columns + 1, sizeof *answer->fields),
        .memory = result,
        .release = clear,
    };
    if (answer->fields == NULL)
        return err_set(err, EXIT_PEER, "out of memory for rows to compare");
    for (size_t i = 0; i < rows * columns; i++)
        if (!PQgetisnull(result, (int)(i / columns), (int)(i % columns)))
            answer->fields[i] = PQgetvalue(result, (int)(i / columns), (int)(i % columns));
    return 0;
}

static int
hear(struct side *side, struct answer *answer, struct err *err)
{
    struct pgside *s = (struct pgside *)side;
    PGresult *result = PQgetResult(s->conn), *more;
    int rc;

    while (result != NULL && (more = PQgetResult(s->conn)) != NULL)
        PQclear(more);
    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        return take(answer, result, err);
    rc = pqx_error(s->conn, result, reading, err);
    PQclear(result);
    return rc;
}

void
pgside_begin(struct pgside *s, PGconn *conn, bool target)
{
    *s = (struct pgside){.side = {.ask = ask, .hear = hear}, .conn = conn, .target = target};
    s->utf8 = strcmp(PQparameterStatus(conn, "server_encoding"), "UTF8") == 0;
}

int
pgside_empty(struct pgside *s, bool *empty, struct err *err)
{
    const struct question q = {0};
    struct buf sql = {0};
    PGresult *result = NULL;

    add(&sql, "SELECT NOT EXISTS (SELECT");
    add_from(&sql, s, &q, NULL);
    add(&sql, ")");
    buf_append(&sql, "", 1);
    if (sql.failed)
        err_set(err, EXIT_PEER, "out of memory for a question");
    else
        result = pqx_shaped(pqx_exec(s->conn, reading, (const char *)sql.data, err), reading, 1, 1,
                            "v", err);
    buf_free(&sql);
    if (result == NULL)
        return -1;
    *empty = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return 0;
}

int
pgside_boundary(struct pgside *s, const char *from, uint32_t rows, const char **end,
                struct pool *pool, struct err *err)
{
    struct question q = {.from = from};
    struct pool texts = {0};
    struct buf sql = {0};
    PGresult *result = NULL;

    add(&sql, "SELECT ");
    add_finder(&sql, s, &texts);
    add_from(&sql, s, &q, &texts);
    add(&sql, " ORDER BY ");
    add_finder(&sql, s, &texts);
    add(&sql, s->shape->order);
    add(&sql, pool_print(&texts, " OFFSET %" PRIu32 " LIMIT 1", rows - 1));
    buf_append(&sql, "", 1);
    if (sql.failed)
        err_set(err, EXIT_PEER, "out of memory for a question");
    else
        result = pqx_shaped(pqx_exec(s->conn, reading, (const char *)sql.data, err), reading, 0, 1,
                            "v", err);
    buf_free(&sql);
    pool_free(&texts);
    if (result == NULL)
        return -1;
    *end = PQntuples(result) == 0 ? NULL : pool_copy(pool, PQgetvalue(result, 0, 0));
    PQclear(result);
    return 0;
}
