/* main.c: walpipe: commands, options, exit code. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/opt.h"
#include "lib/sig.h"
#include "walpipe/check.h"
#include "walpipe/drop.h"
#include "walpipe/plan.h"
#include "walpipe/print.h"
#include "walpipe/run.h"
#include "walpipe/status.h"

enum { OPTION_CONFIG, OPTION_JSON, OPTION_YES };

static const struct opt_spec specs[] = {
    [OPTION_CONFIG] = {"config", "FILE", "the config file, walpipe.conf(5); -c FILE is the same"},
    [OPTION_JSON] = {"json", NULL, "status: one JSON object instead of a table"},
    [OPTION_YES] = {"yes", NULL, "drop: do not ask"},
};

static const struct opt_program program = {
    .name = "walpipe",
    .usage = "COMMAND -c FILE",
    .purpose = "Replicate a PostgreSQL database by logical decoding: run, watch and drop a "
               "pipeline.\n\n"
               "  run       run the pipeline in the foreground; SIGTERM or SIGINT drains it\n"
               "  check     try everything that can be tried without moving a row\n"
               "  print     the shell pipeline that run would build, ready to edit and tee\n"
               "  status    LSNs, lag, rates and health of the running pipeline\n"
               "  drop      drop the slot and the progress rows, after asking",
    .specs = specs,
    .specs_count = sizeof specs / sizeof *specs,
};

struct options {
    const char *command;
    const char *config;
    bool json;
    bool yes;
};

static int
run_command(const struct config *config, const struct options *o, const struct log *log)
{
    (void)o;
    return run_pipeline(config, log);
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
drop_command(const struct config *config, const struct options *o, const struct log *log)
{
    return drop_pipeline(config, log, o->yes);
}

static const struct command {
    const char *name;
    int (*run)(const struct config *config, const struct options *options, const struct log *log);
} commands[] = {
    {"run", run_command},       {"check", check_command}, {"print", print_command},
    {"status", status_command}, {"drop", drop_command},
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
usage_error(struct err *err)
{
    err_hint(err, "see walpipe --help");
    return OPT_BAD;
}

static int
take_word(struct options *o, const char *word, struct err *err)
{
    if (o->command == NULL) {
        o->command = word;
        return 0;
    }
    err_set(err, EXIT_REFUSED, "unexpected argument \"%s\"", word);
    return usage_error(err);
}

static int
take_option(struct options *o, int option, const char *value, struct err *err)
{
    switch (option) {
    case OPTION_CONFIG:
        o->config = value;
        return 0;
    case OPTION_JSON:
        o->json = true;
        return 0;
    case OPTION_YES:
        o->yes = true;
        return 0;
    default:
        err_set(err, EXIT_BUG, "option %d is not handled", option);
        return OPT_BAD;
    }
}

/* The command and the options in any order; -c is the one short option. */
static int
parse_options(int argc, char **argv, struct options *o, struct err *err)
{
    struct opt opt = {.program = &program, .argc = argc, .argv = argv, .at = 1};
    int result = 0;

    while (result == 0 && opt.at < argc) {
        if (strcmp(argv[opt.at], "-c") == 0) {
            if (argv[opt.at + 1] == NULL) {
                err_set(err, EXIT_REFUSED, "option -c needs a value: FILE");
                return usage_error(err);
            }
            o->config = argv[opt.at + 1];
            opt.at += 2;
        } else if (argv[opt.at][0] != '-') {
            result = take_word(o, argv[opt.at++], err);
        } else {
            result = opt_next(&opt, err);
            result = result >= 0         ? take_option(o, result, opt.value, err)
                     : result == OPT_END ? take_word(o, "--", err)
                                         : result;
        }
    }
    return result;
}

static int
check_options(const struct options *o, struct err *err)
{
    if (o->command == NULL)
        err_set(err, EXIT_REFUSED, "no command: expected run, check, print, status or drop");
    else if (find_command(o->command) == NULL)
        err_set(err, EXIT_REFUSED,
                "unknown command \"%s\": expected run, check, print, status or drop", o->command);
    else if (o->config == NULL)
        err_set(err, EXIT_REFUSED, "no config file: walpipe %s needs -c FILE", o->command);
    else if (o->json && strcmp(o->command, "status") != 0)
        err_set(err, EXIT_REFUSED, "option --json is only for walpipe status");
    else if (o->yes && strcmp(o->command, "drop") != 0)
        err_set(err, EXIT_REFUSED, "option --yes is only for walpipe drop");
    else
        return 0;
    return usage_error(err);
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
        log->level = config.log_level;
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
    struct options options = {0};
    struct err err = {0};
    int result;

    open_standard_descriptors();
    sig_ignore_pipe();
    result = parse_options(argc, argv, &options, &err);
    if (result == OPT_DONE)
        return EXIT_DONE;
    if (result != 0 || check_options(&options, &err) != 0)
        return log_failure(&log, &err);
    return with_config(&options, &log);
}
