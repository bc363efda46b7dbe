/* main.c: commands, options and exit code of walpipe. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/opt.h"
#include "lib/sig.h"
#include "walpipe/adopt.h"
#include "walpipe/check.h"
#include "walpipe/compare/compare.h"
#include "walpipe/copydefault.h"
#include "walpipe/drop.h"
#include "walpipe/init.h"
#include "walpipe/override.h"
#include "walpipe/passwords.h"
#include "walpipe/pauses.h"
#include "walpipe/pausing.h"
#include "walpipe/plan.h"
#include "walpipe/print.h"
#include "walpipe/reloadask.h"
#include "walpipe/resumetable.h"
#include "walpipe/resync.h"
#include "walpipe/run.h"
#include "walpipe/schema.h"
#include "walpipe/skip.h"
#include "walpipe/status.h"
#include "walpipe/tables.h"

struct options {
    const char *command;
    const char *config;
    bool json;
    bool yes;
    bool apply;
    bool sequences;
    const char *sink;
    const char *table;
    bool wait;
    const char *lsn;
    bool repaired;
    bool no_values;
    uint64_t rate, connections;
    uint64_t ready_fd; /* 0 if none */
    char **argv;       /* main's */
    struct init init;
    struct overrides overrides;
};

static int
run_command(struct config *config, const struct options *o, const struct log *log)
{
    return run_pipeline(config, log, o->ready_fd == 0 ? -1 : (int)o->ready_fd, o->argv);
}

static int
check_command(struct config *config, const struct options *o, const struct log *log)
{
    (void)o;
    return check_pipeline(config, log);
}

static int
print_command(struct config *config, const struct options *o, const struct log *log)
{
    struct pool pool = {0};
    struct err err = {0};
    struct plan_place place = {.env = (const char *const *)environ};
    struct plan plan;
    int code = EXIT_DONE;

    (void)o;
    place.programs = plan_programs_directory(&pool, &err);
    if (place.programs == NULL) {
        code = log_failure(log, &err);
    } else {
        plan_make(&plan, config, &place);
        print_script(config, &plan, place.programs, stdout);
        plan_free(&plan);
    }
    pool_free(&pool);
    return code;
}

static int
status_command(struct config *config, const struct options *o, const struct log *log)
{
    return status_show(config, log, o->json);
}

static int
tables_command(struct config *config, const struct options *o, const struct log *log)
{
    return tables_show(config, log, o->json);
}

static int
drop_command(struct config *config, const struct options *o, const struct log *log)
{
    return drop_pipeline(config, log, o->yes);
}

static int
adopt_command(struct config *config, const struct options *o, const struct log *log)
{
    return adopt_histories(config, log, o->sink, o->yes);
}

static int
schema_command(struct config *config, const struct options *o, const struct log *log)
{
    const struct schema_choice choice = {.config = config,
                                         .log = log,
                                         .sink = o->sink,
                                         .apply = o->apply,
                                         .sequences = o->sequences};

    return schema_run(&choice);
}

static int
reload_command(struct config *config, const struct options *o, const struct log *log)
{
    (void)o;
    return reloadask_run(config, log);
}

static int
resync_command(struct config *config, const struct options *o, const struct log *log)
{
    return resync_table(config, log, o->sink, o->table, o->wait);
}

static int
pause_command(struct config *config, const struct options *o, const struct log *log)
{
    return pause_sink(config, log, o->sink);
}

static int
resume_command(struct config *config, const struct options *o, const struct log *log)
{
    return o->table == NULL ? pause_end(config, log, o->sink)
                            : resumetable_run(config, log, o->sink, o->table, o->wait);
}

static int
skip_command(struct config *config, const struct options *o, const struct log *log)
{
    const struct skip_request request = {
        .sink = o->sink, .lsn = o->lsn, .table = o->table, .repaired = o->repaired};

    return skip_transaction(config, log, &request);
}

static int
compare_command(struct config *config, const struct options *o, const struct log *log)
{
    const struct compare_request request = {.sink = o->sink,
                                            .table = o->table,
                                            .json = o->json,
                                            .no_values = o->no_values,
                                            .rate = o->rate,
                                            .connections =
                                                o->connections == 0 ? 1 : o->connections};

    return compare_run(config, log, &request);
}

