/* options.c: see options.h. */
#include "pg-table-read/options.h"

#define TO(field) .offset = offsetof(struct options, field)

static const struct opt_spec specs[] = {
    {"conninfo", "CONNINFO", "the source, in libpq's form; no password here", OPT_CALL,
     TO(conninfo), .required = true, .take = sourceopt_conninfo},
    {"publication", "NAME[,NAME]", "the publications whose tables are read", OPT_CALL,
     TO(publications), .take = sourceopt_publications},
    {"ackd", "PATH", "ackd's socket", OPT_TEXT, TO(ackd)},
    {"login-note", "FILE", "made after a login; a later refusal is then retried", OPT_TEXT,
     TO(login_note)},
    {"workers", "N", "connections that read at a time (default: 2)", OPT_NUMBER, TO(workers),
     .min = 1, .max = COPY_WORKERS_MAX},
    {"rate", "BYTES", "read at most this per second (default: 0, no limit)", OPT_NUMBER, TO(rate),
     .min = 0, .max = UINT64_MAX},
    {"until-copied", NULL, "with --ackd: end when all workers have every published table", OPT_FLAG,
     TO(until_copied)},
    {"limits", "FILE", "has newer values of --workers and --rate, read again at SIGHUP", OPT_TEXT,
     TO(limits)},
    {"out", "PATH", "write here, not to stdout", OPT_TEXT, TO(out)},
    {"log-level", "LEVEL", "debug, info, warning or error (default: info)", OPT_LEVEL,
     TO(log_level)},
    {"log-format", "FORMAT", "text, json or auto: text on a terminal (default: auto)", OPT_WORD,
     TO(log_format), .words = log_format_names},
};

static const struct opt_program program = {
    .name = "pg-table-read",
    .usage = "--conninfo CONNINFO --publication NAME [--ackd PATH] [--workers N] [--rate BYTES]"
             " [--out PATH]",
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
    if (status != OPT_GO || options->publications.count > 0)
        return status;
    err_set(err, EXIT_REFUSED, "option --publication is missing");
    err_hint(err, "see pg-table-read --help");
    return OPT_BAD;
}
