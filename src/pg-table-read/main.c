/* pg-table-read writes the rows that published tables have already, as frames of the event stream.
 * See pg-table-read(1). */
#include "lib/sig.h"
#include "pg-table-read/loop.h"

int
main(int argc, char **argv)
{
    static struct options options;
    struct log log = {.program = "pg-table-read", .level = LOG_INFO};
    struct err err = {0};

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
    return loop_run(&log, &options);
}
