/* main.c: options, wiring and exit code of sink-ch. See sink-ch(1). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/copynote.h"
#include "lib/io.h"
#include "lib/sig.h"
#include "sink-ch/adopt.h"
#include "sink-ch/attach.h"
#include "sink-ch/check.h"
#include "sink-ch/compare.h"
#include "sink-ch/copies.h"
#include "sink-ch/copylist.h"
#include "sink-ch/history.h"
#include "sink-ch/making.h"
#include "sink-ch/park.h"
#include "sink-ch/resync.h"
#include "sink-ch/resyncask.h"
#include "sink-ch/secrets.h"
#include "sink-ch/skipnotes.h"
#include "sink-ch/skipping.h"
#include "sink-ch/worker.h"

#define PASSWORD_SIZE 1024

/* walpipe waits for the answer of --tables: a target that hangs must not hold it. */
#define ANSWER_PATIENCE_SECONDS 30

/* For all tables. */
#define ATTACH_PATIENCE_SECONDS 600

static bool
ackd_is_gone(void *context)
{
    return ackconn_gone(context, 0);
}

static void
say(void *context, bool warning, const char *text)
{
    const struct worker *w = context;

    log_write(w->log, warning ? LOG_WARNING : LOG_INFO, "%s", text);
}

static bool
is_worker(const struct options *o)
{
    return !o->check && !o->compare && !o->drop_progress && !o->tables && !o->attach &&
           o->resync == NULL && o->skip == NULL && o->schema == SCHEMA_NOT && o->adopt == ADOPT_NOT;
}

/* Call it after hello was read, which names the sink. */
static int
open_server(struct worker *w, struct err *err)
{
    char password[PASSWORD_SIZE];
    struct http_options http = {
        .url = w->options->url,
        .user = w->options->user,
        .password = password,
        .ca_file = w->options->ca_file,
        .cert_file = w->options->cert_file,
        .key_file = w->options->key_file,
    };

    if (secrets_password(w->options, password, sizeof password, err) != 0)
        return -1;
    if (password[0] == '\0')
        http.password = NULL;
    if (is_worker(w->options)) {
        http.gone = ackd_is_gone;
        http.context = &w->intake.ack;
        w->server.intake = &w->intake;
    }
    w->server.log = w->log;
    w->server.login.path = w->options->login_note;
    snprintf(w->server.query_id, sizeof w->server.query_id, "walpipe-%.63s-%s-%u-%.8s",
             w->options->pipeline == NULL ? "check" : w->options->pipeline, w->intake.hello.sink,
             w->intake.hello.shard, run_id_format(&w->intake.hello.run_id).text);
    w->server.http = http_new(&http, err);
    explicit_bzero(password, sizeof password);
    return w->server.http == NULL ? -1 : 0;
}

static void
set_journal(struct worker *w)
{
    w->journal = (struct journal){.server = &w->server,
                                  .hello = &w->intake.hello,
                                  .layout = &w->intake.layout,
                                  .pipeline = w->options->pipeline,
                                  .database = w->options->database};
}

/* An earlier timeline's position counts, too: it is found, though it is not used. */
static enum ack_position
position_of(const struct worker *w)
{
    if (w->journal.off)
        return ACK_POSITION_UNKNOWN;
    if (w->journal.last_timeline != 0)
        return ACK_POSITION_FOUND;
    return w->intake.hello.version == STREAM_VERSION_COPY && !copying_counts_on(&w->copies.copying)
               ? ACK_POSITION_NEW
               : ACK_POSITION_NONE;
}

static int
replicate(struct worker *w, struct err *err)
{
    uint64_t durable;

    set_journal(w);
    if (intake_connect(&w->intake, "sink-ch", w->options->ackd, err) != 0 ||
        open_server(w, err) != 0 || server_probe(&w->server, w->options->database, err) != 0 ||
        journal_open(&w->journal, &durable, err) != 0 || history_open(w, err) != 0 ||
        skipnotes_load(w, err) != 0 || copies_start(w, err) != 0 ||
        intake_register(&w->intake, "sink-ch", durable, w->intake.hello.timeline, position_of(w),
                        err) != 0 ||
        skipping_report(w, true, err) != 0)
        return -1;
    w->convert.limits = w->server.limits;
    log_write(w->log, LOG_INFO, "replicating into ClickHouse %s", w->server.version);
    if (worker_run(w, err) == 0)
        return 0;
    resync_failed(w);
    park_table(w, err);
    if (err->code == EXIT_REFUSED && err->lsn != 0 && w->skips.helps)
        skips_hint(w->intake.hello.sink, err);
    return -1;
}

