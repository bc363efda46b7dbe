/* main.c: commands, options and exit code of walpipe. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/opt.h"
#include "lib/sig.h"
#include "walpipe/adopt.h"
#include "walpipe/check.h"
#include "walpipe/drop.h"
#include "walpipe/plan.h"
#include "walpipe/print.h"
#include "walpipe/run.h"
#include "walpipe/status.h"
#include "walpipe/tables.h"

struct options {
    const char *command;
    const char *config;
    bool json;
    bool yes;
    const char *sink;
    uint64_t ready_fd; /* 0 if none */
    char **argv;       /* main's */
};

static int
run_command(const struct config *config, const struct options *o, const struct log *log)
{
    return run_pipeline(config, log, o->ready_fd == 0 ? -1 : (int)o->ready_fd, o->argv);
}

static int
check_command(const struct config *config, const struct options *o, const struct log *log)
{
    (void)o;
    return check_pipeline(config, log);
}

static int
print_command(const struct config *config, const struct options *o, const struct log *log)
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
status_command(const struct config *config, const struct options *o, const struct log *log)
{
    return status_show(config, log, o->json);
}

static int
tables_command(const struct config *config, const struct options *o, const struct log *log)
{
    return tables_show(config, log, o->json);
}

static int
drop_command(const struct config *config, const struct options *o, const struct log *log)
{
    return drop_pipeline(config, log, o->yes);
}

static int
adopt_command(const struct config *config, const struct options *o, const struct log *log)
{
    return adopt_histories(config, log, o->sink, o->yes);
}

static const struct command {
    const char *name;
    int (*run)(const struct config *config, const struct options *options, const struct log *log);
} commands[] = {
    {"run", run_command},       {"check", check_command},   {"print", print_command},
    {"status", status_command}, {"tables", tables_command}, {"drop", drop_command},
    {"adopt", adopt_command},
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
    if (o->command != NULL)
        return err_set(err, EXIT_REFUSED, "unexpected argument \"%s\"", word);
    o->command = word;
    return 0;
}

#define TO(field) .offset = offsetof(struct options, field)

static const struct opt_spec specs[] = {
    {"config", "FILE", "the config file, walpipe.conf(5); -c FILE is the same", OPT_TEXT,
     TO(config), .letter = 'c'},
    {"json", NULL, "status, tables: one JSON object instead of a table", OPT_FLAG, TO(json)},
    {"yes", NULL, "drop, adopt: do not ask", OPT_FLAG, TO(yes)},
    {"sink", "NAME", "adopt: this sink only", OPT_TEXT, TO(sink)},
    {"ready-fd", "N", "run: write a newline to descriptor N when the programs run, as s6 expects",
     OPT_NUMBER, TO(ready_fd), .min = 3, .max = 1023},
};

static const struct opt_program program = {
    .name = "walpipe",
    .usage = "COMMAND -c FILE",
    .purpose =
        "Replicate a PostgreSQL database by logical decoding: run, watch and drop a "
        "pipeline.\n\n"
        "  run       run the pipeline in the foreground; SIGTERM or SIGINT drains it\n"
        "  check     try everything that can be tried without moving a row\n"
        "  print     the shell pipeline that run would build, ready to edit and tee\n"
        "  status    LSNs, lag, rates and health of the running pipeline\n"
        "  tables    how far each table is in each sink\n"
        "  drop      drop the slot and the progress rows, after asking\n"
        "  adopt     let the source win in ClickHouse tables of another history, after asking",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
    .operand = take_command,
};

static int
check_options(const struct options *o, struct err *err)
{
    if (o->command == NULL)
        err_set(err, EXIT_REFUSED,
                "no command: expected run, check, print, status, tables, drop or adopt");
    else if (find_command(o->command) == NULL)
        err_set(err, EXIT_REFUSED,
                "unknown command \"%s\": expected run, check, print, status, tables, drop or adopt",
                o->command);
    else if (o->config == NULL)
        err_set(err, EXIT_REFUSED, "no config file: walpipe %s needs -c FILE", o->command);
    else if (o->json && strcmp(o->command, "status") != 0 && strcmp(o->command, "tables") != 0)
        err_set(err, EXIT_REFUSED, "option --json is only for walpipe status and tables");
    else if (o->yes && strcmp(o->command, "drop") != 0 && strcmp(o->command, "adopt") != 0)
        err_set(err, EXIT_REFUSED, "option --yes is only for walpipe drop and adopt");
    else if (o->sink != NULL && strcmp(o->command, "adopt") != 0)
        err_set(err, EXIT_REFUSED, "option --sink is only for walpipe adopt");
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

static int
with_config(const struct options *o, struct log *log)
{
    struct config config;
    struct err err = {0};
    int code;

    if (config_read(o->config, &config, &err) != 0) {
        code = log_failure(log, &err);
    } else {
        log_begin(log, config.log_level, config.log_format);
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
