/* options.c: see options.h. */
#include "sink-ch/options.h"

#include <string.h>

#include "lib/limits.h"

static int
take_map(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct options *o = options;

    return tablemap_add(&o->map, value, TABLEMAP_ANY, err) == 0 ? 0 : opt_prefix(spec, err);
}

static int
take_choice(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct options *o = options;

    return choices_set(&o->choices, spec->name, value, err) == 0 ? 0 : opt_prefix(spec, err);
}

/* The words of enum convert_policy. */
static const char *const policies[] = {
    [CONVERT_ERROR] = "error", [CONVERT_CLAMP] = "clamp", [CONVERT_NULL] = "null", NULL};

static const char *const schema_modes[] = {
    [SCHEMA_NOT] = "no",
    [SCHEMA_PRINT] = "print",
    [SCHEMA_MAKE] = "make",
    NULL,
};

static const char *const adopt_modes[] = {
    [ADOPT_NOT] = "no", [ADOPT_LOOK] = "look", [ADOPT_DO] = "do", NULL};

#define TO(field) .offset = offsetof(struct options, field)

static const struct opt_spec specs[] = {
    {"in", "PATH", "listen on this Unix socket for the event stream; default stdin", OPT_TEXT,
     TO(in)},
    {"url", "URL", "ClickHouse's HTTP interface: http://host:8123", OPT_LINE, TO(url),
     .required = true},
    {"database", "NAME", "where the tables are", OPT_LINE, TO(database), .required = true},
    {"user", "NAME", "ClickHouse user; default: the server's default user", OPT_LINE, TO(user)},
    {"password-file", "FILE", "its password; default $WALPIPE_CH_PASSWORD", OPT_TEXT,
     TO(password_file)},
    {"ca-file", "FILE", "authorities for https; default the system's", OPT_TEXT, TO(ca_file)},
    {"cert-file", "FILE", "client certificate for https", OPT_TEXT, TO(cert_file)},
    {"key-file", "FILE", "and its key", OPT_TEXT, TO(key_file)},
    {"pipeline", "NAME", "names this pipeline's queries", OPT_LINE, TO(pipeline)},
    {"ackd", "SOCKET", "ackd's socket", OPT_TEXT, TO(ackd)},
    {"login-note", "FILE", "made after a login; a later refusal is then retried", OPT_TEXT,
     TO(login_note)},
    {"on-overflow", "WHAT", "error, clamp or null: for a value that does not fit", OPT_WORD,
     TO(on_overflow), .words = policies},
    {"create-tables", NULL, "create missing tables, add new columns", OPT_FLAG, TO(create_tables)},
    {"version-column", "NAME", "default _version", OPT_LINE, TO(version_column)},
    {"deleted-column", "NAME", "default _is_deleted", OPT_LINE, TO(deleted_column)},
    {"batch-rows", "N", "rows per batch; default 10000", OPT_NUMBER, TO(batch_rows), .min = 1,
     .max = BATCH_ROWS_MAX},
    {"flush-interval", "TIME", "longest wait of a row; default 1s", OPT_DURATION, TO(flush_millis)},
    {"park", NULL, "an error of one table sets it aside, and the others go on", OPT_FLAG, TO(park)},
    {"park-limit", "N", "tables that are set aside in a minute before the sink stops; default 5",
     OPT_NUMBER, TO(park_limit), .min = 1, .max = PARK_LIMIT_MAX},
    {"map", "'a.b -> c.d, ...'", "other target tables; may be repeated", OPT_CALL,
     .take = take_map},
    {"nullable", "WHICH", "always or source: which new columns are Nullable", OPT_CALL,
     .take = take_choice},
    {"arrays", "HOW", "text or array: type of new columns for arrays", OPT_CALL,
     .take = take_choice},
    {"json", "HOW", "text or json: type of new columns for json", OPT_CALL, .take = take_choice},
    {"table", "SCHEMA.TABLE", "the options after it are for this table", OPT_CALL,
     .take = take_choice},
    {"engine", "ENGINE", "its engine, without walpipe's columns", OPT_CALL, .take = take_choice},
    {"order-by", "'a, b'", "its key columns, in another order", OPT_CALL, .take = take_choice},
    {"partition-by", "EXPRESSION", "of key columns", OPT_CALL, .take = take_choice},
    {"column-types", "'a -> TYPE, ...'", "other types for its columns", OPT_CALL,
     .take = take_choice},
    {"leave-out", "'a, b'", "its columns that are not written", OPT_CALL, .take = take_choice},
    {"drop-progress", NULL, "remove a sink's rows from walpipe_progress", OPT_FLAG,
     TO(drop_progress)},
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
    {"sink", "NAME", "the sink of --drop-progress, --tables, --resync, --attach, --skip", OPT_TEXT,
     TO(sink)},
    {"adopt", "HOW", "look or do: accept rows of another cluster or timeline", OPT_WORD, TO(adopt),
     .words = adopt_modes},
    {"schema", "HOW", "print or make: create the tables of the relations on stdin", OPT_WORD,
     TO(schema), .words = schema_modes},
    {"check", NULL, "check the target for the relations on stdin", OPT_FLAG, TO(check)},
    {"compare", NULL, "answer the questions of walpipe compare, on descriptor 3", OPT_FLAG,
     TO(compare)},
    {"copies", NULL, "with --check: the sink copies the rows that exist already", OPT_FLAG,
     TO(copies)},
    {"log-level", "LEVEL", "debug, info, warning or error (default: info)", OPT_LEVEL,
     TO(log_level)},
    {"log-format", "FORMAT", "text, json or auto: text on a terminal (default: auto)", OPT_WORD,
     TO(log_format), .words = log_format_names},
};

static const struct opt_program program = {
    .name = "sink-ch",
    .usage = "--url URL --database NAME --pipeline NAME --ackd SOCKET [OPTION]...",
    .purpose = "Applies walpipe's event stream to ClickHouse.",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
};

static int
check_options(const struct options *options, struct err *err)
{
    bool alone = options->drop_progress || options->tables || options->attach ||
                 options->resync != NULL || options->skip != NULL;

    if (!options->check && opt_require(&program, "pipeline", options, err) != 0)
        return -1;
    if ((alone && opt_require(&program, "sink", options, err) != 0) ||
        (!alone && !options->check && !options->compare && options->schema == SCHEMA_NOT &&
         options->adopt == ADOPT_NOT && opt_require(&program, "ackd", options, err) != 0))
        return -1;
    if (strcmp(options->version_column, options->deleted_column) == 0)
        return err_set(err, EXIT_REFUSED,
                       "--version-column and --deleted-column are the same column");
    return 0;
}

enum opt_status
options_parse(int argc, char **argv, struct options *options, struct err *err)
{
    enum opt_status status;

    *options = (struct options){.version_column = "_version",
                                .deleted_column = "_is_deleted",
                                .batch_rows = 10000,
                                .flush_millis = 1000,
                                .park_limit = PARK_LIMIT_DEFAULT,
                                .log_level = LOG_INFO};
    status = opt_parse(&program, argc, argv, options, err);
    choices_settle(&options->choices);
    options->create_tables = options->create_tables || options->schema != SCHEMA_NOT;
    return status == OPT_GO && check_options(options, err) != 0 ? OPT_BAD : status;
}

void
options_free(struct options *options)
{
    tablemap_free(&options->map);
    choices_free(&options->choices);
}
