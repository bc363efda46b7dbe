/* sink-pg reads the event stream and writes its rows to a PostgreSQL server, exactly once. It has
 * one poll over the input, ackd and the target's socket. While it applies a batch it does not
 * read. */
#include <unistd.h>

#include "lib/io.h"
#include "lib/lsn.h"
#include "lib/names.h"
#include "lib/sig.h"
#include "sink-pg/attach.h"
#include "sink-pg/check.h"
#include "sink-pg/copylist.h"
#include "sink-pg/resyncask.h"
#include "sink-pg/worker.h"

/* walpipe waits for the answer of --layout before it starts a pipeline, and for that of --tables: a
 * target that hangs must not hold it. */
#define ANSWER_PATIENCE_SECONDS 30

/* For all tables. */
#define ATTACH_PATIENCE_SECONDS 600

static int
drop_progress(const struct options *options, struct log *log, struct err *err)
{
    struct session session = {.conninfo = options->conninfo,
                              .application_name = "walpipe sink-pg --drop-progress",
                              .log = log};
    const struct skipnotes skips = {.pipeline = options->pipeline, .sink = options->sink};
    int rc;

    if (session_open(&session, err) != 0)
        return -1;
    rc = progress_drop(&session, options->pipeline, options->sink, err);
    if (rc == 0)
        rc = copynotes_drop(&session, options->pipeline, options->sink, err);
    if (rc == 0)
        rc = skipnotes_drop(&skips, &session, err);
    if (rc == 0)
        rc = origin_drop(&session, options->pipeline, options->sink, err);
    session_close(&session);
    return rc;
}

static int
print_layout(const struct options *options, struct log *log, struct err *err)
{
    struct session session = {
        .conninfo = options->conninfo, .application_name = "walpipe sink-pg --layout", .log = log};
    struct wholes wholes = {.pipeline = options->pipeline, .sink = options->sink};
    int rc;

    alarm(ANSWER_PATIENCE_SECONDS);
    if (session_open(&session, err) != 0)
        return -1;
    rc = wholes_print(&wholes, &session, &options->mapping, stdout, err);
    session_close(&session);
    return rc;
}

static int
print_tables(const struct options *options, struct log *log, struct err *err)
{
    /* Missing rights concern only those who write. */
    struct session session = {.conninfo = options->conninfo,
                              .application_name = "walpipe sink-pg --tables",
                              .log = log,
                              .warned = true};
    int rc;

    alarm(ANSWER_PATIENCE_SECONDS);
    rc = copylist_print(&session, options->pipeline, options->sink, stdout, err);
    session_close(&session);
    return rc;
}

static int
note_resync(const struct options *options, struct log *log, int in, struct err *err)
{
    struct session session = {.conninfo = options->conninfo,
                              .application_name = "walpipe sink-pg --resync",
                              .log = log,
                              .warned = true};
    struct resyncask ask = {
        .pipeline = options->pipeline, .sink = options->sink, .map = &options->mapping};
    int rc;

    alarm(ANSWER_PATIENCE_SECONDS);
    if (names_option_table(options->resync, &ask.table, err) != 0 ||
        session_open(&session, err) != 0)
        return -1;
    rc = resyncask_note(&session, &ask, in, err);
    session_close(&session);
    return rc;
}

static int
note_attach(const struct options *options, struct log *log, int in, struct err *err)
{
    struct session session = {.conninfo = options->conninfo,
                              .application_name = "walpipe sink-pg --attach",
                              .log = log,
                              .warned = true};
    const struct attach attach = {
        .pipeline = options->pipeline, .sink = options->sink, .map = &options->mapping};
    int rc;

    alarm(ATTACH_PATIENCE_SECONDS);
    if (session_open(&session, err) != 0)
        return -1;
    rc = attach_note(&session, &attach, in, err);
    session_close(&session);
    return rc;
}

static int
note_skip(const struct options *options, struct log *log, struct err *err)
{
    struct session session = {.conninfo = options->conninfo,
                              .application_name = "walpipe sink-pg --skip",
                              .log = log,
                              .warned = true};
    const struct skipnotes notes = {.pipeline = options->pipeline, .sink = options->sink};
    struct skip skip = {0};
    int rc;

    alarm(ANSWER_PATIENCE_SECONDS);
    if (!lsn_parse(options->skip, &skip.lsn))
        return err_set(err, EXIT_REFUSED, "--skip: \"%s\" is not an LSN", options->skip);
    if ((options->skip_table != NULL &&
         names_option_table(options->skip_table, &skip.table, err) != 0) ||
        session_open(&session, err) != 0)
        return -1;
    rc = options->repaired ? skipnotes_repaired(&notes, &session, &skip, err)
                           : skipnotes_ask(&notes, &session, &skip, err);
    session_close(&session);
    return rc;
}

static int
run(const struct options *options, struct log *log, int in, struct err *err)
{
    static struct worker worker; /* large: decoded rows */
    int rc;

    worker.options = options;
    worker.log = log;
    rc = worker_run(&worker, in, err);
    if (rc == 0)
        log_write(log, LOG_INFO, "drained");
    worker_free(&worker);
    return rc;
}

int
main(int argc, char **argv)
{
    struct log log = {.program = "sink-pg", .level = LOG_INFO};
    struct options options;
    struct err err = {0};
    int rc, in;

    switch (options_parse(argc, argv, &options, &err)) {
    case OPT_GO:
        break;
    case OPT_DONE:
        tablemap_free(&options.mapping);
        return EXIT_DONE;
    case OPT_BAD:
        tablemap_free(&options.mapping);
        return log_failure(&log, &err);
    }
    log_begin(&log, options.log_level, options.log_format);
    sig_ignore_pipe();
    if (options.drop_progress) {
        rc = drop_progress(&options, &log, &err);
    } else if (options.layout) {
        rc = print_layout(&options, &log, &err);
    } else if (options.tables) {
        rc = print_tables(&options, &log, &err);
    } else if (options.skip != NULL) {
        rc = note_skip(&options, &log, &err);
    } else if ((in = io_open_input(options.in, &err)) < 0) {
        rc = -1;
    } else if (options.resync != NULL) {
        rc = note_resync(&options, &log, in, &err);
        close(in);
    } else if (options.attach) {
        rc = note_attach(&options, &log, in, &err);
        close(in);
    } else {
        sig_wait_for_end();
        rc = options.check ? check_run(&options, &log, in, &err) : run(&options, &log, in, &err);
        close(in);
    }
    tablemap_free(&options.mapping);
    return rc < 0 ? log_failure(&log, &err) : rc;
}
