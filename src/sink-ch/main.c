/* main.c: sink-ch: options, wiring, exit code. See sink-ch(1). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "lib/sig.h"
#include "sink-ch/check.h"
#include "sink-ch/secrets.h"
#include "sink-ch/worker.h"

#define PASSWORD_SIZE 1024

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

    if (secrets_password(w->options, password, sizeof password, err) != 0)
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
        ackclient_register(&w->ack, "sink-ch", &w->hello, durable, w->hello.timeline, err) != 0)
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
