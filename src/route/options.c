/* options.c: see options.h. --stream, --shard-key, --layout, --tables, --left-out and --to belong
 * to the --sink before them. */
#include "route/options.h"

#include <string.h>

static int
add_sink(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct options *o = options;

    (void)spec;
    if (o->sinks_count == WORKERS_MAX)
        return err_set(err, EXIT_REFUSED, "more than %u sinks", WORKERS_MAX);
    if (value[0] == '\0' || strlen(value) > NAME_MAX_BYTES)
        return err_set(err, EXIT_REFUSED, "sink name \"%s\" must have 1 to %d bytes", value,
                       NAME_MAX_BYTES);
    for (size_t i = 0; i < o->sinks_count; i++)
        if (strcmp(o->sinks[i].name, value) == 0)
            return err_set(err, EXIT_REFUSED, "sink \"%s\" is named twice", value);
    o->sinks[o->sinks_count++] =
        (struct sink){.name = value, .workers = &o->workers[o->workers_count]};
    return 0;
}

/* The sink that an option belongs to, or NULL with err. */
static struct sink *
last_sink(const struct opt_spec *spec, struct options *o, struct err *err)
{
    if (o->sinks_count > 0)
        return &o->sinks[o->sinks_count - 1];
    err_set(err, EXIT_REFUSED, "--%s before the first --sink", spec->name);
    return NULL;
}

static int
set_stream(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct sink *sink = last_sink(spec, options, err);

    if (sink == NULL)
        return -1;
    if (strcmp(value, "1") != 0 && strcmp(value, "2") != 0)
        return err_set(err, EXIT_REFUSED, "--%s: \"%s\" is not 1 or 2", spec->name, value);
    sink->version = (uint32_t)(value[0] - '0');
    return 0;
}

static int
set_hears(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct sink *sink = last_sink(spec, options, err);

    if (sink == NULL)
        return -1;
    if (strcmp(value, "tell") != 0)
        return err_set(err, EXIT_REFUSED, "--%s: \"%s\" is not tell", spec->name, value);
    sink->hears = true;
    return 0;
}

static int
set_shard_key(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct sink *sink = last_sink(spec, options, err);

    if (sink == NULL)
        return -1;
    if (layout_set_shard_key(&sink->tables.layout, value))
        return 0;
    return err_set(err, EXIT_REFUSED, "--%s: \"%s\" is not key, table or column:NAME", spec->name,
                   value);
}

static int
set_layout(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct sink *sink = last_sink(spec, options, err);

    if (sink == NULL)
        return -1;
    return layout_read_file(&sink->tables.layout, value, err) == 0 ? 0 : opt_prefix(spec, err);
}

static int
add_tables(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct sink *sink = last_sink(spec, options, err);

    if (sink == NULL)
        return -1;
    return tablefilter_add(&sink->tables.filter, value, err) == 0 ? 0 : opt_prefix(spec, err);
}

static int
add_worker(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct options *o = options;
    struct sink *sink = last_sink(spec, o, err);

    if (sink == NULL)
        return -1;
    if (o->workers_count == WORKERS_MAX)
        return err_set(err, EXIT_REFUSED, "more than %u workers", WORKERS_MAX);
    o->workers[o->workers_count++] = (struct worker){.path = value, .fd = -1};
    sink->tables.layout.shards++;
    return 0;
}

#define TO(field) .offset = offsetof(struct options, field)

static const struct opt_spec specs[] = {
    {"in", "PATH", "listen on this Unix socket for the event stream, not stdin", OPT_TEXT, TO(in)},
    {"copy", "PATH", "rows that exist already: the stream of pg-table-read", OPT_TEXT, TO(copy)},
    {"sink", "NAME", "begin a sink; the options below belong to the last one named", OPT_CALL,
     .take = add_sink},
    {"stream", "VERSION", "format version of its stream, 2 if it reads copies (default: 1)",
     OPT_CALL, .take = set_stream},
    {"shard-key", "KEY", "key, table or column:NAME (default: key)", OPT_CALL,
     .take = set_shard_key},
    {"layout", "FILE", "tables that go to one worker as a whole, from sink-pg --layout", OPT_CALL,
     .take = set_layout},
    {"tables", "LIST", "tables that it receives: public.*, !public.audit (default: all)", OPT_CALL,
     .take = add_tables},
    {"left-out", "tell", "its workers hear of tables that --tables leaves out", OPT_CALL,
     .take = set_hears},
    {"to", "PATH", "a worker: FIFO, /dev/fd/N or Unix socket; as many as shards", OPT_CALL,
     .take = add_worker},
    {"log-level", "LEVEL", "debug, info, warning or error (default: info)", OPT_LEVEL,
     TO(log_level)},
    {"log-format", "FORMAT", "text, json or auto: text on a terminal (default: auto)", OPT_WORD,
     TO(log_format), .words = log_format_names},
};

static const struct opt_program program = {
    .name = "route",
    .usage = "[--copy PATH] --sink NAME [--stream VERSION] [--shard-key KEY] [--layout FILE] "
             "[--tables LIST] [--left-out tell] --to PATH [--to PATH]... "
             "[--sink NAME ...]",
    .purpose = "Gives each worker of each sink its share of the event stream.",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
};

static bool
somebody_reads_copies(const struct options *o)
{
    for (size_t i = 0; i < o->sinks_count; i++)
        if (o->sinks[i].version == STREAM_VERSION_COPY)
            return true;
    return false;
}

static int
check_options(const struct options *o, struct err *err)
{
    size_t i = 0;

    while (i < o->sinks_count && o->sinks[i].tables.layout.shards > 0)
        i++;
    if (o->sinks_count == 0)
        err_set(err, EXIT_REFUSED, "option --sink is missing");
    else if (i < o->sinks_count)
        err_set(err, EXIT_REFUSED, "sink \"%s\" has no --to", o->sinks[i].name);
    else if (o->copy != NULL && !somebody_reads_copies(o))
        err_set(err, EXIT_REFUSED, "--copy, but no sink has --stream 2: none reads copies");
    else
        return 0;
    return err_hint(err, "see route --help");
}

enum opt_status
options_parse(int argc, char **argv, struct options *options, struct err *err)
{
    enum opt_status status;

    options->log_level = LOG_INFO;
    status = opt_parse(&program, argc, argv, options, err);
    return status == OPT_GO && check_options(options, err) != 0 ? OPT_BAD : status;
}
