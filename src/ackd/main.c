/* ackd: decides which LSN is safe. Options, wiring, exit code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ackd/ackd.h"
#include "ackd/http.h"
#include "ackd/loop.h"
#include "lib/clock.h"
#include "lib/opt.h"
#include "lib/sig.h"
#include "lib/sock.h"
#include "lib/statedir.h"

enum { OPT_SOCKET, OPT_STATE, OPT_SINK, OPT_HTTP, OPT_PIPELINE, OPT_RESTARTS, OPT_LOG_LEVEL };

static const struct opt_spec specs[] = {
    {"socket", "PATH", "listen here for pg-wal-read and the workers"},
    {"state", "DIR", "keep the checkpoint here (mode 0700, made when missing)"},
    {"sink", "NAME=SHARDS", "a sink and how many workers it has; repeat for each"},
    {"http", "ADDR:PORT", "serve /healthz and /metrics"},
    {"pipeline", "NAME", "the pipeline's name, which the checkpoint must carry"},
    {"restarts", "N", "how often the supervisor has restarted the pipeline"},
    {"log-level", "LEVEL", "debug, info (default), warning or error"},
};

static const struct opt_program program = {
    .name = "ackd",
    .usage = "--socket PATH --state DIR --sink NAME=SHARDS [--sink ...] [OPTION]...",
    .purpose = "Collects what the workers of all sinks have made durable and confirms to the "
               "source what is safe.",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs};

struct settings {
    const char *socket;
    const char *http;
};

/* Names stand in metrics' labels, in the checkpoint and in "dst/0" without any quoting. */
static bool
good_name(const char *name, size_t len)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "_-.";

    return len >= 1 && len <= NAME_MAX_BYTES && strspn(name, allowed) >= len;
}

static int
add_sink(struct ackd *a, const char *text, struct err *err)
{
    const char *equals = strrchr(text, '=');
    size_t len = equals == NULL ? 0 : (size_t)(equals - text);
    struct sink *s = &a->sinks[a->sinks_count];
    uint64_t shards;

    if (!good_name(text, len))
        return err_set(err, EXIT_REFUSED,
                       "--sink: \"%s\" is not NAME=SHARDS with a name of letters, digits, _, - "
                       "and . (at most %d bytes)",
                       text, NAME_MAX_BYTES);
    if (opt_number("--sink", equals + 1, 1, WORKERS_MAX, &shards, err) != 0)
        return -1;
    if (shards > WORKERS_MAX - a->workers_count)
        return err_set(err, EXIT_REFUSED, "--sink: more than %u workers in all sinks together",
                       WORKERS_MAX);
    memcpy(s->name, text, len);
    for (uint32_t i = 0; i < a->sinks_count; i++)
        if (strcmp(a->sinks[i].name, s->name) == 0)
            return err_set(err, EXIT_REFUSED, "--sink: sink \"%s\" is given twice", s->name);
    s->shards = (uint32_t)shards;
    s->first_worker = a->workers_count;
    for (uint32_t shard = 0; shard < s->shards; shard++)
        a->workers[a->workers_count++] = (struct worker){.sink = a->sinks_count, .shard = shard};
    a->sinks_count++;
    return 0;
}

static int
set_option(struct ackd *a, struct settings *settings, int option, const char *value,
           struct err *err)
{
    switch (option) {
    case OPT_SOCKET:
        settings->socket = value;
        return 0;
    case OPT_STATE:
        a->dir_path = value;
        return 0;
    case OPT_SINK:
        return add_sink(a, value, err);
    case OPT_HTTP:
        settings->http = value;
        return 0;
    case OPT_PIPELINE:
        if (!good_name(value, strlen(value)))
            return err_set(err, EXIT_REFUSED,
                           "--pipeline: \"%s\" is not a name of letters, digits, _, - and . (at "
                           "most %d bytes)",
                           value, NAME_MAX_BYTES);
        memcpy(a->pipeline, value, strlen(value) + 1);
        return 0;
    case OPT_RESTARTS:
        return opt_number("--restarts", value, 0, UINT32_MAX, &a->restarts, err);
    default:
        if (log_level_parse(value, &a->log.level))
            return 0;
        return err_set(err, EXIT_REFUSED, "--log-level: unknown level \"%s\"", value);
    }
}

