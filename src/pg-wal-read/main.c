/* pg-wal-read: one logical replication slot's WAL as the wal stream on stdout; ackd's feedback back
 * to the server. */
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "lib/lsn.h"
#include "lib/opt.h"
#include "lib/pqx.h"
#include "lib/sig.h"
#include "pg-wal-read/check.h"
#include "pg-wal-read/stream.h"

enum {
    OPT_CONNINFO,
    OPT_SLOT,
    OPT_PUBLICATION,
    OPT_ACKD,
    OPT_NO_ACK,
    OPT_CREATE_SLOT,
    OPT_BINARY,
    OPT_STREAMING,
    OPT_MESSAGES,
    OPT_OUT,
    OPT_CHECK,
    OPT_DROP_SLOT,
    OPT_LOG_LEVEL
};

static const struct opt_spec specs[] = {
    [OPT_CONNINFO] = {"conninfo", "CONNINFO", "the source, in libpq's form; no password here"},
    [OPT_SLOT] = {"slot", "NAME", "the replication slot"},
    [OPT_PUBLICATION] = {"publication", "NAME[,NAME]", "the publications"},
    [OPT_ACKD] = {"ackd", "PATH", "ackd's socket"},
    [OPT_NO_ACK] = {"no-ack", NULL, "only look: read without ever confirming anything"},
    [OPT_CREATE_SLOT] = {"create-slot", NULL, "create the slot if ackd has no checkpoint for it"},
    [OPT_BINARY] = {"binary", NULL, "ask for binary values (server 14 and later)"},
    [OPT_STREAMING] = {"streaming", NULL, "ask for transactions in progress (server 14 and later)"},
    [OPT_MESSAGES] = {"messages", NULL, "ask for logical messages (server 14 and later)"},
    [OPT_OUT] = {"out", "PATH", "send the wal stream to this Unix socket, not stdout"},
    [OPT_CHECK] = {"check", NULL, "try what can be tried without reading WAL; one line each"},
    [OPT_DROP_SLOT] = {"drop-slot", NULL, "drop the slot"},
    [OPT_LOG_LEVEL] = {"log-level", "LEVEL", "debug, info, warning or error (default: info)"},
};

static const struct opt_program program = {
    .name = "pg-wal-read",
    .usage = "--conninfo CONNINFO --slot NAME --publication NAME (--ackd PATH | --no-ack)",
    .purpose = "Reads a logical replication slot and writes walpipe's wal stream.",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
};

struct options {
    struct source_options source;
    const char *ackd;
    const char *out;
    bool no_ack;
    bool check;
    bool drop_slot;
};

static int
take_option(int which, const char *value, struct options *o, struct log *log, struct err *err)
{
    switch (which) {
    case OPT_CONNINFO:
        o->source.conninfo = value;
        return pqx_refuse_password(value, err);
    case OPT_SLOT:
        o->source.slot = value;
        break;
    case OPT_PUBLICATION:
        return source_parse_publications(value, &o->source, err);
    case OPT_ACKD:
        o->ackd = value;
        break;
    case OPT_NO_ACK:
        o->no_ack = true;
        break;
    case OPT_CREATE_SLOT:
        o->source.create_slot = true;
        break;
    case OPT_BINARY:
        o->source.binary = true;
        break;
    case OPT_STREAMING:
        o->source.streaming = true;
        break;
    case OPT_MESSAGES:
        o->source.messages = true;
        break;
    case OPT_OUT:
        o->out = value;
        break;
    case OPT_CHECK:
        o->check = true;
        break;
    case OPT_DROP_SLOT:
        o->drop_slot = true;
        break;
    case OPT_LOG_LEVEL:
        if (!log_level_parse(value, &log->level))
            return err_set(err, EXIT_REFUSED, "unknown log level \"%s\"", value);
        break;
    default:
        break;
    }
    return 0;
}

static int
require_options(const struct options *o, struct err *err)
{
    if (o->source.conninfo == NULL || o->source.slot == NULL)
        err_set(err, EXIT_REFUSED, "--conninfo and --slot are needed");
    else if (o->source.slot[strspn(o->source.slot, "abcdefghijklmnopqrstuvwxyz0123456789_")] !=
                 '\0' ||
             o->source.slot[0] == '\0' || strlen(o->source.slot) > NAME_MAX_BYTES)
        err_set(err, EXIT_REFUSED,
                "\"%s\" is no slot name: PostgreSQL allows a-z, 0-9 and _, 1 to 63 of them",
                o->source.slot);
    else if (o->drop_slot)
        return OPT_END;
    else if (o->source.publications_count == 0)
        err_set(err, EXIT_REFUSED, "--publication is needed");
    else if (!o->check && (o->ackd == NULL) != o->no_ack)
        err_set(err, EXIT_REFUSED, "one of --ackd and --no-ack is needed");
    else
        return OPT_END;
    err_hint(err, "see pg-wal-read --help");
    return OPT_BAD;
}

