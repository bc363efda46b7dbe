/* compare.c: see compare.h. */
#include "walpipe/compare/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "walpipe/compare/pgsession.h"
#include "walpipe/described.h"
#include "walpipe/plan.h"

/* ---- the tables of a sink ---- */

static bool
is_wanted(const struct comparing *c, const struct sink_config *sink)
{
    return c->request->sink == NULL || strcmp(c->request->sink, sink->name) == 0;
}

static bool
is_chosen(const struct comparing *c, const struct sink_config *sink, const struct relation *r)
{
    if (c->request->table != NULL &&
        (strcmp(c->table.schema, r->schema) != 0 || strcmp(c->table.table, r->name) != 0))
        return false;
    return tablefilter_takes(&sink->filter, r->schema, r->name);
}

/* ---- a sink ---- */

/* The comparison of the tables of one sink. */
struct sink_run {
    struct comparing *c;
    struct sink_work work;
    const struct relation **tables;
    uint32_t count;
    struct tablelist list;
    const char *why;            /* why none of them can be compared, or NULL */
    struct chprogram *programs; /* of the workers */
};

static int
start_program(struct sink_run *s, struct chprogram *program, struct err *err)
{
    struct comparing *c = s->c;
    const char *programs = plan_programs_directory(&c->pool, err);
    int stream, rc;

    if (programs == NULL)
        return -1;
    stream = described_route(c->config, &c->pool, programs, s->work.sink, c->described, err);
    if (stream < 0)
        return -1;
    rc = chprogram_start(program, c->config, s->work.sink, stream, &c->pool, err);
    close(stream);
    return rc;
}

/* Returns 0, 1 with err if the target cannot be reached, or -1 with err. */
static int
open_target(struct sink_run *s, struct err *err)
{
    const struct sink_config *sink = s->work.sink;

    if (sink->type != SINK_PG)
        return start_program(s, &s->work.program, err);
    s->work.target = pgsession_open(sink->conninfo, sink->password, err);
    return s->work.target == NULL ? 1 : 0;
}

static const char *
sink_reason(const struct sink_config *sink)
{
    if (sink->type == SINK_EXEC)
        return "walpipe cannot read the target of an exec sink";
    if (sink->detached)
        return "the sink is detached";
    return sink->paused != 0 ? "the sink is paused" : NULL;
}

static void
show(void *context, const struct workers_answer *answer)
{
    struct comparing *c = ((struct sink_run *)context)->c;

    c->compared++;
    c->note.tables++;
    c->note.rows += answer->rows;
    c->note.differences += answer->differences;
    c->note.not_compared += answer->omissions;
    c->different = c->different || answer->differences > 0;
    c->omitted = c->omitted || answer->omissions > 0;
    progress_clear(&c->progress);
    if (c->request->json)
        json_name(&c->json, NULL);
    fwrite(answer->text, 1, answer->len, stdout);
    fflush(stdout);
}

static int
compare_item(void *context, uint32_t item, struct workers_answer *answer, struct err *err)
{
    struct sink_run *s = context;

    return comparing_table(s->c, &s->work, &s->list, s->tables[item], s->why, answer, err);
}

/* ---- several connections ---- */

/* The sessions of the process that has started this one stay with it. */
static int
begin_worker(void *context, uint32_t number, int fd, struct err *err)
{
    struct sink_run *s = context;
    struct comparing *c = s->c;

    c->progress.fd = fd;
    c->pace.rate = (c->pace.rate + c->request->connections - 1) / c->request->connections;
    c->source = pgsession_open(c->config->source.conninfo, c->config->source.password, err);
    if (c->source == NULL)
        return -1;
    s->work.source = c->source;
    if (s->work.sink->type != SINK_PG) {
        s->work.program = s->programs[number];
        return 0;
    }
    s->work.target = pgsession_open(s->work.sink->conninfo, s->work.sink->password, err);
    return s->work.target == NULL ? -1 : 0;
}

static void
note_rows(void *context, uint64_t rows)
{
    struct comparing *c = ((struct sink_run *)context)->c;

    c->progress.rows += rows;
    progress_draw(&c->progress);
}

