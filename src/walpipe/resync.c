/* resync.c: see resync.h. The request goes to ackd, and through it to pg-table-read. Its answer
 * comes when the workers have noted it in their targets, so nothing is lost after that. */
#include "walpipe/resync.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/ackconn.h"
#include "lib/lasterror.h"
#include "lib/names.h"
#include "lib/statedir.h"
#include "lib/utctime.h"
#include "walpipe/described.h"
#include "walpipe/helper.h"
#include "walpipe/plan.h"
#include "walpipe/tables.h"

#define LOOK_MILLIS 1000

#define SLOT_LOOK_MILLIS     500
#define SLOT_PATIENCE_MILLIS 5000

/* While walpipe runs without an ackd, it is between two starts, at most 8 s apart. */
#define START_PATIENCE_MILLIS 10000

struct request {
    const struct config *config;
    const struct log *log;
    const char *sink;
    const char *text; /* the table, as it was given */
    struct table_name table;
};

static bool
is_chosen(const struct request *r, const struct sink_config *sink)
{
    return r->sink == NULL ? sink->copies && sink->paused == 0 : strcmp(r->sink, sink->name) == 0;
}

static void
say_left_out(const struct request *r)
{
    for (size_t i = 0; i < r->config->sinks_count; i++) {
        const struct sink_config *sink = &r->config->sinks[i];

        if (r->sink == NULL && sink->copies && sink->detached)
            printf("not in sink %s, which is detached: walpipe resume --sink %s copies all its "
                   "tables again\n",
                   sink->name, sink->name);
        else if (r->sink == NULL && sink->copies && sink->paused != 0)
            printf("not in sink %s, which is paused: run this again with --sink %s after walpipe "
                   "resume\n",
                   sink->name, sink->name);
    }
}

/* ---- the config ---- */

static int
check_sink(const struct config *config, const struct sink_config *sink, struct err *err)
{
    if (sink->paused != 0) {
        err_set(err, EXIT_REFUSED, "sink \"%s\" is %s since %s", sink->name,
                sink->detached ? "detached" : "paused", utctime_at(sink->paused).text);
        return err_hint(err, "run walpipe resume -c %.300s --sink %s%s", config->path, sink->name,
                        sink->detached ? ", which copies all its tables again" : " first");
    }
    if (sink->type == SINK_EXEC) {
        err_set(err, EXIT_REFUSED,
                "sink \"%s\": only a table of PostgreSQL or ClickHouse can be copied again",
                sink->name);
        return err_hint(err, "name a sink of type pg or ch with --sink");
    }
    if (sink->copies)
        return 0;
    err_set(err, EXIT_REFUSED, "sink \"%s\" does not copy", sink->name);
    return err_hint(err,
                    "set copy = yes in [sink %s], which copies no table that is streaming; restart "
                    "walpipe if it runs, and run walpipe resync again",
                    sink->name);
}

static int
check_config(const struct request *r, struct err *err)
{
    bool any = false;

    for (size_t i = 0; i < r->config->sinks_count; i++) {
        const struct sink_config *sink = &r->config->sinks[i];

        if (!is_chosen(r, sink))
            continue;
        any = true;
        if (check_sink(r->config, sink, err) != 0)
            return -1;
    }
    if (any)
        return 0;
    if (r->sink != NULL)
        return err_set(err, EXIT_REFUSED, "%s has no sink \"%s\"", r->config->path, r->sink);
    err_set(err, EXIT_REFUSED, "no sink of %s takes copies", r->config->path);
    return err_hint(err, "set copy = yes in the sink, which copies no table that is streaming; "
                         "restart walpipe if it runs, and run walpipe resync again");
}

/* ---- a pipeline that does not run ---- */

struct noting {
    const struct request *of;
    struct pool *pool;
    const char *programs;
    struct catalog catalog;
    int source;        /* described_open's file */
    const char *noted; /* the sinks in which it is noted, "" if there is none yet */
};

