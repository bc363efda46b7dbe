/* main.c: sink-ch: options, wiring, exit code. See sink-ch(1). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "lib/opt.h"
#include "lib/sig.h"
#include "sink-ch/check.h"
#include "sink-ch/worker.h"

#define PASSWORD_SIZE 1024

/* A batch of more rows would not be one block on a server with default settings. */
#define BATCH_ROWS_MAX 500000

enum {
    OPTION_IN,
    OPTION_URL,
    OPTION_DATABASE,
    OPTION_USER,
    OPTION_PASSWORD_FILE,
    OPTION_CA_FILE,
    OPTION_CERT_FILE,
    OPTION_KEY_FILE,
    OPTION_PIPELINE,
    OPTION_ACKD,
    OPTION_ON_OVERFLOW,
    OPTION_CREATE_TABLES,
    OPTION_VERSION_COLUMN,
    OPTION_DELETED_COLUMN,
    OPTION_BATCH_ROWS,
    OPTION_FLUSH_INTERVAL,
    OPTION_MAP,
    OPTION_CHECK,
    OPTION_LOG_LEVEL
};

static const struct opt_spec specs[] = {
    [OPTION_IN] = {"in", "PATH", "listen on this Unix socket for the event stream; default stdin"},
    [OPTION_URL] = {"url", "URL", "ClickHouse's HTTP interface: http://host:8123"},
    [OPTION_DATABASE] = {"database", "NAME", "where the tables are"},
    [OPTION_USER] = {"user", "NAME", "ClickHouse user; default: the server's default user"},
    [OPTION_PASSWORD_FILE] = {"password-file", "FILE", "its password; else $WALPIPE_CH_PASSWORD"},
    [OPTION_CA_FILE] = {"ca-file", "FILE", "authorities for https; default the system's"},
    [OPTION_CERT_FILE] = {"cert-file", "FILE", "client certificate for https"},
    [OPTION_KEY_FILE] = {"key-file", "FILE", "and its key"},
    [OPTION_PIPELINE] = {"pipeline", "NAME", "names this pipeline's queries"},
    [OPTION_ACKD] = {"ackd", "SOCKET", "ackd's socket"},
    [OPTION_ON_OVERFLOW] = {"on-overflow", "WHAT",
                            "error, clamp or null: what a value that does not fit becomes"},
    [OPTION_CREATE_TABLES] = {"create-tables", NULL, "create missing tables, add new columns"},
    [OPTION_VERSION_COLUMN] = {"version-column", "NAME", "default _version"},
    [OPTION_DELETED_COLUMN] = {"deleted-column", "NAME", "default _is_deleted"},
    [OPTION_BATCH_ROWS] = {"batch-rows", "N", "send when so many rows wait; default 10000"},
    [OPTION_FLUSH_INTERVAL] = {"flush-interval", "TIME", "or when the oldest waits so long; 1s"},
    [OPTION_MAP] = {"map", "'a.b -> c.d, ...'", "source tables that go elsewhere; repeatable"},
    [OPTION_CHECK] = {"check", NULL, "say whether the target fits the relations on stdin"},
    [OPTION_LOG_LEVEL] = {"log-level", "LEVEL", "debug, info, warning or error; default info"},
};

static const struct opt_program program = {
    .name = "sink-ch",
    .usage = "--url URL --database NAME --pipeline NAME --ackd SOCKET [OPTION]...",
    .purpose = "Applies walpipe's event stream to ClickHouse.",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
};

/* The string option that stands for itself; NULL: it needs a closer look. */
static const char **
plain_option(struct options *options, int option)
{
    switch (option) {
    case OPTION_IN:
        return &options->in;
    case OPTION_URL:
        return &options->url;
    case OPTION_DATABASE:
        return &options->database;
    case OPTION_USER:
        return &options->user;
    case OPTION_PASSWORD_FILE:
        return &options->password_file;
    case OPTION_CA_FILE:
        return &options->ca_file;
    case OPTION_CERT_FILE:
        return &options->cert_file;
    case OPTION_KEY_FILE:
        return &options->key_file;
    case OPTION_PIPELINE:
        return &options->pipeline;
    case OPTION_ACKD:
        return &options->ackd;
    case OPTION_VERSION_COLUMN:
        return &options->version_column;
    case OPTION_DELETED_COLUMN:
        return &options->deleted_column;
    default:
        return NULL;
    }
}

