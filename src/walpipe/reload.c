/* reload.c: see reload.h. */
#include "walpipe/reload.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/statedir.h"
#include "lib/statefile.h"
#include "walpipe/configdiff.h"
#include "walpipe/passwords.h"
#include "walpipe/plan.h"

int
reload_write_limits(const struct config *config, struct err *err)
{
    struct pool pool = {0};
    int rc =
        statefile_write(plan_limits_path(config, &pool),
                        pool_print(&pool, "%u %u\n", config->copy_workers, config->copy_rate), err);

    pool_free(&pool);
    return rc;
}

/* The new values stay for the next start if pg-table-read cannot get them now. */
static void
take_limits(struct config *config, const struct config *fresh, const struct log *log,
            pid_t table_reader)
{
    struct err err = {0};

    if (config->copy_workers == fresh->copy_workers && config->copy_rate == fresh->copy_rate)
        return;
    config->copy_workers = fresh->copy_workers;
    config->copy_rate = fresh->copy_rate;
    if (reload_write_limits(config, &err) != 0)
        log_failure(log, &err);
    else if (table_reader > 0)
        kill(table_reader, SIGHUP);
}

static void
apply(struct config *config, const struct config *fresh, const struct log *log, pid_t table_reader)
{
    struct pool pool = {0};
    const char *others = configdiff_list(config, fresh, &pool);

    take_limits(config, fresh, log, table_reader);
    log_write(log, LOG_INFO, "read %s again: copy_workers = %u, copy_rate = %u", config->path,
              config->copy_workers, config->copy_rate);
    if (others[0] != '\0')
        log_write(
            log, LOG_WARNING,
            "these parts of %s have changed too, and count from the next start of walpipe: %s",
            config->path, others);
    pool_free(&pool);
}

void
reload_config(struct config *config, const struct log *log, pid_t table_reader)
{
    struct config fresh;
    struct err err = {0};

    if (config_read(config->path, config->overrides, &fresh, &err) != 0 ||
        passwords_choose(&fresh, &err) != 0) {
        log_failure(log, &err);
        log_write(log, LOG_ERROR, "%s was not read again, and nothing has changed", config->path);
    } else {
        apply(config, &fresh, log, table_reader);
    }
    config_free(&fresh);
}

int
reload_running(const struct config *config, const struct log *log)
{
    pid_t pid = statedir_runner(config->state_dir);
    struct err err = {0};

    if (pid <= 0 || kill(pid, SIGHUP) != 0) {
        err_set(&err, EXIT_PEER, "could not tell walpipe to read its config file again: %s",
                pid <= 0 ? "the pipeline does not run" : strerror(errno));
        return log_failure(log, &err);
    }
    printf("told walpipe (pid %d) to read its config file again; its log says what has changed\n",
           (int)pid);
    return EXIT_DONE;
}