static int
parse_options(int argc, char **argv, struct options *o, struct log *log, struct err *err)
{
    struct opt opt = {.program = &program, .argc = argc, .argv = argv, .at = 1};
    int which;

    while ((which = opt_next(&opt, err)) >= 0)
        if (take_option(which, opt.value, o, log, err) != 0)
            return OPT_BAD;
    if (which != OPT_END)
        return which;
    if (opt.at < argc) {
        err_set(err, EXIT_REFUSED, "unexpected argument \"%s\"", argv[opt.at]);
        return OPT_BAD;
    }
    return require_options(o, err);
}

/* How often a slot is looked at that cannot be used yet. */
#define WAIT_MILLIS 500

/* After so long the log says what the making of a slot waits for, and then again and again. */
#define CREATION_PATIENCE_MICROS UINT64_C(5000000)

struct reader {
    struct log *log;
    const struct options *options;
    struct run_id run_id;
    struct source source;
    struct acklink ack;
    struct slotwatch watch;
    struct stream stream;
    struct hello hello;
};

static int
tell_source(struct reader *r, struct err *err)
{
    struct ack_source s = {.system_identifier = r->source.system_identifier,
                           .timeline = r->source.timeline,
                           .previous_timeline = r->source.previous_timeline,
                           .switch_lsn = r->source.switch_lsn,
                           .server_version = r->source.server_version,
                           .confirmed_lsn =
                               r->source.slot.exists ? r->source.slot.confirmed_lsn : 0,
                           .wal_sender_timeout_ms = r->source.wal_sender_timeout_ms};

    if (r->options->no_ack)
        return 0;
    memcpy(s.database, r->source.database, sizeof s.database);
    snprintf(s.slot, sizeof s.slot, "%s", r->options->source.slot);
    return acklink_source(&r->ack, &s, err);
}

/* What we wait for, to the log and to ackd. */
static int PRINTF_LIKE(4, 5)
    say_waiting(struct reader *r, bool standby, struct err *err, const char *fmt, ...)
{
    struct ack_waiting waiting = {.standby = standby};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(waiting.message, sizeof waiting.message, fmt, ap);
    va_end(ap);
    if (waiting.message[0] != '\0')
        log_write(r->log, LOG_WARNING, "%s%s", standby ? "standby: " : "", waiting.message);
    return r->options->no_ack ? 0 : acklink_waiting(&r->ack, &waiting, err);
}

static int
pause_for(struct reader *r, int millis, struct err *err)
{
    if (!r->options->no_ack)
        return acklink_pause(&r->ack, millis, err);
    poll(NULL, 0, millis);
    return 0;
}

/* The server waits for every open transaction, one of them perhaps forgotten. */
static int
wait_for_creation(struct reader *r, struct err *err)
{
    const struct source_options *options = &r->options->source;
    uint64_t say_at = clock_micros() + CREATION_PATIENCE_MICROS;
    char blockers[160];
    int created;

    if (source_create_slot(&r->source, options, err) != 0)
        return -1;
    while ((created = source_slot_created(&r->source, options, WAIT_MILLIS, err)) == 0) {
        if (pause_for(r, 0, err) != 0)
            return -1;
        if (clock_micros() < say_at)
            continue;
        say_at = clock_micros() + CREATION_PATIENCE_MICROS;
        source_what_blocks(&r->source, options, blockers, sizeof blockers);
        if (say_waiting(r, false, err,
                        "the source makes slot \"%s\" when every transaction that was open has "
                        "ended; it waits for %s",
                        options->slot, blockers[0] == '\0' ? "one of them" : blockers) != 0)
            return -1;
    }
    return created < 0 ? -1 : 0;
}

/* ackd refuses a slot that is gone when its checkpoint says that there was one. */
static int
create_missing_slot(struct reader *r, struct err *err)
{
    if (r->source.slot.exists)
        return 0;
    if (!r->options->source.create_slot) {
        err_set(err, EXIT_REFUSED, "replication slot \"%s\" does not exist",
                r->options->source.slot);
        return err_hint(err, "create it, or set create_slot = yes");
    }
    if (tell_source(r, err) != 0 || wait_for_creation(r, err) != 0)
        return -1;
    log_write(r->log, LOG_INFO, "created replication slot \"%s\" at %s", r->options->source.slot,
              lsn_format(r->source.slot.confirmed_lsn).text);
    return 0;
}