static int
compare_beside(struct sink_run *s, uint32_t count, struct err *err)
{
    const struct workers workers = {.count = count,
                                    .context = s,
                                    .begin = begin_worker,
                                    .work = compare_item,
                                    .take = show,
                                    .progress = note_rows};
    uint32_t started = 0;
    int rc = 0;

    s->programs = pool_take(&s->c->pool, count * sizeof *s->programs);
    for (; rc == 0 && s->work.sink->type != SINK_PG && started < count; started++)
        rc = start_program(s, &s->programs[started], err);
    if (rc == 0)
        rc = workers_run(&workers, s->count, err);
    for (uint32_t i = 0; i < started; i++)
        (void)chprogram_end(&s->programs[i]);
    return rc;
}

/* ---- one sink ---- */

static int
compare_tables(struct sink_run *s, struct err *err)
{
    uint32_t count = (uint32_t)s->c->request->connections;
    int rc = 0;

    if (count > s->count)
        count = s->count;
    if (s->why == NULL && count > 1)
        return compare_beside(s, count, err);
    for (uint32_t i = 0; rc == 0 && i < s->count; i++) {
        struct workers_answer answer = {0};

        rc = compare_item(s, i, &answer, err);
        if (rc == 0)
            show(s, &answer);
        free(answer.text);
    }
    return rc;
}

static void
choose_tables(struct sink_run *s)
{
    const struct pgrelations *tables = &s->c->catalog.tables;

    s->tables = pool_take(&s->c->pool, (tables->count + 1) * sizeof *s->tables);
    for (size_t i = 0; i < tables->count; i++)
        if (is_chosen(s->c, s->work.sink, &tables->relations[i]))
            s->tables[s->count++] = &tables->relations[i];
}

static int
compare_sink(struct comparing *c, const struct sink_config *sink, struct err *err)
{
    struct sink_run s = {.c = c,
                         .work = {.config = c->config,
                                  .sink = sink,
                                  .catalog = &c->catalog,
                                  .source = c->source,
                                  .pace = &c->pace,
                                  .progress = &c->progress,
                                  .status = c->status},
                         .why = sink_reason(sink)};
    struct err unreachable = {0};
    struct pool pool = {0};
    int rc = s.why != NULL ? 0 : open_target(&s, &unreachable);

    if (rc == 1)
        s.why = unreachable.message;
    else if (rc < 0)
        *err = unreachable;
    choose_tables(&s);
    if (rc >= 0)
        rc = s.why != NULL ? 0 : comparing_progress(c, sink, &s.list, &pool, err);
    if (rc == 0)
        rc = compare_tables(&s, err);
    PQfinish(s.work.target);
    (void)chprogram_end(&s.work.program);
    pool_free(&pool);
    return rc;
}

/* The result of a whole sink, for the metrics. Another user than walpipe's may not write it. */
static void
leave_note(struct comparing *c, const struct sink_config *sink)
{
    struct err err = {0};

    if (c->request->table != NULL)
        return;
    c->note.time = (uint64_t)time(NULL);
    if (comparenote_write(c->config->state_dir, sink->name, &c->note, &err) != 0)
        log_write(c->log, LOG_WARNING, "/metrics will not show this result: %s", err.message);
}

static int
compare_sinks(struct comparing *c, struct err *err)
{
    for (size_t i = 0; i < c->config->sinks_count; i++) {
        const struct sink_config *sink = &c->config->sinks[i];

        if (!is_wanted(c, sink))
            continue;
        if (c->request->json) {
            json_open_member(&c->json, NULL, '{');
            json_cstr(&c->json, "sink", sink->name);
            json_open_member(&c->json, "tables", '[');
        } else {
            printf("sink %s\n", sink->name);
        }
        c->note = (struct comparenote){0};
        c->progress.sink = sink->name;
        if (position_of_source(c->source, &c->note.lsn, err) != 0 ||
            compare_sink(c, sink, err) != 0)
            return -1;
        leave_note(c, sink);
        if (c->request->json) {
            json_close(&c->json, ']');
            json_close(&c->json, '}');
        }
    }
    return 0;
}