static int
read_source(struct noting *n, struct err *err)
{
    struct err why = {0};

    catalog_free(&n->catalog);
    if (catalog_read(&n->catalog, n->of->config, &why) == 0)
        return 0;
    err_set(err, why.code, "the source cannot be asked for the table: %s", why.message);
    return err_hint(err, "%s", why.hint);
}

/* The state directory tells only of a pipeline that uses the same one. The slot may be in use for a
 * moment longer than the pipeline. */
static int
require_idle_slot(struct noting *n, struct err *err)
{
    int64_t patience = SLOT_PATIENCE_MILLIS;

    while (read_source(n, err) == 0) {
        if (!n->catalog.slot_active)
            return 0;
        if (patience <= 0) {
            err_set(err, EXIT_REFUSED, "the slot is in use: another walpipe runs this pipeline");
            return err_hint(err, "run the command there, with its config file and state_dir");
        }
        poll(NULL, 0, SLOT_LOOK_MILLIS);
        patience -= SLOT_LOOK_MILLIS;
    }
    return -1;
}

/* A walpipe that does not run may not have noticed it. */
static int
require_published(const struct noting *n, struct err *err)
{
    const struct table_name *t = &n->of->table;

    for (size_t i = 0; i < n->catalog.tables.count; i++)
        if (strcmp(n->catalog.tables.relations[i].schema, t->schema) == 0 &&
            strcmp(n->catalog.tables.relations[i].name, t->table) == 0)
            return 0;
    err_set(err, EXIT_REFUSED, "no table %s.%s is published", t->schema, t->table);
    return err_hint(err, "walpipe tables lists the published tables");
}

static int
note_in(struct noting *n, const struct sink_config *sink, struct err *err)
{
    const struct config *config = n->of->config;
    struct helper helper = {.directory = n->programs,
                            .argv = plan_resync_arguments(config, n->pool, sink, n->of->text),
                            .env = plan_sink_env(n->pool, (const char *const *)environ, sink),
                            .out = -1};
    char *output = NULL;
    int code;

    helper.in = described_route(config, n->pool, n->programs, sink, n->source, err);
    if (helper.in < 0)
        return -1;
    code = helper_run(&helper, n->pool, &output, err);
    close(helper.in);
    if (code < 0)
        return -1;
    if (code != EXIT_DONE)
        return err_set(err, (enum exit_code)code, "sink %s: %s ended with exit code %d, see above",
                       sink->name, helper.argv[0], code);
    n->noted = pool_print(n->pool, "%s%s%s", n->noted, n->noted[0] == '\0' ? "" : ", ", sink->name);
    return 0;
}

static bool
takes(const struct request *r, const struct sink_config *sink)
{
    return is_chosen(r, sink) && tablefilter_takes(&sink->filter, r->table.schema, r->table.table);
}

static int
note_in_sinks(struct noting *n, struct err *err)
{
    const struct request *r = n->of;

    for (size_t i = 0; i < r->config->sinks_count; i++) {
        if (!takes(r, &r->config->sinks[i]) || note_in(n, &r->config->sinks[i], err) == 0)
            continue;
        return n->noted[0] == '\0'
                   ? -1
                   : err_hint(err, "it is noted in %s; the next start copies the table again there",
                              n->noted);
    }
    if (n->noted[0] != '\0')
        return 0;
    err_set(err, EXIT_REFUSED, "no sink that takes copies has %s in its tables", r->text);
    return err_hint(err, "add it to tables of the sink");
}

static int
prepare(struct noting *n, struct err *err)
{
    n->programs = plan_programs_directory(n->pool, err);
    if (n->programs == NULL || require_idle_slot(n, err) != 0 || require_published(n, err) != 0)
        return -1;
    n->source = described_open(&n->catalog, err);
    return n->source < 0 ? -1 : 0;
}