static const struct command {
    const char *name;
    int (*run)(struct config *config, const struct options *options, const struct log *log);
} commands[] = {
    {"run", run_command},       {"check", check_command},   {"print", print_command},
    {"status", status_command}, {"tables", tables_command}, {"drop", drop_command},
    {"adopt", adopt_command},   {"init", check_command},    {"schema", schema_command},
    {"reload", reload_command}, {"resync", resync_command}, {"pause", pause_command},
    {"resume", resume_command}, {"skip", skip_command},     {"compare", compare_command},
};

static const struct command *
find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int
take_command(const struct opt_spec *spec, const char *word, void *options, struct err *err)
{
    struct options *o = options;

    (void)spec;
    if (o->command == NULL)
        o->command = word;
    else if (strcmp(o->command, "init") == 0 && o->init.file == NULL)
        o->init.file = word;
    else
        return err_set(err, EXIT_REFUSED, "unexpected argument \"%s\"", word);
    return 0;
}

static int
take_another(const char **values, size_t most, size_t *count, const struct opt_spec *spec,
             const char *value, struct err *err)
{
    if (*count == most)
        return err_set(err, EXIT_REFUSED, "option --%s is given more than %zu times", spec->name,
                       most);
    values[(*count)++] = value;
    return 0;
}

static int
take_pg(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct init *init = &((struct options *)options)->init;

    return take_another(init->pg, INIT_TARGETS_MAX, &init->pg_count, spec, value, err);
}

static int
take_ch(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct init *init = &((struct options *)options)->init;

    return take_another(init->ch, INIT_TARGETS_MAX, &init->ch_count, spec, value, err);
}

static int
take_override(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct overrides *overrides = &((struct options *)options)->overrides;

    return take_another(overrides->given, OVERRIDES_MAX, &overrides->count, spec, value, err);
}

#define TO(field) .offset = offsetof(struct options, field)

static const struct opt_spec specs[] = {
    {"config", "FILE", "the config file, walpipe.conf(5); -c FILE is the same", OPT_TEXT,
     TO(config), .letter = 'c'},
    {"set", "SECTION.KEY=VALUE", "overrides a key of the config file, as in sink.dst.shards=2",
     OPT_CALL, .take = take_override},
    {"json", NULL, "status, tables, compare: one JSON object instead of text", OPT_FLAG, TO(json)},
    {"yes", NULL, "drop, adopt: do not ask", OPT_FLAG, TO(yes)},
    {"sink", "NAME", "adopt, schema, resync, pause, resume, skip, compare: this sink only",
     OPT_TEXT, TO(sink)},
    {"apply", NULL, "schema: make the objects instead of printing SQL", OPT_FLAG, TO(apply)},
    {"sequences", NULL, "schema: set the target's sequences instead of making tables", OPT_FLAG,
     TO(sequences)},
    {"table", "SCHEMA.TABLE", "resync, resume, skip, compare: the table, as the source names it",
     OPT_TEXT, TO(table)},
    {"wait", NULL, "resync, resume: return when the table is streaming again", OPT_FLAG, TO(wait)},
    {"lsn", "LSN", "skip: the lsn of the sink's error", OPT_TEXT, TO(lsn)},
    {"repaired", NULL, "skip: its tables are repaired, so the note that they lack changes goes",
     OPT_FLAG, TO(repaired)},
    {"rate", "ROWS", "compare: read at most so many rows per second", OPT_NUMBER, TO(rate),
     .min = 1, .max = UINT32_MAX},
    {"connections", "N", "compare: compare so many tables at the same time (default: 1)",
     OPT_NUMBER, TO(connections), .min = 1, .max = 32},
    {"no-values", NULL, "compare: show keys and names of columns, but no other values", OPT_FLAG,
     TO(no_values)},
    {"ready-fd", "N", "run: write a newline to descriptor N when the programs run, as s6 expects",
     OPT_NUMBER, TO(ready_fd), .min = 3, .max = 1023},
    {"source", "CONNINFO", "init: the source, in libpq's form; no password here", OPT_LINE,
     TO(init.source)},
    {"pg", "CONNINFO", "init: a PostgreSQL target; may be given again", OPT_CALL, .take = take_pg},
    {"ch", "URL", "init: a ClickHouse target, http://host:8123; may be given again", OPT_CALL,
     .take = take_ch},
};

