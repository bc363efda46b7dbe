/* layoutfile.c: see layoutfile.h. */
#include "walpipe/layoutfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/io.h"
#include "walpipe/helper.h"

/* Writes it whole or not at all. A lost file is no loss, because then all tables go to one
 * worker. */
static int
write_file(struct pool *pool, const char *path, const char *text, struct err *err)
{
    const char *fresh = pool_print(pool, "%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct bytes bytes = {.data = (const uint8_t *)text, .len = strlen(text)};
    int rc;

    if (fd < 0)
        return err_set(err, EXIT_PEER, "could not create %s: %s", fresh, strerror(errno));
    rc = io_write_all(fd, bytes, err);
    close(fd);
    if (rc == 0 && rename(fresh, path) != 0)
        rc = err_set(err, EXIT_PEER, "could not rename %s: %s", fresh, strerror(errno));
    return rc;
}

static int
refresh_sink(const struct config *config, const struct sink_config *sink,
             const struct plan_place *place, const struct log *log, struct pool *pool,
             struct err *err)
{
    const char *path = plan_layout_path(config, pool, sink);
    struct helper helper = {.directory = place->programs,
                            .argv = plan_layout_arguments(config, pool, sink),
                            .env = plan_sink_env(pool, place->env, sink),
                            .in = -1,
                            .out = -1};
    char *output = NULL;
    int code = helper_run(&helper, pool, &output, err);

    if (code < 0)
        return -1;
    if (code == EXIT_DONE)
        return write_file(pool, path, output, err);
    if (access(path, F_OK) == 0) {
        log_write(log, LOG_WARNING,
                  "sink %s: the target did not say which tables must not be split; its last answer "
                  "is used",
                  sink->name);
        return 0;
    }
    log_write(log, LOG_WARNING,
              "sink %s: the target did not say which tables must not be split; all go to one "
              "worker until the next start",
              sink->name);
    return write_file(pool, path, "# the target could not be asked\n*\n", err);
}

int
layoutfile_refresh(const struct config *config, const struct plan_place *place,
                   const struct log *log, struct err *err)
{
    struct pool pool = {0};
    int rc = 0;

    for (size_t i = 0; i < config->sinks_count && rc == 0; i++)
        if (config->sinks[i].paused == 0 && plan_has_layout(&config->sinks[i]))
            rc = refresh_sink(config, &config->sinks[i], place, log, &pool, err);
    pool_free(&pool);
    return rc;
}