static int
take_policy(const char *value, enum convert_policy *policy, struct err *err)
{
    static const char *const names[] = {
        [CONVERT_ERROR] = "error", [CONVERT_CLAMP] = "clamp", [CONVERT_NULL] = "null"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(value, names[i]) == 0) {
            *policy = (enum convert_policy)i;
            return 0;
        }
    return err_set(err, EXIT_REFUSED, "--on-overflow: \"%s\" is not error, clamp or null", value);
}

static int
take_option(struct options *options, int option, const char *value, struct err *err)
{
    const char **plain = plain_option(options, option);

    if (plain != NULL) {
        *plain = value;
        if (value[0] != '\0' && strpbrk(value, "\r\n") == NULL)
            return 0;
        return err_set(err, EXIT_REFUSED, "--%s: empty, or holds a line break", specs[option].name);
    }
    switch (option) {
    case OPTION_ON_OVERFLOW:
        return take_policy(value, &options->on_overflow, err);
    case OPTION_CREATE_TABLES:
        options->create_tables = true;
        return 0;
    case OPTION_CHECK:
        options->check = true;
        return 0;
    case OPTION_BATCH_ROWS:
        return opt_number("--batch-rows", value, 1, BATCH_ROWS_MAX, &options->batch_rows, err);
    case OPTION_FLUSH_INTERVAL:
        return opt_duration("--flush-interval", value, &options->flush_millis, err);
    case OPTION_MAP:
        return options_add_mappings(options, value, err);
    default:
        if (log_level_parse(value, &options->log_level))
            return 0;
        return err_set(err, EXIT_REFUSED,
                       "--log-level: \"%s\" is not debug, info, warning or error", value);
    }
}

static int
check_options(const struct opt *opt, const struct options *options, struct err *err)
{
    static const int needed[] = {OPTION_URL, OPTION_DATABASE, OPTION_PIPELINE, OPTION_ACKD};

    if (opt->at < opt->argc)
        return err_set(err, EXIT_REFUSED, "unexpected argument \"%s\"", opt->argv[opt->at]);
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        struct options copy = *options;

        if (*plain_option(&copy, needed[i]) == NULL &&
            !(options->check && needed[i] >= OPTION_PIPELINE)) {
            err_set(err, EXIT_REFUSED, "option --%s is missing", specs[needed[i]].name);
            return err_hint(err, "see sink-ch --help");
        }
    }
    if (strcmp(options->version_column, options->deleted_column) == 0)
        return err_set(err, EXIT_REFUSED,
                       "--version-column and --deleted-column are the same column");
    return options_check_tls(options, err);
}

/* 0, 1 (--help was printed) or -1 with err. */
static int
read_options(int argc, char **argv, struct options *options, struct err *err)
{
    struct opt opt = {.program = &program, .argc = argc, .argv = argv, .at = 1};

    *options = (struct options){.version_column = "_version",
                                .deleted_column = "_is_deleted",
                                .batch_rows = 10000,
                                .flush_millis = 1000,
                                .log_level = LOG_INFO};
    for (;;) {
        int option = opt_next(&opt, err);

        if (option == OPT_DONE)
            return 1;
        if (option == OPT_BAD)
            return -1;
        if (option == OPT_END)
            return check_options(&opt, options, err);
        if (take_option(options, option, opt.value, err) != 0)
            return -1;
    }
}

