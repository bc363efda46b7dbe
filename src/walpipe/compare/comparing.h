/* comparing.h: a run of walpipe compare, and the comparison of one of its tables. */
#ifndef WALPIPE_COMPARE_COMPARING_H
#define WALPIPE_COMPARE_COMPARING_H

#include "lib/comparenote.h"
#include "lib/names.h"
#include "walpipe/compare/work.h"
#include "walpipe/compare/workers.h"

struct compare_request {
    const char *sink;  /* NULL for all */
    const char *table; /* "schema.table" of the source, NULL for all */
    bool json;
    bool no_values;
    uint64_t rate;        /* rows per second, 0 without a limit */
    uint64_t connections; /* tables that are compared at the same time */
};

struct comparing {
    const struct config *config;
    const struct log *log;
    const struct compare_request *request;
    struct table_name table; /* of the request */
    struct catalog catalog;
    int described; /* described_open's file, -1 if none */
    PGconn *source;
    struct pace pace;
    struct progress progress;
    struct ack_status *status;
    struct json json;
    struct pool pool;
    struct comparenote note; /* of the sink */
    bool different, omitted;
    uint32_t compared;
};

/* Reads the states of the sink's tables. Returns 0, or -1 with err. */
int comparing_progress(const struct comparing *c, const struct sink_config *sink,
                       struct tablelist *list, struct pool *pool, struct err *err) MUST_CHECK;

/* Compares the table, unless there is a reason not to (why), and fills the answer. Returns 0, or -1
 * with err if the source cannot be read. */
int comparing_table(struct comparing *c, struct sink_work *w, const struct tablelist *list,
                    const struct relation *r, const char *why, struct workers_answer *answer,
                    struct err *err) MUST_CHECK;

#endif
