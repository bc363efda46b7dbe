/* walpipe_plan.c: the programs, arguments and environments that a config leads to, and quoting.
 *
 * links: walpipe/plan walpipe/words walpipe/pool lib/log lib/lsn lib/err */
#include <string.h>

#include "check.h"
#include "walpipe/plan.h"
#include "walpipe/words.h"

/* config.c is not linked, because plan.c needs only its struct. */

static struct sink_config sinks[] = {
    {.name = "dst",
     .type = SINK_PG,
     .shards = 2,
     .shard_key = "key",
     .batch_rows = 10,
     .flush_interval = "1s",
     .conninfo = "host=b",
     .password = "geheim"},
    {.name = "x",
     .type = SINK_EXEC,
     .shards = 1,
     .shard_key = "table",
     .tables = "a.*",
     .command = "my sink"},
};

static const struct config config = {
    .path = "x.conf",
    .name = "orders",
    .state_dir = "/s",
    .socket = "/s/ackd.sock",
    .log_level = LOG_INFO,
    .source = {.conninfo = "host=a", .slot = "s", .publication = "p,q", .create_slot = true},
    .sinks = sinks,
    .sinks_count = 2,
    .workers_count = 3,
};

static const char *const own_env[] = {"PATH=/bin",       "PGPASSWORD=old",     "PGPASSFILE=/f",
                                      "SECRET_TOKEN=1",  "HOME=/root",         "PGSERVICE=x",
                                      "WALPIPE_SINK=no", "LC_ALL=de_DE.UTF-8", NULL};

/* All words with a blank between them. */
static const char *
joined(const char *const *list)
{
    static char text[4096];

    text[0] = '\0';
    for (size_t i = 0; list[i] != NULL; i++) {
        strncat(text, list[i], sizeof text - strlen(text) - 1);
        strncat(text, " ", sizeof text - strlen(text) - 1);
    }
    return text;
}

static void
is(const char *const *list, const char *expected, const char *what)
{
    check(strcmp(joined(list), expected) == 0, "%s: %s", what, joined(list));
}

static bool
has(const char *const *list, const char *word)
{
    for (size_t i = 0; list[i] != NULL; i++)
        if (strcmp(list[i], word) == 0)
            return true;
    return false;
}

static void
test_arguments(const struct plan *plan)
{
    const struct plan_program *p = plan->programs;

    if (!check(plan->count == 7 && plan->workers_count == 3, "seven programs"))
        return;
    is(p[0].argv,
       "ackd --socket /s/ackd.sock --state /s --pipeline orders --sink dst=2 --sink x=1 "
       "--restarts 4 --log-level info ",
       "ackd");
    is(p[2].argv,
       "sink-pg --conninfo host=b --pipeline orders --ackd /s/ackd.sock --login-note "
       "/s/login.sink.dst --batch-rows 10 "
       "--flush-interval 1s --log-level info ",
       "sink-pg");
    check(strcmp(p[2].label, "sink dst/1") == 0 && p[2].shard == 1, "its label");
    is(p[3].argv, "sh -c my sink ", "exec sink");
    check(strcmp(p[3].file, "/bin/sh") == 0 && p[3].foreign, "by the shell");
    is(p[4].argv,
       "route --sink dst --shard-key key --layout /s/layout.dst --left-out tell --to /dev/fd/3 "
       "--to /dev/fd/4 "
       "--sink x --shard-key table "
       "--tables a.* --to /dev/fd/5 --log-level info ",
       "route");
    is(p[5].argv, "pgout-decode --log-level info ", "pgout-decode");
    is(p[6].argv,
       "pg-wal-read --conninfo host=a --slot s --publication p,q --ackd /s/ackd.sock "
       "--login-note /s/login.source --slot-note /s/slot --create-slot --log-level info ",
       "pg-wal-read");
    check(strcmp(p[6].file, "/opt/pg-wal-read") == 0, "its file");
}