/* The next start finds the note. */
static int
note(const struct request *r, struct pool *pool, struct err *err)
{
    struct noting n = {.of = r, .pool = pool, .source = -1, .noted = ""};
    int rc = prepare(&n, err) == 0 ? note_in_sinks(&n, err) : -1;

    if (n.source >= 0)
        close(n.source);
    catalog_free(&n.catalog);
    if (rc == 0)
        say_left_out(r);
    if (rc == 0)
        printf("%s is noted; the next start of the pipeline copies it again\n", r->text);
    return rc;
}

/* ---- the request ---- */

static int
hear(struct ackconn *conn, struct copy_controlled *answer, struct err *err)
{
    struct ack_message message;

    if (ackconn_hear(conn, &message, err) != 0)
        return err_hint(
            err,
            "walpipe tables shows whether the table is in state resync; if it is not, try again");
    if (message.type != ACK_CONTROLLED) {
        err_set(err, EXIT_REFUSED, "ackd's answer is not one that this walpipe understands");
        return err_hint(err, "walpipe and the running ackd must be of one release");
    }
    *answer = message.controlled;
    return 0;
}

/* *running says whether the pipeline runs, or is starting. */
static int
ask(const struct request *r, bool *running, struct err *err)
{
    struct ack_message request = {.type = ACK_CONTROL, .control = {.verb = "resync"}};
    struct copy_controlled answer = {0};
    struct ackconn conn;
    int rc;

    snprintf(request.control.sink, sizeof request.control.sink, "%s",
             r->sink == NULL ? "" : r->sink);
    snprintf(request.control.schema, sizeof request.control.schema, "%s", r->table.schema);
    snprintf(request.control.name, sizeof request.control.name, "%s", r->table.table);
    rc = ackconn_open(&conn, r->config->socket,
                      statedir_is_run(r->config->state_dir) ? START_PATIENCE_MILLIS : 0, err);
    *running = rc == 0 || statedir_is_run(r->config->state_dir);
    if (rc == 0)
        rc = ackconn_say(&conn, &request, err);
    if (rc == 0)
        rc = hear(&conn, &answer, err);
    ackconn_close(&conn);
    if (rc != 0 || answer.accepted)
        return rc;
    err_set(err, EXIT_REFUSED, "%s", answer.message);
    return err_hint(err, "%s", answer.hint);
}

/* ---- the wait ---- */

/* The notes of a table that was dropped may have the name as well. */
static const struct table_progress *
find_table(const struct request *r, const struct tablelist *list)
{
    const struct table_progress *found = NULL;

    for (size_t i = 0; i < list->count; i++) {
        const struct table_progress *t = &list->tables[i];

        if (strcmp(t->schema, r->table.schema) == 0 && strcmp(t->name, r->table.table) == 0 &&
            (found == NULL || t->published))
            found = t;
    }
    return found;
}

/* The request was accepted when no worker had the table parked any more. */
static int
look_at_list(const struct request *r, const struct tablelist *list, bool *done, struct err *err)
{
    const struct table_progress *t = find_table(r, list);

    if (t == NULL || t->parked == NULL) {
        *done = *done && list->known &&
                (t == NULL || strcmp(t->state, "streaming") == 0 ||
                 strcmp(t->state, "out-streaming") == 0);
        return 0;
    }
    err_set(err, EXIT_REFUSED, "%s is parked again in sink %s: %.700s", r->text, list->sink->name,
            t->parked->message);
    return err_hint(err, "mend the cause, and run walpipe resume --table again%s%.400s",
                    t->parked->hint[0] == '\0' ? "" : "; ", t->parked->hint);
}