/* A slot in use is waited for: a second walpipe is the first one's hot standby. */
static int
wait_for_slot(struct reader *r, struct err *err)
{
    int said_pid = 0;

    for (;;) {
        if (source_read_slot(&r->source, &r->options->source, err) != 0)
            return -1;
        if (!r->source.slot.exists || r->source.slot.active_pid == 0)
            return 0;
        if (said_pid != r->source.slot.active_pid &&
            say_waiting(r, true, err,
                        "slot \"%s\" is in use by the source's process %d%s%s%s: waiting until it "
                        "is free",
                        r->options->source.slot, r->source.slot.active_pid,
                        r->source.slot.user[0] == '\0' ? "" : " (", r->source.slot.user,
                        r->source.slot.user[0] == '\0' ? "" : ")") != 0)
            return -1;
        said_pid = r->source.slot.active_pid;
        if (pause_for(r, WAIT_MILLIS, err) != 0)
            return -1;
    }
}

static int
start(struct reader *r, struct err *err)
{
    const struct source_options *options = &r->options->source;

    if (source_connect(&r->source, options, err) != 0 ||
        source_check_server(&r->source, options, err) != 0)
        return -1;
    for (;;) {
        if (wait_for_slot(r, err) != 0 || create_missing_slot(r, err) != 0 ||
            source_check_slot(&r->source, options, err) != 0 || tell_source(r, err) != 0)
            return -1;
        switch (source_start(&r->source, options, err)) {
        case SOURCE_STREAMING:
            return 0;
        case SOURCE_SLOT_ACTIVE:
            if (pause_for(r, WAIT_MILLIS, err) != 0)
                return -1;
            break;
        case SOURCE_FAILED:
            return -1;
        }
    }
}

static void
fill_hello(struct reader *r)
{
    struct hello *h = &r->hello;

    snprintf(h->stream, sizeof h->stream, "wal");
    snprintf(h->program, sizeof h->program, "pg-wal-read");
    h->run_id = r->run_id;
    h->system_identifier = r->source.system_identifier;
    h->timeline = r->source.timeline;
    memcpy(h->database, r->source.database, sizeof h->database);
    snprintf(h->slot, sizeof h->slot, "%s", r->options->source.slot);
    h->publications_count = r->options->source.publications_count;
    memcpy(h->publications, r->options->source.publications, sizeof h->publications);
    h->server_version = r->source.server_version;
    h->proto_version = r->source.proto_version;
    h->start_lsn = r->source.slot.confirmed_lsn;
}

static int
run(struct reader *r, struct err *err)
{
    struct stream *s = &r->stream;
    bool acks = !r->options->no_ack;

    s->out_fd = io_open_output(r->options->out, err);
    if (s->out_fd < 0)
        return -1;
    io_enlarge_pipe(s->out_fd, 4 * IO_CHUNK);
    s->out_fd = io_make_nonblocking(s->out_fd, err);
    if (s->out_fd < 0 || run_id_new(&r->run_id, err) != 0)
        return -1;
    if (acks && acklink_connect(&r->ack, r->options->ackd, &r->run_id, err) != 0)
        return -1;
    if (start(r, err) != 0)
        return -1;
    /* Until here SIGTERM simply ends the program: there is nothing to drain. */
    s->signal_fd = sig_open(false, err);
    if (s->signal_fd < 0)
        return -1;
    slotwatch_init(&r->watch, r->options->source.conninfo, r->options->source.slot);
    s->log = r->log;
    s->source = &r->source;
    s->ack = acks ? &r->ack : NULL;
    s->watch = acks ? &r->watch : NULL;
    fill_hello(r);
    log_write(r->log, LOG_INFO, "streaming from slot \"%s\" at %s, run %s", r->hello.slot,
              lsn_format(r->hello.start_lsn).text, run_id_format(&r->run_id).text);
    return stream_run(s, &r->hello, err);
}

static int
run_reader(struct log *log, const struct options *options)
{
    struct reader *r = calloc(1, sizeof *r);
    struct err err = {0};
    int code = EXIT_DONE;

    if (r == NULL) {
        err_set(&err, EXIT_PEER, "out of memory at the start");
        return log_failure(log, &err);
    }
    r->log = log;
    r->options = options;
    r->ack.fd = -1;
    if (run(r, &err) != 0)
        code = log_failure(log, &err);
    slotwatch_free(&r->watch);
    source_close(&r->source);
    acklink_close(&r->ack);
    buf_free(&r->stream.out);
    free(r);
    return code;
}

int
main(int argc, char **argv)
{
    static struct options options;
    struct log log = {.program = "pg-wal-read", .level = LOG_INFO};
    struct err err = {0};
    int which = parse_options(argc, argv, &options, &log, &err);

    if (which == OPT_DONE)
        return EXIT_DONE;
    if (which == OPT_BAD)
        return log_failure(&log, &err);
    sig_ignore_pipe();
    if (options.check)
        return (int)check_source(&options.source);
    if (!options.drop_slot)
        return run_reader(&log, &options);
    if (drop_source_slot(&options.source, &err) != 0)
        return log_failure(&log, &err);
    return EXIT_DONE;
}
