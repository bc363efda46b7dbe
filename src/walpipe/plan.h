/* plan.h: derives the programs of the pipeline from the config, with the arguments, environment and
 * place of each. run starts a plan, print writes it as a shell script, and the tests read it. It
 * starts nothing itself. */
#ifndef WALPIPE_PLAN_H
#define WALPIPE_PLAN_H

#include "walpipe/config.h"

/* In the order in which they are started. Downstream programs come first, so that nothing flows
 * before its receivers are there. */
enum plan_role { PLAN_ACKD, PLAN_WORKER, PLAN_ROUTE, PLAN_DECODE, PLAN_READER, PLAN_TABLE_READER };

struct plan_program {
    enum plan_role role;
    const char *label; /* for people, such as "pgout-decode" or "sink dst/0" */
    const char *file;  /* the executable's path */
    const char *const *argv;
    const char *const *env;
    const struct sink_config *sink; /* PLAN_WORKER */
    uint32_t shard;                 /* PLAN_WORKER */
    bool foreign;                   /* not walpipe's own, of an exec sink */
    const char *last_words;         /* the file for them, see lastwords.h, NULL if none */
};

struct plan {
    struct pool pool;              /* owns everything in the plan */
    struct plan_program *programs; /* ackd, all workers, route, pgout-decode, pg-wal-read, and
                                      pg-table-read if a sink takes copies */
    size_t count;
    uint32_t workers_count; /* worker i is programs[1 + i] */
    bool copies;
    bool waits; /* pg-wal-read ends when the slot is free, and nothing is read */
    bool only;  /* pg-table-read ends when nothing is left to copy */
};

/* Worker i's stream leaves route on this descriptor (its --to /dev/fd/N). */
static inline int
plan_worker_fd(uint32_t worker)
{
    return 3 + (int)worker;
}

/* The copied rows reach route on this descriptor (its --copy /dev/fd/N). */
static inline int
plan_copy_fd(uint32_t workers_count)
{
    return plan_worker_fd(workers_count);
}

/* The index of a program in the plan. */
static inline size_t
plan_route(const struct plan *plan)
{
    return 1 + plan->workers_count;
}

static inline size_t
plan_decode(const struct plan *plan)
{
    return plan_route(plan) + 1;
}

static inline size_t
plan_reader(const struct plan *plan)
{
    return plan_route(plan) + 2;
}

/* Where plan->copies. */
static inline size_t
plan_table_reader(const struct plan *plan)
{
    return plan_route(plan) + 3;
}

/* The parts of walpipe's own environment that the plan depends on. */
struct plan_place {
    const char *programs;   /* the directory of walpipe's programs */
    const char *const *env; /* walpipe's own environment */
    uint64_t restarts;      /* of the pipeline so far, for ackd */
    bool waits;             /* only until the source answers and its slot is free */
    bool slot_exists;       /* so it must not be made */
};

/* config and place must outlive the plan. */
void plan_make(struct plan *plan, const struct config *config, const struct plan_place *place);
void plan_free(struct plan *plan);

/* The directory of the programs, which is that of walpipe's own executable, or $WALPIPE_LIBEXEC.
 * NULL with err. */
const char *plan_programs_directory(struct pool *pool, struct err *err);

/* The path of one program. */
const char *plan_program_path(struct pool *pool, const char *directory, const char *program);

/* Environments. The clean one is for every program, without a secret. The login one has libpq's
 * variables, and password as PGPASSWORD. It names password_file too, from which a program that runs
 * for long reads the password again (both NULL if there is none). The one of a pg or ch sink has
 * the variables for its own server. */
const char *const *plan_clean_env(struct pool *pool, const char *const *env);
const char *const *plan_login_env(struct pool *pool, const char *const *env, const char *password,
                                  const char *password_file);
const char *const *plan_sink_env(struct pool *pool, const char *const *env,
                                 const struct sink_config *sink);

/* The purpose of a sink's program. All but PLAN_RUN lack the parts that only a running pipeline
 * has. */
enum plan_use {
    PLAN_RUN,
    PLAN_CHECK,
    PLAN_DROP,
    PLAN_TABLES,
    PLAN_ADOPT_LOOK,
    PLAN_ADOPT,
    PLAN_SCHEMA,
    PLAN_SCHEMA_MAKE,
    PLAN_COMPARE
};

/* The arguments of a sink's program, which is "sink-pg" or "sink-ch" with its target and options.
 * Not for exec sinks. */
const char *const *plan_sink_arguments(const struct config *config, struct pool *pool,
                                       const struct sink_config *sink, enum plan_use use);

/* The same for `sink-pg --resync`. */
const char *const *plan_resync_arguments(const struct config *config, struct pool *pool,
                                         const struct sink_config *sink, const char *table);

/* The same for `sink-pg --attach`. */
const char *const *plan_attach_arguments(const struct config *config, struct pool *pool,
                                         const struct sink_config *sink);

/* The same for `sink-pg --skip`. */
struct plan_skip {
    const char *lsn;
    const char *table; /* NULL for all */
    bool repaired;
};
const char *const *plan_skip_arguments(const struct config *config, struct pool *pool,
                                       const struct sink_config *sink,
                                       const struct plan_skip *skip);

struct words;

/* Adds the log level and format of a program of the pipeline. */
void plan_add_log(struct words *w, const struct config *config);

/* The file that notes that a login worked (lib/loginnote.h). For NULL it is the source's. */
const char *plan_login_path(const struct config *config, struct pool *pool,
                            const struct sink_config *sink);

/* The file by which a running pg-table-read gets another rate and number of connections. */
const char *plan_limits_path(const struct config *config, struct pool *pool);

/* Whether the sink's target decides which tables must not be split over its workers. The others
 * return the file with the answer, and the arguments of the program that asks. */
bool plan_has_layout(const struct sink_config *sink);
const char *plan_layout_path(const struct config *config, struct pool *pool,
                             const struct sink_config *sink);
const char *const *plan_layout_arguments(const struct config *config, struct pool *pool,
                                         const struct sink_config *sink);

#endif