/* Sets *done, unless a target cannot be read now. */
static int
look(const struct request *r, bool *done, struct err *err)
{
    struct pool pool = {0};
    bool *sinks = pool_take(&pool, (r->config->sinks_count + 1) * sizeof *sinks);
    struct tables_choice choice = {.config = r->config, .sinks = sinks};
    struct tables_found found;
    int rc;

    for (size_t i = 0; i < r->config->sinks_count; i++)
        sinks[i] = is_chosen(r, &r->config->sinks[i]);
    rc = tables_read(&choice, &found, &pool, err);
    *done = rc == 0;
    for (size_t i = 0; rc == 0 && i < r->config->sinks_count; i++)
        if (sinks[i])
            rc = look_at_list(r, &found.lists[i], done, err);
    pool_free(&pool);
    return rc;
}

struct wait {
    bool was_run;           /* a walpipe run was seen */
    bool news;              /* an error came since the request */
    struct lasterror known; /* the last error, perhaps from before */
};

static bool
find_news(const struct request *r, struct wait *w)
{
    struct lasterror last;

    if (!lasterror_read(r->config->state_dir, &last) ||
        (strcmp(last.time, w->known.time) == 0 && strcmp(last.message, w->known.message) == 0))
        return false;
    w->known = last;
    w->news = true;
    return true;
}

/* Each start may come to the same end. */
static void
tell(const struct request *r, const struct lasterror *last)
{
    const struct log_field fields[] = {{.name = "hint", .text = last->hint},
                                       {.name = "exit_code", .number = last->exit_code}};

    log_write_fields(r->log, LOG_WARNING, fields + (last->hint[0] == '\0'),
                     last->hint[0] == '\0' ? 1 : 2, "still waiting; %s: %s%s", last->program,
                     last->message,
                     last->exit_code == 0 ? "" : "; the pipeline starts again after that");
}

static int
tell_end(const struct request *r, struct wait *w, struct err *err)
{
    (void)find_news(r, w);
    if (!w->news || w->known.exit_code != EXIT_REFUSED) {
        err_set(err, EXIT_PEER, "walpipe run has ended before the table was copied");
        return err_hint(err, "the next start copies it; its log says why it has ended");
    }
    err_set(err, EXIT_REFUSED, "walpipe run has ended before the table was copied: %s: %s",
            w->known.program, w->known.message);
    return err_hint(err, "%s", w->known.hint);
}

/* Its supervisor may be another one than walpipe run. */
static int
wait_for_end(const struct request *r, struct wait *w, struct err *err)
{
    bool done = false;

    for (;;) {
        bool runs = statedir_is_run(r->config->state_dir);

        if (look(r, &done, err) != 0)
            return -1;
        if (done)
            return 0;
        if (w->was_run && !runs)
            return tell_end(r, w, err);
        w->was_run = runs;
        if (find_news(r, w) && w->known.exit_code != EXIT_REFUSED)
            tell(r, &w->known);
        poll(NULL, 0, LOOK_MILLIS);
    }
}

static int
request(const struct request *r, bool wait, struct pool *pool, struct err *err)
{
    struct wait w = {.was_run = statedir_is_run(r->config->state_dir)};
    bool running;

    if (!lasterror_read(r->config->state_dir, &w.known))
        w.known = (struct lasterror){0};
    if (ask(r, &running, err) != 0) {
        if (running)
            return -1;
        *err = (struct err){0};
        return note(r, pool, err);
    }
    say_left_out(r);
    printf("%s is copied again%s\n", r->text, wait ? "" : "; walpipe tables shows how far it is");
    fflush(stdout);
    return wait ? wait_for_end(r, &w, err) : 0;
}

int
resync_table(const struct config *config, const struct log *log, const char *sink,
             const char *table, bool wait)
{
    struct request r = {.config = config, .log = log, .sink = sink, .text = table};
    struct pool pool = {0};
    struct err err = {0};
    int code = EXIT_DONE;

    if (names_option_table(table, &r.table, &err) != 0 || check_config(&r, &err) != 0 ||
        request(&r, wait, &pool, &err) != 0)
        code = log_failure(log, &err);
    pool_free(&pool);
    return code;
}