static const struct opt_program program = {
    .name = "walpipe",
    .usage = "COMMAND -c FILE | init FILE --source CONNINFO [--pg CONNINFO] [--ch URL]",
    .purpose = "Replicate a PostgreSQL database by logical decoding: run, watch and drop a "
               "pipeline.\n\n"
               "  run       run the pipeline in the foreground; SIGTERM or SIGINT drains it\n"
               "  check     test everything that can be tested without copying a row\n"
               "  print     the shell pipeline that run would build, ready to edit and tee\n"
               "  status    LSNs, lag, rates and health of the running pipeline\n"
               "  tables    the progress of each table in each sink\n"
               "  schema    print the SQL for the targets' tables, or make them\n"
               "  drop      drop the slot and the progress rows, after asking\n"
               "  adopt     accept ClickHouse tables with rows of another cluster, after asking\n"
               "  reload    let the running pipeline read its config file again\n"
               "  init      write a first config FILE with comments, and check it\n"
               "  resync    copy one table again during replication\n"
               "  pause     set one sink aside while the others go on\n"
               "  resume    let a paused sink go on, or bring a parked table back\n"
               "  skip      let one sink skip one transaction that it cannot apply\n"
               "  compare   compare the rows of source and targets during replication",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
    .operand = take_command,
};

static int
check_init_options(const struct options *o, struct err *err)
{
    const struct init *init = &o->init;
    bool given = init->source != NULL || init->pg_count > 0 || init->ch_count > 0;

    if (strcmp(o->command, "init") != 0)
        return given ? err_set(err, EXIT_REFUSED,
                               "options --source, --pg and --ch are only for walpipe init")
                     : 0;
    if (init->file == NULL || o->config != NULL)
        return err_set(err, EXIT_REFUSED, "walpipe init needs the name of a new file, without -c");
    if (o->overrides.count > 0)
        return err_set(err, EXIT_REFUSED, "option --set is not for walpipe init");
    if (init->source == NULL)
        return err_set(err, EXIT_REFUSED, "walpipe init needs --source CONNINFO");
    if (init->pg_count + init->ch_count == 0)
        return err_set(err, EXIT_REFUSED, "walpipe init needs a target: --pg CONNINFO or --ch URL");
    return 0;
}

static bool
takes_sink(const char *command)
{
    static const char *const takers[] = {"adopt",  "schema", "resync", "pause",
                                         "resume", "skip",   "compare"};

    for (size_t i = 0; i < sizeof takers / sizeof *takers; i++)
        if (strcmp(command, takers[i]) == 0)
            return true;
    return false;
}

/* Of resync, resume, skip and compare. */
static int
check_table_options(const struct options *o, struct err *err)
{
    bool resync = strcmp(o->command, "resync") == 0, skip = strcmp(o->command, "skip") == 0;
    bool resume = strcmp(o->command, "resume") == 0, compare = strcmp(o->command, "compare") == 0;

    if (o->table != NULL && !resync && !resume && !skip && !compare)
        return err_set(err, EXIT_REFUSED,
                       "option --table is only for walpipe resync, resume, skip and compare");
    if ((o->rate != 0 || o->connections != 0 || o->no_values) && !compare)
        return err_set(
            err, EXIT_REFUSED,
            "options --rate, --connections and --no-values are only for walpipe compare");
    if (o->wait && !resync && !resume)
        return err_set(err, EXIT_REFUSED, "option --wait is only for walpipe resync and resume");
    if (resume && o->wait && o->table == NULL)
        return err_set(err, EXIT_REFUSED, "option --wait of walpipe resume needs --table");
    if ((o->lsn != NULL || o->repaired) && !skip)
        return err_set(err, EXIT_REFUSED, "options --lsn and --repaired are only for walpipe skip");
    if (resync && o->table == NULL)
        return err_set(err, EXIT_REFUSED, "no table: walpipe resync needs --table SCHEMA.TABLE");
    if (skip && (o->sink == NULL || o->lsn == NULL))
        return err_set(err, EXIT_REFUSED, "walpipe skip needs --sink NAME and --lsn LSN");
    return 0;
}

