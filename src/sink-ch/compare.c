/* compare.c: see compare.h. */
#include "sink-ch/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/io.h"
#include "sink-ch/compareform.h"
#include "sink-ch/comparesql.h"
#include "sink-ch/schema.h"
#include "sink-ch/stated.h"

#define QUESTIONS_FD 3

/* The values of a question about keys are at most as many as walpipe's candidates at a time. */
#define FIELDS_MAX 2048

enum field {
    FIELD_KIND,
    FIELD_RELID,
    FIELD_COLUMN,
    FIELD_FROM,
    FIELD_TO,
    FIELD_COUNT,
    FIELD_BUCKETS,
    FIELD_HASHES,
    FIELD_VALUES
};

struct comparing {
    struct worker *w;
    struct stated seen;
    struct compare_table *tables; /* beside seen.tables */
    char *fields[FIELDS_MAX];
    size_t count;
    char reason[1024]; /* why a table cannot be compared */
};

static void
unescape(char *text)
{
    char *to = text;

    for (const char *at = text; *at != '\0'; at++) {
        char c = *at;

        if (c == '\\' && at[1] != '\0') {
            c = *++at;
            c = c == 't' ? '\t' : c == 'n' ? '\n' : c;
        }
        *to++ = c;
    }
    *to = '\0';
}

static int
split(struct comparing *c, char *line, struct err *err)
{
    c->count = 0;
    line[strcspn(line, "\n")] = '\0';
    for (char *at = line; at != NULL;) {
        char *end = strchr(at, '\t');

        if (c->count == FIELDS_MAX)
            return err_set(err, EXIT_BUG, "a question has too many fields");
        if (end != NULL)
            *end++ = '\0';
        c->fields[c->count++] = at;
        at = end;
    }
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->fields[i], "-") == 0)
            c->fields[i] = NULL;
        else
            unescape(c->fields[i]);
    return 0;
}

static const char *
field(const struct comparing *c, enum field number)
{
    return number < c->count ? c->fields[number] : NULL;
}

/* ---- a table ---- */

static void
note(void *context, enum finding finding, const char *text, const char *hint)
{
    struct comparing *c = context;

    (void)hint;
    if (finding == FINDING_FAIL && c->reason[0] == '\0')
        snprintf(c->reason, sizeof c->reason, "%s", text);
}

/* Returns 0, 1 if the target has no such table, or -1 with err. */
static int
load(struct comparing *c, uint32_t number, struct err *err)
{
    struct table *table = c->seen.tables[number];
    struct report report = {.say = note, .context = c};

    c->reason[0] = '\0';
    if (table_check_target(table, c->seen.tables, c->seen.count, false, err) != 0)
        return -1;
    switch (schema_load(&c->w->server, c->w->options, table, false, &report, err)) {
    case SCHEMA_READY:
        return 0;
    case SCHEMA_MISSING:
        return 1;
    case SCHEMA_NARROW:
        return err_set(err, EXIT_REFUSED, "%s lacks columns of the source", table->target_sql);
    case SCHEMA_UNFIT:
        return err_set(err, EXIT_REFUSED, "%s", c->reason);
    case SCHEMA_ERROR:
        break;
    }
    return -1;
}

static int
find(struct comparing *c, uint32_t *number, struct err *err)
{
    const char *relid = field(c, FIELD_RELID);

    for (uint32_t i = 0; relid != NULL && i < c->seen.count; i++)
        if (c->seen.tables[i]->relation.relid == strtoul(relid, NULL, 10)) {
            *number = i;
            return 0;
        }
    return err_set(err, EXIT_BUG, "a question is about an unknown table");
}

static void
put_column(uint32_t source, const struct canon_column *canon, bool key, const char *why,
           struct buf *out)
{
    char line[400];

    snprintf(line, sizeof line, "%u\t%s\t%d\t%d\t%u\t%u\t%s\t%s\t%d\t%s\n", source,
             canon_word(canon->canon), canon->array, (int)canon->fit, canon->width, canon->scale,
             canon->low, canon->high, key, why);
    server_put_text(out, line);
}

/* The sink does not write a column that ClickHouse computes, so it is not among the table's. */
static void
put_computed(const struct table *table, struct buf *out)
{
    const struct canon_column none = {.canon = CANON_NONE};

    for (uint32_t source = 0; source < table->relation.columns_count; source++) {
        bool written = table_leaves_out(table, source);

        for (uint32_t i = 0; i < table->columns_count && !written; i++)
            written = table->columns[i].source == source;
        if (!written)
            put_column(source, &none, false, "the target computes it", out);
    }
}

static void
put_columns(struct comparing *c, struct compare_table *t, struct buf *out)
{
    struct table *table = t->table;

    server_put_text(out, t->keyed ? "keyed\n" : "keyless\n");
    for (uint32_t i = 0; i < table->columns_count; i++) {
        struct canon_column canon;
        const char *why = "";

        compareform_choose(&table->columns[i], c->w->options->on_overflow, c->w->server.limits,
                           &canon, &why);
        t->canons[i] = canon.canon;
        put_column(table->columns[i].source, &canon, table->columns[i].key, why, out);
    }
    put_computed(table, out);
}

