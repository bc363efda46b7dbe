/* options.c: see options.h. */
#include "sink-pg/options.h"

#include "lib/pqx.h"

#define BATCH_ROWS_DEFAULT   10000
#define FLUSH_MILLIS_DEFAULT 200

/* They are applied in one transaction of the target. */
#define HOLD_BYTES_DEFAULT (UINT64_C(1) << 30)

static int
take_map(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct options *o = options;

    return tablemap_add(&o->mapping, value, TABLEMAP_QUALIFIED, err) == 0 ? 0
                                                                          : opt_prefix(spec, err);
}

#define TO(field) .offset = offsetof(struct options, field)

static const struct opt_spec specs[] = {
    {"in", "PATH", "listen on this Unix socket for the event stream, not stdin", OPT_TEXT, TO(in)},
    {"conninfo", "C", "the target, in libpq's form, without a password", OPT_TEXT, TO(conninfo),
     .required = true},
    {"pipeline", "NAME", "name of the pipeline in walpipe.progress", OPT_TEXT, TO(pipeline),
     .required = true},
    {"ackd", "SOCKET", "ackd's socket", OPT_TEXT, TO(ackd)},
    {"login-note", "FILE", "made after a login; a later refusal is then retried", OPT_TEXT,
     TO(login_note)},
    {"batch-rows", "N", "rows per batch (default: 10000)", OPT_NUMBER, TO(batch_rows), .min = 1,
     .max = BATCH_ROWS_MAX},
    {"flush-interval", "TIME", "longest wait of a row (default: 200ms)", OPT_DURATION,
     TO(flush_millis)},
    {"hold", "BYTES", "changes that may wait of a copied table without a key (default: 1 GiB)",
     OPT_NUMBER, TO(hold_bytes), .min = 1, .max = HOLD_BYTES_MAX},
    {"park", NULL, "an error of one table sets it aside, and the others go on", OPT_FLAG, TO(park)},
    {"park-limit", "N", "tables that are set aside in a minute before the sink stops (default: 5)",
     OPT_NUMBER, TO(park_limit), .min = 1, .max = PARK_LIMIT_MAX},
    {"map", "MAP", "'a.b -> c.d, ...': other target tables; may be repeated", OPT_CALL,
     .take = take_map},
    {"check", NULL, "compare hello and relations on the input with the target", OPT_FLAG,
     TO(check)},
    {"binary", NULL, "with --check: the source sends values in binary format", OPT_FLAG,
     TO(binary)},
    {"copies", NULL, "with --check: the sink copies the rows that exist already", OPT_FLAG,
     TO(copies)},
    {"create-tables", NULL, "with --check: walpipe run creates missing tables", OPT_FLAG,
     TO(create_tables)},
    {"drop-progress", NULL, "remove a sink's rows from walpipe.progress", OPT_FLAG,
     TO(drop_progress)},
    {"layout", NULL, "print which tables must go to one worker as a whole, for route", OPT_FLAG,
     TO(layout)},
    {"tables", NULL, "print the notes about a sink's tables, for walpipe tables", OPT_FLAG,
     TO(tables)},
    {"resync", "SCHEMA.TABLE", "note that the next start copies this table of the source again",
     OPT_TEXT, TO(resync)},
    {"attach", NULL, "note that the sink begins anew and copies all tables again", OPT_FLAG,
     TO(attach)},
    {"skip", "LSN", "note that the transaction that commits at this LSN is passed over", OPT_TEXT,
     TO(skip)},
    {"skip-table", "SCHEMA.TABLE", "with --skip: only changes of this table of the source",
     OPT_TEXT, TO(skip_table)},
    {"repaired", NULL, "with --skip: remove the note that tables lack its changes", OPT_FLAG,
     TO(repaired)},
    {"sink", "NAME", "the sink of --drop-progress, --layout, --tables, --resync, --attach, --skip",
     OPT_TEXT, TO(sink)},
    {"log-level", "LEVEL", "debug, info, warning or error (default: info)", OPT_LEVEL,
     TO(log_level)},
    {"log-format", "FORMAT", "text, json or auto: text on a terminal (default: auto)", OPT_WORD,
     TO(log_format), .words = log_format_names},
};

static const struct opt_program program = {
    .name = "sink-pg",
    .usage = "--conninfo C --pipeline NAME --ackd SOCKET [OPTION]...",
    .purpose = "Applies walpipe's event stream to a PostgreSQL database, exactly once.",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
};

static int
check_options(const struct options *o, struct err *err)
{
    bool alone = o->drop_progress || o->layout || o->tables || o->attach || o->resync != NULL ||
                 o->skip != NULL;

    if ((alone && opt_require(&program, "sink", o, err) != 0) ||
        (!alone && !o->check && opt_require(&program, "ackd", o, err) != 0))
        return -1;
    return pqx_refuse_password(o->conninfo, err);
}

enum opt_status
options_parse(int argc, char **argv, struct options *o, struct err *err)
{
    enum opt_status status;

    *o = (struct options){.batch_rows = BATCH_ROWS_DEFAULT,
                          .flush_millis = FLUSH_MILLIS_DEFAULT,
                          .hold_bytes = HOLD_BYTES_DEFAULT,
                          .park_limit = PARK_LIMIT_DEFAULT,
                          .log_level = LOG_INFO};
    status = opt_parse(&program, argc, argv, o, err);
    return status == OPT_GO && check_options(o, err) != 0 ? OPT_BAD : status;
}