/* Trap 146. */
/* The bug was that a ClickHouse sink's password and the way to it reached sink-ch in no way. */
static void
test_clickhouse_environment(void)
{
    static const char *const env[] = {"PATH=/bin",
                                      "WALPIPE_CH_PASSWORD=ch",
                                      "PGPASSWORD=old",
                                      "WALPIPE_OLAP_PASSWORD=own",
                                      "https_proxy=http://p",
                                      "SSL_CERT_FILE=c",
                                      "SECRET_TOKEN=1",
                                      NULL};
    struct sink_config sink = {.name = "olap", .type = SINK_CH};
    struct pool pool = {0};

    is(plan_sink_env(&pool, env, &sink),
       "LANG=C.UTF-8 PATH=/bin https_proxy=http://p SSL_CERT_FILE=c WALPIPE_CH_PASSWORD=ch ",
       "sink-ch gets what libcurl looks for, and the password of all ClickHouse sinks");
    sink.password = "own";
    is(plan_sink_env(&pool, env, &sink),
       "LANG=C.UTF-8 PATH=/bin https_proxy=http://p SSL_CERT_FILE=c WALPIPE_CH_PASSWORD=own ",
       "or its own one");
    sink.password = NULL;
    sink.password_file = "/f";
    is(plan_sink_env(&pool, env, &sink),
       "LANG=C.UTF-8 PATH=/bin https_proxy=http://p SSL_CERT_FILE=c ",
       "or none, if it reads a file");
    pool_free(&pool);
}

/* Options behind --table are of that table, so those of all come first. */
static void
test_choices(void)
{
    struct table_config second = {.name = "a.c", .leave_out = "x", .json = "text"};
    struct table_config first = {
        .next = &second, .name = "a.b", .engine = "E", .order_by = "k", .column_types = "k -> T"};
    struct sink_config sink = {.name = "olap",
                               .type = SINK_CH,
                               .url = "u",
                               .database = "d",
                               .user = "me",
                               .flush_interval = "1s",
                               .json = "json",
                               .choices = &first};
    struct config small = {.name = "n", .state_dir = "/s", .socket = "/s/ackd.sock"};
    struct pool pool = {0};

    is(plan_sink_arguments(&small, &pool, &sink, PLAN_CHECK),
       "sink-ch --url u --database d --user me --json json --table a.b --engine E --order-by k "
       "--column-types k -> T --table a.c --leave-out x --json text --pipeline n --check "
       "--batch-rows 0 --flush-interval 1s --log-level debug ",
       "choices");
    pool_free(&pool);
}

static void
test_copies(void)
{
    struct plan_place place = {.programs = "/opt", .env = own_env};
    struct sink_config copying[] = {sinks[0], sinks[1]};
    struct config copies = config;
    struct plan plan;

    copying[0].copies = copies.copies = true;
    copies.sinks = copying;
    copies.source.password = "quelle";
    copies.copy_workers = 3;
    plan_make(&plan, &copies, &place);
    if (check(plan.copies && plan.count == 8 && plan_table_reader(&plan) == 7,
              "one more program")) {
        is(plan.programs[4].argv,
           "route --copy /dev/fd/6 --sink dst --shard-key key --stream 2 --layout /s/layout.dst "
           "--to /dev/fd/3 --to /dev/fd/4 --sink x --shard-key table --tables a.* --to /dev/fd/5 "
           "--log-level info ",
           "route gets the copy, and sink x version 1");
        is(plan.programs[7].argv,
           "pg-table-read --conninfo host=a --publication p,q --ackd /s/ackd.sock --login-note "
           "/s/login.source --limits "
           "/s/copy_limits --workers 3 "
           "--log-level info ",
           "pg-table-read");
        check(has(plan.programs[7].env, "PGPASSWORD=quelle"), "with the source's password");
    }
    check(!has(plan.programs[1].argv, "--park"), "an error stops a sink");
    plan_free(&plan);
    copies.copy_rate = 1000;
    copying[0].copy_hold = UINT64_C(5000000000);
    copying[0].on_error = "park";
    copying[0].park_limit = 7;
    plan_make(&plan, &copies, &place);
    check(has(plan.programs[7].argv, "--rate") && has(plan.programs[7].argv, "1000"), "its rate");
    check(has(plan.programs[1].argv, "--hold") && has(plan.programs[1].argv, "5000000000"),
          "the sink's limit of held changes");
    check(has(plan.programs[1].argv, "--park") && has(plan.programs[1].argv, "--park-limit") &&
              has(plan.programs[1].argv, "7"),
          "or parks a table");
    plan_free(&plan);
}