static int
drop_progress(struct worker *w, struct err *err)
{
    const struct notetable notes = {
        .server = &w->server, .pipeline = w->options->pipeline, .database = w->options->database};

    w->journal = (struct journal){
        .server = &w->server, .pipeline = w->options->pipeline, .database = w->options->database};
    if (open_server(w, err) != 0 || server_probe(&w->server, w->options->database, err) != 0)
        return -1;
    if (notetable_drop(&notes, NOTETABLE_TABLES, w->options->sink, err) != 0 ||
        notetable_drop(&notes, NOTETABLE_MISSING, w->options->sink, err) != 0 ||
        notetable_drop(&notes, NOTETABLE_SKIPS, w->options->sink, err) != 0 ||
        notetable_drop(&notes, NOTETABLE_LACKS, w->options->sink, err) != 0 ||
        notetable_drop(&notes, NOTETABLE_PARKED, w->options->sink, err) != 0)
        return -1;
    return journal_drop(&w->journal, w->options->sink, err);
}

static int
print_tables(struct worker *w, struct err *err)
{
    struct buf lines = {0};
    int rc;

    alarm(ANSWER_PATIENCE_SECONDS);
    rc = open_server(w, err);
    if (rc == 0)
        rc = copylist_read(&w->server, w->options, &lines, err);
    rc = copynote_answer(&lines, rc, stdout, err);
    buf_free(&lines);
    return rc;
}

static int
adopt(struct worker *w, struct err *err)
{
    set_journal(w);
    if (open_server(w, err) != 0 || server_probe(&w->server, w->options->database, err) != 0)
        return -1;
    return adopt_run(w, err);
}

static int
note_resync(struct worker *w, struct err *err)
{
    alarm(ANSWER_PATIENCE_SECONDS);
    set_journal(w);
    return open_server(w, err) != 0 ? -1 : resyncask_note(w, err);
}

static int
note_attach(struct worker *w, struct err *err)
{
    alarm(ATTACH_PATIENCE_SECONDS);
    set_journal(w);
    return open_server(w, err) != 0 ? -1 : attach_note(w, err);
}

static int
note_skip(struct worker *w, struct err *err)
{
    alarm(ANSWER_PATIENCE_SECONDS);
    set_journal(w);
    return open_server(w, err) != 0 ? -1 : skipnotes_ask(w, err);
}

static int
work(struct worker *w, struct log *log, struct err *err)
{
    int rc, in;

    batch_init(&w->batch);
    intake_init(&w->intake, -1);
    if (w->options->drop_progress)
        return drop_progress(w, err);
    if (w->options->tables)
        return print_tables(w, err);
    in = io_open_input(w->options->in, err);
    sig_wait_for_end();
    intake_init(&w->intake, in);
    w->intake.copies = is_worker(w->options);
    w->intake.say = say;
    w->intake.context = w;
    if (in < 0 || intake_hello(&w->intake, err) != 0)
        return -1;
    if (w->intake.hello.sink[0] != '\0') {
        log->sink = w->intake.hello.sink;
        log->shard = w->intake.hello.shard;
    }
    if (is_worker(w->options))
        return replicate(w, err);
    if (w->options->resync != NULL)
        return note_resync(w, err);
    if (w->options->attach)
        return note_attach(w, err);
    if (w->options->skip != NULL)
        return note_skip(w, err);
    if (w->options->compare)
        return open_server(w, err) != 0 ? -1 : compare_run(w, err);
    if (w->options->check) {
        set_journal(w);
        rc = open_server(w, err) != 0 ? -1 : check_run(w, err);
    } else if (w->options->schema != SCHEMA_NOT) {
        rc = open_server(w, err) != 0 ? -1 : making_run(w, err);
    } else {
        rc = adopt(w, err);
    }
    if (rc == 1)
        exit(EXIT_REFUSED); /* its lines have the reason */
    return rc;
}

int
main(int argc, char **argv)
{
    static struct worker worker; /* large, because it holds the values of the widest row */
    struct log log = {.program = "sink-ch", .level = LOG_INFO};
    struct options options;
    struct err err = {0};
    enum opt_status status = options_parse(argc, argv, &options, &err);
    int rc;

    if (status == OPT_GO && secrets_check_tls(&options, &err) != 0)
        status = OPT_BAD;
    if (status != OPT_GO) {
        options_free(&options);
        return status == OPT_DONE ? EXIT_DONE : log_failure(&log, &err);
    }
    log_begin(&log, options.log_level, options.log_format);
    sig_ignore_pipe();
    worker.options = &options;
    worker.log = &log;
    rc = work(&worker, &log, &err) == 0 ? EXIT_DONE : log_failure(&log, &err);
    worker_free(&worker);
    options_free(&options);
    return rc;
}