static int
answer_table(struct comparing *c, uint32_t number, struct buf *out, struct err *err)
{
    struct compare_table *t = &c->tables[number];
    struct table *table = c->seen.tables[number];
    int rc;

    rc = load(c, number, err);
    if (rc == 1)
        server_put_text(out, "missing\n");
    if (rc != 0)
        return rc == 1 ? 0 : -1;
    free(t->canons);
    *t = (struct compare_table){.table = table,
                                .deleted_column = c->w->options->deleted_column,
                                .version_column = c->w->options->version_column,
                                .keyed = table->keyed,
                                .canons = calloc(table->columns_count + 1, sizeof *t->canons)};
    if (t->canons == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    put_columns(c, t, out);
    return 0;
}

/* ---- its rows ---- */

static const struct column *
find_column(const struct comparing *c, const struct table *table)
{
    const char *number = field(c, FIELD_COLUMN);

    for (uint32_t i = 0; number != NULL && i < table->columns_count; i++)
        if (table->columns[i].source == strtoul(number, NULL, 10))
            return &table->columns[i];
    return NULL;
}

static int
answer_rows(struct comparing *c, uint32_t number, enum compare_kind kind, struct buf *out,
            struct err *err)
{
    const struct compare_table *t = &c->tables[number];
    struct compare_question q = {.kind = kind};
    struct buf sql = {0};

    if (t->canons == NULL)
        return err_set(err, EXIT_BUG, "a question is about a table that was not described");
    q.column = find_column(c, t->table);
    q.from = field(c, FIELD_FROM);
    q.to = field(c, FIELD_TO);
    q.count = field(c, FIELD_COUNT);
    q.buckets = field(c, FIELD_BUCKETS);
    q.hashes = field(c, FIELD_HASHES);
    q.values = c->fields + FIELD_VALUES;
    q.values_count = c->count > FIELD_VALUES ? c->count - FIELD_VALUES : 0;
    comparesql_put(t, &q, &sql);
    if (server_query(&c->w->server, "read rows to compare", &sql, err) != 0)
        return -1;
    buf_append(out, c->w->server.answer.body.data + c->w->server.answer.body.start,
               buf_len(&c->w->server.answer.body));
    return 0;
}

static int
answer(struct comparing *c, struct buf *out, struct err *err)
{
    static const char *const kinds[] = {[COMPARE_SUM] = "sum",
                                        [COMPARE_BUCKETS] = "buckets",
                                        [COMPARE_LIST] = "list",
                                        [COMPARE_ROWS] = "rows"};
    const char *kind = field(c, FIELD_KIND);
    uint32_t number;

    if (find(c, &number, err) != 0)
        return -1;
    if (kind != NULL && strcmp(kind, "table") == 0)
        return answer_table(c, number, out, err);
    for (size_t i = 0; kind != NULL && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i]) == 0)
            return answer_rows(c, number, (enum compare_kind)i, out, err);
    return err_set(err, EXIT_BUG, "unknown question");
}

/* A message stays one line, without tabs. */
static void
flatten(char *text)
{
    for (; *text != '\0'; text++)
        if (*text == '\n' || *text == '\t')
            *text = ' ';
}

static int
send_answer(const struct buf *out, int rc, struct err *why, struct err *err)
{
    char head[sizeof why->message + sizeof why->hint + 64];
    int len;

    if (rc == 0 && out->failed)
        rc = err_set(why, EXIT_PEER, "out of memory for an answer");
    flatten(why->message);
    flatten(why->hint);
    if (rc == 0)
        len = snprintf(head, sizeof head, "ok\t%zu\n", buf_len(out));
    else
        len = snprintf(head, sizeof head, "failed\t%d\t%s\t%s\n", (int)why->code, why->message,
                       why->hint);
    if (io_write_all(QUESTIONS_FD, (struct bytes){(const uint8_t *)head, (size_t)len}, err) != 0)
        return -1;
    return rc != 0 || buf_len(out) == 0
               ? 0
               : io_write_all(QUESTIONS_FD, (struct bytes){out->data + out->start, buf_len(out)},
                              err);
}

static int
answer_all(struct comparing *c, FILE *questions, struct err *err)
{
    char *line = NULL;
    size_t size = 0;
    int rc = 0;

    while (rc == 0 && getline(&line, &size, questions) > 0) {
        struct buf out = {0};
        struct err why = {0};

        rc = split(c, line, err);
        if (rc == 0)
            rc = send_answer(&out, answer(c, &out, &why), &why, err);
        buf_free(&out);
    }
    free(line);
    return rc;
}

int
compare_run(struct worker *w, struct err *err)
{
    static struct comparing c; /* large, because of the fields */
    FILE *questions = fdopen(QUESTIONS_FD, "r");
    int rc = -1;

    c.w = w;
    if (questions == NULL)
        return err_set(err, EXIT_REFUSED, "--compare is for walpipe compare only");
    if (server_probe(&w->server, w->options->database, err) == 0 &&
        stated_read(&c.seen, w, err) == 0) {
        c.tables = calloc(c.seen.count + 1, sizeof *c.tables);
        rc = c.tables == NULL ? err_set(err, EXIT_PEER, "out of memory for tables")
                              : answer_all(&c, questions, err);
    }
    for (uint32_t i = 0; c.tables != NULL && i < c.seen.count; i++)
        free(c.tables[i].canons);
    free(c.tables);
    stated_free(&c.seen);
    fclose(questions);
    return rc;
}