/* 0, OPT_DONE, or OPT_BAD with err. */
static int
read_options(struct ackd *a, struct settings *settings, int argc, char **argv, struct err *err)
{
    struct opt opt = {.program = &program, .argc = argc, .argv = argv, .at = 1};
    int option;

    while ((option = opt_next(&opt, err)) >= 0)
        if (set_option(a, settings, option, opt.value, err) != 0)
            return OPT_BAD;
    if (option != OPT_END)
        return option;
    if (opt.at < argc)
        err_set(err, EXIT_REFUSED, "unexpected operand \"%s\"", argv[opt.at]);
    else if (settings->socket == NULL || a->dir_path == NULL || a->sinks_count == 0)
        err_set(err, EXIT_REFUSED, "--socket, --state and at least one --sink are required");
    else
        return 0;
    err_hint(err, "see ackd --help");
    return OPT_BAD;
}

static void
describe_sinks(struct ackd *a)
{
    size_t at = 0;

    for (uint32_t i = 0; i < a->sinks_count; i++)
        at += (size_t)snprintf(a->sinks_line + at, sizeof a->sinks_line - at, "%s%s/%u",
                               i == 0 ? "" : " ", a->sinks[i].name, a->sinks[i].shards);
}

static int
load_checkpoint(struct ackd *a, struct err *err)
{
    int found = checkpoint_read(a->dir, a->dir_path, &a->checkpoint, err);

    if (found <= 0)
        return found;
    if (strcmp(a->checkpoint.pipeline, a->pipeline) != 0) {
        err_set(err, EXIT_REFUSED, "checkpoint \"%s/%s\" belongs to pipeline \"%s\", not to \"%s\"",
                a->dir_path, CHECKPOINT_NAME, a->checkpoint.pipeline, a->pipeline);
        return err_hint(err, "give each pipeline a state_dir of its own");
    }
    a->checkpoint_known = true;
    a->checkpoint_safe_seen = a->checkpoint.safe_lsn;
    return 0;
}

static int
serve(struct ackd *a, const struct settings *settings, struct err *err)
{
    struct http *http = NULL;
    int result;

    a->dir = statedir_open(a->dir_path, err);
    /* The lock is kept until the process ends. */
    if (a->dir < 0 || statedir_lock(a->dir, a->dir_path, STATEDIR_ACKD, err) < 0 ||
        load_checkpoint(a, err) != 0)
        return -1;
    if (settings->http != NULL && (http = http_open(a, settings->http, err)) == NULL)
        return -1;
    /* Last: who connects may take for granted that we are ready. */
    a->listener = sock_listen(settings->socket, err);
    result = a->listener < 0 ? -1 : loop_run(a, http, err);
    http_close(http);
    return result;
}

int
main(int argc, char **argv)
{
    struct ackd *a = calloc(1, sizeof *a);
    struct settings settings = {0};
    struct err err = {0};
    int code = EXIT_DONE;

    if (a == NULL)
        return EXIT_PEER;
    a->log = (struct log){.program = "ackd", .level = LOG_INFO};
    a->started_at = clock_micros();
    for (size_t i = 0; i < CONNS_MAX; i++)
        a->conns[i].fd = -1;
    sig_ignore_pipe();
    sig_wait_for_end();
    switch (read_options(a, &settings, argc, argv, &err)) {
    case 0:
        describe_sinks(a);
        if (serve(a, &settings, &err) != 0)
            code = log_failure(&a->log, &err);
        break;
    case OPT_DONE:
        break;
    default:
        code = log_failure(&a->log, &err);
    }
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (a->conns[i].fd >= 0)
            conn_close(&a->conns[i]);
    free(a);
    return code;
}
