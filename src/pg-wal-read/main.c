/* pg-wal-read writes the WAL of one logical replication slot as the wal stream to stdout, and sends
 * ackd's feedback to the server. */
#include <stdio.h>

#include "lib/sig.h"
#include "pg-wal-read/check.h"
#include "pg-wal-read/reader.h"

int
main(int argc, char **argv)
{
    static struct options options;
    struct log log = {.program = "pg-wal-read", .level = LOG_INFO};
    struct err err = {0};
    bool existed;

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
    if (options.check)
        return (int)check_source(&options.source);
    if (!options.drop_slot)
        return reader_run(&log, &options);
    if (drop_source_slot(&options.source, &existed, &err) != 0)
        return log_failure(&log, &err);
    puts(existed ? "dropped" : "missing");
    return EXIT_DONE;
}
