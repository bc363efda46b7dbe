/* chside.h: a table of ClickHouse as a side of a comparison. sink-ch --compare asks the server. */
#ifndef WALPIPE_COMPARE_CHSIDE_H
#define WALPIPE_COMPARE_CHSIDE_H

#include <stdio.h>
#include <sys/types.h>

#include "lib/canon.h"
#include "walpipe/compare/shape.h"
#include "walpipe/compare/side.h"
#include "walpipe/config.h"

/* The running sink-ch of a sink. */
struct chprogram {
    pid_t pid; /* 0 if it does not run */
    int fd;
    FILE *answers;
};

/* stream is the event stream that describes the tables. Returns 0, or -1 with err. */
int chprogram_start(struct chprogram *program, const struct config *config,
                    const struct sink_config *sink, int stream, struct pool *pool,
                    struct err *err) MUST_CHECK;

/* Returns the exit code, which is EXIT_DONE if it did not run. */
int chprogram_end(struct chprogram *program);

struct chside {
    struct side side; /* first */
    struct chprogram *program;
    uint32_t relid;
    const struct shape *shape;
};

void chside_begin(struct chside *side, struct chprogram *program, uint32_t relid);

/* Column number of the relation, with its canonical text. */
struct chcolumn {
    uint32_t number;
    struct canon_column canon;
    bool key;
    const char *why;
};

struct chtable {
    bool keyed;
    struct chcolumn *columns;
    size_t count;
};

/* Loads the table. The columns are in pool. Returns 0, 1 if there is no such table, or -1 with err,
 * which is EXIT_REFUSED if the table cannot be compared. */
int chside_describe(struct chside *side, struct chtable *table, struct pool *pool,
                    struct err *err) MUST_CHECK;

#endif
