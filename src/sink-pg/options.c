/* options.c: see options.h. */
#include "sink-pg/options.h"

#include "lib/opt.h"
#include "lib/pqx.h"

#define BATCH_ROWS_DEFAULT   10000
#define BATCH_ROWS_MAX       1000000
#define FLUSH_MILLIS_DEFAULT 200

enum {
    OPT_IN,
    OPT_CONNINFO,
    OPT_PIPELINE,
    OPT_ACKD,
    OPT_BATCH_ROWS,
    OPT_FLUSH_INTERVAL,
    OPT_MAP,
    OPT_CHECK,
    OPT_DROP_PROGRESS,
    OPT_SINK,
    OPT_LOG_LEVEL
};

static const struct opt_spec specs[] = {
    [OPT_IN] = {"in", "PATH", "listen on this Unix socket for the event stream, not stdin"},
    [OPT_CONNINFO] = {"conninfo", "C", "the target, in libpq's form, without a password"},
    [OPT_PIPELINE] = {"pipeline", "NAME", "name of the pipeline in walpipe.progress"},
    [OPT_ACKD] = {"ackd", "SOCKET", "ackd's socket"},
    [OPT_BATCH_ROWS] = {"batch-rows", "N", "rows of a batch (default: 10000)"},
    [OPT_FLUSH_INTERVAL] = {"flush-interval", "TIME", "longest wait of a row (default: 200ms)"},
    [OPT_MAP] = {"map", "MAP", "'a.b -> c.d, ...': other target tables; may be repeated"},
    [OPT_CHECK] = {"check", NULL, "compare hello and relations on the input with the target"},
    [OPT_DROP_PROGRESS] = {"drop-progress", NULL, "remove a sink's rows from walpipe.progress"},
    [OPT_SINK] = {"sink", "NAME", "the sink of --drop-progress"},
    [OPT_LOG_LEVEL] = {"log-level", "LEVEL", "debug, info, warning or error (default: info)"},
};

static const struct opt_program program = {
    .name = "sink-pg",
    .usage = "--conninfo C --pipeline NAME --ackd SOCKET [OPTION]...",
    .purpose = "Applies walpipe's event stream to a PostgreSQL database, exactly once.",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
};

static int
take(struct options *o, int which, const char *value, struct log *log, struct err *err)
{
    uint64_t number;

    switch (which) {
    case OPT_IN:
        o->in = value;
        return 0;
    case OPT_CONNINFO:
        o->conninfo = value;
        return 0;
    case OPT_PIPELINE:
        o->pipeline = value;
        return 0;
    case OPT_ACKD:
        o->ackd = value;
        return 0;
    case OPT_BATCH_ROWS:
        if (opt_number("--batch-rows", value, 1, BATCH_ROWS_MAX, &number, err) != 0)
            return -1;
        o->batch_rows = (uint32_t)number;
        return 0;
    case OPT_FLUSH_INTERVAL:
        return opt_duration("--flush-interval", value, &o->flush_millis, err);
    case OPT_MAP:
        return mapping_parse(&o->mapping, value, err);
    case OPT_CHECK:
        o->check = true;
        return 0;
    case OPT_DROP_PROGRESS:
        o->drop_progress = true;
        return 0;
    case OPT_SINK:
        o->sink = value;
        return 0;
    default:
        return log_level_parse(value, &log->level)
                   ? 0
                   : err_set(err, EXIT_REFUSED, "unknown log level \"%s\"", value);
    }
}

static int
require(const char *value, const char *name, struct err *err)
{
    if (value != NULL && value[0] != '\0')
        return 0;
    err_set(err, EXIT_REFUSED, "option --%s is missing", name);
    return err_hint(err, "see sink-pg --help");
}

int
options_parse(int argc, char **argv, struct options *o, struct log *log, struct err *err)
{
    struct opt opt = {.program = &program, .argc = argc, .argv = argv, .at = 1};
    int which;

    *o = (struct options){.batch_rows = BATCH_ROWS_DEFAULT, .flush_millis = FLUSH_MILLIS_DEFAULT};
    while ((which = opt_next(&opt, err)) >= 0)
        if (take(o, which, opt.value, log, err) != 0)
            return OPT_BAD;
    if (which != OPT_END)
        return which;
    if (opt.at < argc) {
        err_set(err, EXIT_REFUSED, "unexpected argument \"%s\"", argv[opt.at]);
        return OPT_BAD;
    }
    if (require(o->conninfo, "conninfo", err) != 0 || require(o->pipeline, "pipeline", err) != 0 ||
        (o->drop_progress && require(o->sink, "sink", err) != 0) ||
        (!o->drop_progress && !o->check && require(o->ackd, "ackd", err) != 0) ||
        pqx_refuse_password(o->conninfo, err) != 0)
        return OPT_BAD;
    return OPT_END;
}