static int
read_hello(struct worker *w, struct err *err)
{
    struct frame frame;

    for (;;) {
        switch (frame_next(&w->reader, &frame, err)) {
        case FRAME_READY:
            return hello_decode(&frame, "event", &w->hello, err);
        case FRAME_BAD:
            return -1;
        case FRAME_NEED_MORE:
            break;
        }
        switch (frame_fill(&w->reader, w->input_fd, err)) {
        case FILL_READ:
        case FILL_AGAIN:
            break;
        case FILL_EOF:
            return frame_eof_error(&w->reader, "event", err);
        case FILL_FAILED:
            return -1;
        }
    }
}

static bool
ackd_is_gone(void *context)
{
    return ackclient_gone(context);
}

/* Not before hello was read: it names the sink. */
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

    if (options_password(w->options, password, sizeof password, err) != 0)
        return -1;
    if (password[0] == '\0')
        http.password = NULL;
    if (!w->options->check) {
        http.gone = ackd_is_gone;
        http.context = &w->ack;
        w->server.ack = &w->ack;
        w->server.input = &w->reader;
        w->server.input_fd = w->input_fd;
    }
    w->server.log = w->log;
    w->server.give_up = w->options->check;
    snprintf(w->server.query_id, sizeof w->server.query_id, "walpipe-%.63s-%s-%u-%.8s",
             w->options->pipeline == NULL ? "check" : w->options->pipeline, w->hello.sink,
             w->hello.shard, run_id_format(&w->hello.run_id).text);
    w->server.http = http_new(&http, err);
    explicit_bzero(password, sizeof password);
    return w->server.http == NULL ? -1 : 0;
}

static int
replicate(struct worker *w, struct err *err)
{
    uint64_t durable;

    if (w->hello.shards == 0 || w->hello.shard >= w->hello.shards)
        return err_set(err, EXIT_REFUSED, "the event stream did not come through route");
    w->journal = (struct journal){.server = &w->server,
                                  .hello = &w->hello,
                                  .pipeline = w->options->pipeline,
                                  .database = w->options->database};
    if (ackclient_connect(&w->ack, w->options->ackd, err) != 0 || open_server(w, err) != 0 ||
        server_probe(&w->server, w->options->database, err) != 0 ||
        journal_open(&w->journal, &durable, err) != 0 ||
        ackclient_register(&w->ack, program.name, &w->hello, durable, w->hello.timeline, err) != 0)
        return -1;
    w->server.registered = true;
    w->convert.limits = w->server.limits;
    log_write(w->log, LOG_INFO, "replicating into ClickHouse %s", w->server.version);
    return worker_run(w, err);
}

static int
work(struct worker *w, struct log *log, struct err *err)
{
    int rc;

    frame_reader_init(&w->reader, FRAME_MAX);
    batch_init(&w->batch);
    w->ack.fd = -1;
    w->input_fd = io_open_input(w->options->in, err);
    if (w->input_fd < 0 || read_hello(w, err) != 0)
        return -1;
    if (w->hello.sink[0] != '\0') {
        log->sink = w->hello.sink;
        log->shard = w->hello.shard;
    }
    if (!w->options->check)
        return replicate(w, err);
    if (open_server(w, err) != 0)
        return -1;
    rc = check_run(w, err);
    if (rc == 1)
        exit(EXIT_REFUSED); /* its lines said it all */
    return rc;
}

int
main(int argc, char **argv)
{
    static struct worker worker; /* large: it holds the values of the widest row */
    struct log log = {.program = program.name, .level = LOG_INFO};
    struct options options;
    struct err err = {0};
    int rc = read_options(argc, argv, &options, &err);

    if (rc != 0) {
        options_free(&options);
        return rc == 1 ? EXIT_DONE : log_failure(&log, &err);
    }
    log.level = options.log_level;
    sig_ignore_pipe();
    sig_wait_for_end();
    worker.options = &options;
    worker.log = &log;
    rc = work(&worker, &log, &err) == 0 ? EXIT_DONE : log_failure(&log, &err);
    worker_free(&worker);
    options_free(&options);
    return rc;
}