static int
check_options(const struct options *o, struct err *err)
{
    if (o->command == NULL)
        err_set(err, EXIT_REFUSED,
                "no command: expected run, check, print, status, tables, schema, drop, adopt, "
                "init, reload, resync, pause, resume, skip or compare");
    else if (find_command(o->command) == NULL)
        err_set(err, EXIT_REFUSED,
                "unknown command \"%s\": expected run, check, print, status, tables, schema, drop, "
                "adopt, init, reload, resync, pause, resume, skip or compare",
                o->command);
    else if (check_init_options(o, err) != 0)
        return err_hint(err, "see walpipe --help");
    else if (o->config == NULL && o->init.file == NULL)
        err_set(err, EXIT_REFUSED, "no config file: walpipe %s needs -c FILE", o->command);
    else if (o->json && strcmp(o->command, "status") != 0 && strcmp(o->command, "tables") != 0 &&
             strcmp(o->command, "compare") != 0)
        err_set(err, EXIT_REFUSED, "option --json is only for walpipe status, tables and compare");
    else if (o->yes && strcmp(o->command, "drop") != 0 && strcmp(o->command, "adopt") != 0)
        err_set(err, EXIT_REFUSED, "option --yes is only for walpipe drop and adopt");
    else if (o->sink != NULL && !takes_sink(o->command))
        err_set(err, EXIT_REFUSED,
                "option --sink is only for walpipe adopt, schema, resync, pause, resume, skip and "
                "compare");
    else if (check_table_options(o, err) != 0)
        return err_hint(err, "see walpipe --help");
    else if ((o->apply || o->sequences) && strcmp(o->command, "schema") != 0)
        err_set(err, EXIT_REFUSED, "options --apply and --sequences are only for walpipe schema");
    else if (o->ready_fd != 0 && strcmp(o->command, "run") != 0)
        err_set(err, EXIT_REFUSED, "option --ready-fd is only for walpipe run");
    else if (o->ready_fd != 0 && fcntl((int)o->ready_fd, F_GETFD) < 0)
        err_set(err, EXIT_REFUSED, "option --ready-fd: descriptor %d is not open",
                (int)o->ready_fd);
    else
        return 0;
    return err_hint(err, "see walpipe --help");
}

/* A descriptor below 3 that is closed at the start would become some pipe of the pipeline's. */
static void
open_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* Another user than that of the pipeline may ask these. */
static bool
needs_passwords(const char *command)
{
    return strcmp(command, "status") != 0 && strcmp(command, "print") != 0;
}

static int
with_config(const struct options *o, struct log *log)
{
    struct config config;
    struct err err = {0};
    const char *file = o->config;
    int code;

    if (o->init.file != NULL) {
        if (init_write(&o->init, &err) != 0)
            return log_failure(log, &err);
        file = o->init.file;
        printf("wrote %s; walpipe check -c %s says:\n", file, file);
        fflush(stdout);
    }
    if (config_read(file, &o->overrides, &config, &err) != 0 ||
        passwords_choose(&config, &err) != 0 ||
        (needs_passwords(o->command) && passwords_read(&config, &err) != 0)) {
        code = log_failure(log, &err);
    } else {
        log_begin(log, config.log_level, config.log_format);
        copydefault_recall(&config);
        if (strcmp(o->command, "run") != 0)
            pauses_show(&config);
        code = find_command(o->command)->run(&config, o, log);
    }
    config_free(&config);
    if (fflush(stdout) != 0 && code == EXIT_DONE) {
        log_write(log, LOG_ERROR, "could not write the output");
        code = EXIT_PEER;
    }
    return code;
}

int
main(int argc, char **argv)
{
    struct log log = {.program = "walpipe", .level = LOG_INFO};
    struct options options = {.argv = argv};
    struct err err = {0};

    open_standard_descriptors();
    sig_ignore_pipe();
    switch (opt_parse(&program, argc, argv, &options, &err)) {
    case OPT_GO:
        if (check_options(&options, &err) == 0)
            return with_config(&options, &log);
        break;
    case OPT_DONE:
        return EXIT_DONE;
    case OPT_BAD:
        break;
    }
    return log_failure(&log, &err);
}
