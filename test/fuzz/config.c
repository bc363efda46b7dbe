/* config.c: the config file. A refusal names the place. A file that is accepted makes a plan
 * without a password on a command line. */
/* clang-format off: make reads one line
 * links: walpipe/config walpipe/copykeys walpipe/values walpipe/inifile walpipe/override walpipe/expand walpipe/pool walpipe/plan walpipe/words lib/names lib/tablefilter lib/tablemap lib/pqx lib/opt lib/log lib/lsn lib/clock lib/frame lib/pack lib/cursor lib/buf lib/err; libs: -lpq -linih */
/* clang-format on */
#include "walpipe/config.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "input.h"
#include "walpipe/plan.h"

/* As pg-wal-read and sink-pg read it. */
static void
check_conninfo(const char *conninfo)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);

    require(options != NULL);
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
        require(o->val == NULL ||
                (strcmp(o->keyword, "password") != 0 && strcmp(o->keyword, "sslpassword") != 0));
    PQconninfoFree(options);
}

static void
check_plan(const struct config *config)
{
    static const char *const env[] = {"PATH=/bin", "PGPASSWORD=of the environment", NULL};
    const struct plan_place place = {.programs = "/bin", .env = env, .restarts = 7};
    struct plan plan;

    plan_make(&plan, config, &place);
    require(plan.count == config->workers_count + 4);
    for (size_t i = 0; i < plan.count; i++)
        for (const char *const *word = plan.programs[i].argv; *word != NULL; word++)
            if (strcmp(*word, "--conninfo") == 0)
                check_conninfo(word[1]);
    plan_free(&plan);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    static char path[32];
    struct config config;
    struct err err = {0};

    if (file < 0) {
        file = memfd_create("config", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    require(file >= 0 && ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
    if (config_read(path, NULL, &config, &err) == 0) {
        require(config.sinks_count > 0 && config.workers_count <= WORKERS_MAX);
        check_plan(&config);
    } else {
        require(err.code == EXIT_REFUSED && strncmp(err.message, path, strlen(path)) == 0);
    }
    config_free(&config);
    return 0;
}
