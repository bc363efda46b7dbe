/* comparing.c: see comparing.h. */
#include "walpipe/compare/comparing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/lsn.h"
#include "walpipe/tables.h"

/* The table's progress. Returns NULL if it is not known. */
static const struct table_progress *
progress_of(const struct tablelist *list, const struct relation *r)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->tables[i].relid == r->relid)
            return &list->tables[i];
    return NULL;
}

int
comparing_progress(const struct comparing *c, const struct sink_config *sink,
                   struct tablelist *list, struct pool *pool, struct err *err)
{
    bool *sinks = pool_take(pool, (c->config->sinks_count + 1) * sizeof *sinks);
    struct tables_choice choice = {.config = c->config, .source = true, .sinks = sinks};
    struct tables_found found;

    sinks[sink - c->config->sinks] = true;
    if (tables_read(&choice, &found, pool, err) != 0)
        return -1;
    *list = found.lists[sink - c->config->sinks];
    return 0;
}

/* NULL if the table is streaming, otherwise the reason why it is not compared. */
static const char *
state_reason(const struct tablelist *list, const struct relation *r, struct pool *pool)
{
    const struct table_progress *t = progress_of(list, r);

    if (!list->known)
        return pool_print(pool, "the target's notes cannot be read: %s", list->why);
    if (t == NULL || strcmp(t->state, "streaming") == 0)
        return NULL;
    return pool_print(pool, "the table is not streaming, its state is %s", t->state);
}

/* A table that was copied again meanwhile may have shown rows of no time. */
static int
check_progress(struct comparing *c, struct sink_work *w, const struct tablelist *before,
               const struct relation *r, struct table_report *report, struct pool *pool,
               struct err *err)
{
    const struct table_progress *then = progress_of(before, r), *now;
    struct tablelist list;
    const char *why;

    if (report->differences_count == 0)
        return 0;
    if (comparing_progress(c, w->sink, &list, pool, err) != 0)
        return -1;
    now = progress_of(&list, r);
    why = state_reason(&list, r, pool);
    if (why == NULL && then != NULL && now != NULL && then->l0 != now->l0)
        why = "the table was copied again meanwhile";
    if (why == NULL)
        return 0;
    report->differences_count = 0;
    report_omission(report, NULL, why, pool);
    return 0;
}

/* NULL unless walpipe skip has left changes of the table out. */
static const char *
lacks_of(const struct tablelist *list, const struct relation *r, struct pool *pool)
{
    uint64_t changes = 0, last = 0;

    for (size_t i = 0; i < list->lacks_count; i++) {
        const struct copynote *lack = &list->lacks[i];

        if (lack->relid != r->relid)
            continue;
        changes += lack->count;
        last = lack->lsn > last ? lack->lsn : last;
    }
    if (last == 0)
        return NULL;
    return pool_print(pool,
                      "it lacks %" PRIu64 " changes that walpipe skip left out, up to the "
                      "transaction at %s",
                      changes, lsn_format(last).text);
}

static int
render(const struct comparing *c, const struct table_report *report, struct workers_answer *answer,
       struct err *err)
{
    struct json json = {0};
    FILE *out = open_memstream(&answer->text, &answer->len);

    if (out == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a result");
    json.out = out;
    if (c->request->json)
        report_json(report, !c->request->no_values, &json);
    else
        report_print(report, !c->request->no_values, out);
    answer->rows = report->rows;
    answer->differences = report->differences_count;
    answer->omissions = report->omissions_count;
    return fclose(out) == 0 ? 0 : err_set(err, EXIT_PEER, "out of memory for a result");
}

int
comparing_table(struct comparing *c, struct sink_work *w, const struct tablelist *list,
                const struct relation *r, const char *why, struct workers_answer *answer,
                struct err *err)
{
    struct table_report report = {.schema = r->schema, .name = r->name};
    struct pool pool = {0};
    int rc = 0;

    c->progress.schema = r->schema;
    c->progress.table = r->name;
    progress_draw(&c->progress);
    report.lacks = lacks_of(list, r, &pool);
    if (why == NULL)
        why = state_reason(list, r, &pool);
    if (why != NULL)
        report_omission(&report, NULL, why, &pool);
    else
        rc = work_table(w, r, &report, &pool, err);
    if (rc == 0 && why == NULL)
        rc = check_progress(c, w, list, r, &report, &pool, err);
    if (rc == 0)
        rc = render(c, &report, answer, err);
    pool_free(&pool);
    return rc;
}