/* ---- the command ---- */

/* The rows of the chosen tables in all chosen sinks. */
static int
estimate(struct comparing *c, struct err *err)
{
    const struct pgrelations *tables = &c->catalog.tables;

    for (size_t i = 0; i < tables->count; i++) {
        const struct relation *r = &tables->relations[i];
        uint64_t rows;

        if (progress_estimate(c->source, r->relid, &rows, err) != 0)
            return -1;
        for (size_t k = 0; k < c->config->sinks_count; k++)
            if (is_wanted(c, &c->config->sinks[k]) && is_chosen(c, &c->config->sinks[k], r))
                c->progress.total += rows;
    }
    return 0;
}

static int
find_names(struct comparing *c, struct err *err)
{
    bool found = c->request->sink == NULL;

    for (size_t i = 0; i < c->config->sinks_count; i++)
        found = found || strcmp(c->config->sinks[i].name, c->request->sink) == 0;
    if (!found)
        return err_set(err, EXIT_REFUSED, "%s has no sink \"%s\"", c->config->path,
                       c->request->sink);
    return c->request->table == NULL ? 0 : names_table(c->request->table, &c->table, err);
}

static int
open_source(struct comparing *c, struct err *err)
{
    if (catalog_read(&c->catalog, c->config, err) != 0)
        return -1;
    if (c->catalog.standby) {
        err_set(err, EXIT_REFUSED, "the source is a standby, which has no position of its own");
        return err_hint(err, "name the primary, or add target_session_attrs=read-write");
    }
    c->described = described_open(&c->catalog, err);
    if (c->described < 0)
        return -1;
    c->source = pgsession_open(c->config->source.conninfo, c->config->source.password, err);
    if (c->source == NULL)
        return -1;
    c->status = calloc(1, sizeof *c->status);
    return c->status != NULL ? 0 : err_set(err, EXIT_PEER, "out of memory for the status");
}

static int
result_of(const struct comparing *c)
{
    return c->different ? COMPARE_DIFFERENT : c->omitted ? COMPARE_NOT : EXIT_DONE;
}

static void
show_end(struct comparing *c)
{
    static const char *const words[] = {
        [EXIT_DONE] = "equal", [COMPARE_DIFFERENT] = "different", [COMPARE_NOT] = "not compared"};
    const char *result = words[result_of(c)];

    if (c->request->json) {
        json_close(&c->json, ']');
        json_cstr(&c->json, "result", result);
        json_close(&c->json, '}');
        putchar('\n');
    } else if (c->omitted && c->different) {
        puts("different, and not everything could be compared");
    } else if (c->omitted) {
        puts("no difference found, but not everything could be compared");
    } else {
        puts(result);
    }
}

static int
run(struct comparing *c, struct err *err)
{
    if (find_names(c, err) != 0 || open_source(c, err) != 0)
        return -1;
    if (c->request->json) {
        json_open(&c->json, '{');
        json_cstr(&c->json, "pipeline", c->config->name);
        json_open_member(&c->json, "sinks", '[');
    }
    c->progress.shown = isatty(STDERR_FILENO);
    if (c->progress.shown && estimate(c, err) != 0)
        return -1;
    if (compare_sinks(c, err) != 0)
        return -1;
    if (c->compared == 0)
        return err_set(err, EXIT_REFUSED, "no published table is chosen");
    show_end(c);
    return 0;
}

int
compare_run(const struct config *config, const struct log *log,
            const struct compare_request *request)
{
    struct comparing c = {.config = config,
                          .log = log,
                          .request = request,
                          .described = -1,
                          .pace.rate = request->rate,
                          .progress.fd = -1,
                          .json.out = stdout};
    struct err err = {0};
    int rc = run(&c, &err), code;

    progress_clear(&c.progress);
    code = rc != 0 ? log_failure(log, &err) : result_of(&c);
    if (c.described >= 0)
        close(c.described);
    PQfinish(c.source);
    catalog_free(&c.catalog);
    free(c.status);
    pool_free(&c.pool);
    return code;
}
