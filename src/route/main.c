/* main.c: options, wiring and exit code of route. See route(1). */
#include "lib/sandbox.h"
#include "lib/sig.h"
#include "route/loop.h"

int
main(int argc, char **argv)
{
    static struct options options;
    static struct loop loop;
    struct log log = {.program = "route", .level = LOG_INFO};
    struct err err = {0};
    int code = EXIT_DONE;
    bool opened;

    switch (options_parse(argc, argv, &options, &err)) {
    case OPT_GO:
        break;
    case OPT_DONE:
        return EXIT_DONE;
    case OPT_BAD:
        return log_failure(&log, &err);
    }
    log_begin(&log, options.log_level, options.log_format);
    sig_ignore_pipe();
    opened = loop_open(&loop, &options, &log, &err) == 0;
    log_open_last_words(&log);
    if (opened && sandbox_fits_build() && sandbox_enter() == SANDBOX_ABSENT)
        log_write(&log, LOG_DEBUG, "running without a sandbox: there is no seccomp here");
    if (!opened || loop_run(&loop, &err) != 0)
        code = log_failure(&log, &err);
    loop_free(&loop);
    return code;
}
