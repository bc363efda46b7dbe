/* options.c: see options.h. */
#include "pg-table-read/options.h"

#include "lib/names.h"
#include "lib/pqx.h"

static int
take_conninfo(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    (void)spec;
    ((struct options *)options)->conninfo = value;
    return pqx_refuse_password(value, err);
}

static int
take_publications(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct options *o = options;
    const char *at = value;

    while (at != NULL) {
        if (o->publications_count == PUBLICATIONS_MAX)
            return err_set(err, EXIT_REFUSED, "--%s: more than %d publications", spec->name,
                           PUBLICATIONS_MAX);
        if (names_next(&at, o->publications[o->publications_count], err) != 0)
            return opt_prefix(spec, err);
        o->publications_count++;
    }
    return 0;
}

#define TO(field) .offset = offsetof(struct options, field)

static const struct opt_spec specs[] = {
    {"conninfo", "CONNINFO", "the source, in libpq's form; no password here", OPT_CALL,
     TO(conninfo), .required = true, .take = take_conninfo},
    {"publication", "NAME[,NAME]", "the publications whose tables are read", OPT_CALL,
     .take = take_publications},
    {"workers", "N", "connections that read at a time (default: 2)", OPT_NUMBER, TO(workers),
     .min = 1, .max = COPY_WORKERS_MAX},
    {"rate", "BYTES", "read at most this per second (default: 0, no limit)", OPT_NUMBER, TO(rate),
     .min = 0, .max = UINT64_MAX},
    {"out", "PATH", "write here, not to stdout", OPT_TEXT, TO(out)},
    {"log-level", "LEVEL", "debug, info, warning or error (default: info)", OPT_LEVEL,
     TO(log_level)},
    {"log-format", "FORMAT", "text, json or auto: text on a terminal (default: auto)", OPT_WORD,
     TO(log_format), .words = log_format_names},
};

static const struct opt_program program = {
    .name = "pg-table-read",
    .usage = "--conninfo CONNINFO --publication NAME [--workers N] [--rate BYTES] [--out PATH]",
    .purpose = "Reads the rows of published tables and writes them as frames of the event stream.",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
};

enum opt_status
options_parse(int argc, char **argv, struct options *options, struct err *err)
{
    enum opt_status status;

    *options = (struct options){.workers = 2, .log_level = LOG_INFO};
    status = opt_parse(&program, argc, argv, options, err);
    if (status != OPT_GO || options->publications_count > 0)
        return status;
    err_set(err, EXIT_REFUSED, "option --publication is missing");
    err_hint(err, "see pg-table-read --help");
    return OPT_BAD;
}