static void
test_environments(const struct plan *plan)
{
    const struct plan_program *p = plan->programs;

    is(p[5].env, "LANG=C.UTF-8 PATH=/bin HOME=/root WALPIPE_LAST_WORDS=/s/error.pgout-decode ",
       "pgout-decode gets no secret");
    is(p[0].env, "LANG=C.UTF-8 PATH=/bin HOME=/root WALPIPE_LAST_WORDS=/s/error.ackd ",
       "nor does ackd");
    is(p[4].env, "LANG=C.UTF-8 PATH=/bin HOME=/root WALPIPE_LAST_WORDS=/s/error.route ",
       "nor does route");
    check(has(p[6].env, "PGPASSWORD=old") && has(p[6].env, "PGSERVICE=x"),
          "pg-wal-read gets libpq's variables");
    check(has(p[1].env, "PGPASSWORD=geheim") && !has(p[1].env, "PGPASSWORD=old"),
          "the config's password wins");
    check(!has(p[6].env, "PGPASSWORD=geheim"), "a sink's password is only the sink's");
    check(!has(p[6].env, "SECRET_TOKEN=1"), "nothing foreign to a program of walpipe's");
    check(has(p[3].env, "SECRET_TOKEN=1") && !has(p[3].env, "PGPASSWORD=old"),
          "an exec sink gets all but the password");
    check(has(p[3].env, "WALPIPE_ACKD=/s/ackd.sock") && has(p[3].env, "WALPIPE_SINK=x") &&
              has(p[3].env, "WALPIPE_SHARD=0") && has(p[3].env, "WALPIPE_PIPELINE=orders") &&
              !has(p[3].env, "WALPIPE_SINK=no"),
          "and its own variables");
    for (size_t i = 0; i < plan->count; i++)
        check(strstr(joined(p[i].argv), "geheim") == NULL, "no password in %s's arguments",
              p[i].label);
}

static void
test_quoting(void)
{
    struct pool pool = {0};

    check(strcmp(words_quote(&pool, "a/b_c.d-e,f"), "a/b_c.d-e,f") == 0, "plain");
    check(strcmp(words_quote(&pool, ""), "''") == 0, "empty");
    check(strcmp(words_quote(&pool, "!public.* $x"), "'!public.* $x'") == 0, "blanks and signs");
    check(strcmp(words_quote(&pool, "dbname='my shop'"), "\"dbname='my shop'\"") == 0, "quotes");
    check(strcmp(words_quote(&pool, "it's $x"), "'it'\\''s $x'") == 0, "quote and dollar");
    check(strcmp(words_quote(&pool, "a\nb"), "'a\nb'") == 0, "newline");
    check(strcmp(words_quote(&pool, "~/x"), "'~/x'") == 0, "home");
    pool_free(&pool);
}

int
main(void)
{
    struct plan_place place = {.programs = "/opt", .env = own_env, .restarts = 4};
    struct plan plan;

    plan_make(&plan, &config, &place);
    test_arguments(&plan);
    test_environments(&plan);
    test_clickhouse_environment();
    test_choices();
    test_copies();
    plan_free(&plan);
    test_quoting();
    return check_done();
}
