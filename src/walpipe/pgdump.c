/* pgdump.c: see pgdump.h. */
#include "walpipe/pgdump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "walpipe/helper.h"
#include "walpipe/plan.h"

/* Majors to come that are looked for. */
#define MAJORS_AHEAD 20

/* The end of pg_dump's output, which has the reason. */
#define COMPLAINT_MAX 600

/* The major version of the pg_dump in this directory, 0 if there is none. */
static int
ask_version(const char *directory, struct pool *pool)
{
    const char *argv[] = {"pg_dump", "--version", NULL};
    struct helper helper = {.directory = directory,
                            .argv = argv,
                            .env = (const char *const *)environ,
                            .in = -1,
                            .out = -1};
    struct err ignored = {0};
    char *output = NULL;
    const char *number;

    if (access(plan_program_path(pool, directory, argv[0]), X_OK) != 0 ||
        helper_run(&helper, pool, &output, &ignored) != EXIT_DONE)
        return 0;
    number = strstr(output, ") ");
    return number == NULL ? 0 : (int)strtol(number + 2, NULL, 10);
}

static bool
look_in(struct pgdump *found, const char *directory, int server_major, int *newest,
        struct pool *pool)
{
    int major = ask_version(directory, pool);

    if (major > *newest)
        *newest = major;
    if (major < server_major)
        return false;
    *found = (struct pgdump){.directory = directory, .major = major};
    return true;
}

static bool
look_in_path(struct pgdump *found, int server_major, int *newest, struct pool *pool)
{
    const char *path = getenv("PATH");
    char *rest, *directory;

    if (path == NULL)
        return false;
    for (directory = strtok_r(pool_copy(pool, path), ":", &rest); directory != NULL;
         directory = strtok_r(NULL, ":", &rest))
        if (look_in(found, directory, server_major, newest, pool))
            return true;
    return false;
}

int
pgdump_find(struct pgdump *found, int server_major, struct pool *pool, struct err *err)
{
    int newest = 0;

    if (look_in_path(found, server_major, &newest, pool))
        return 0;
    for (int major = server_major; major < server_major + MAJORS_AHEAD; major++)
        if (look_in(found, pool_print(pool, "/usr/lib/postgresql/%d/bin", major), server_major,
                    &newest, pool) ||
            look_in(found, pool_print(pool, "/usr/pgsql-%d/bin", major), server_major, &newest,
                    pool))
            return 0;
    if (newest == 0)
        err_set(err, EXIT_REFUSED,
                "found no pg_dump in PATH, /usr/lib/postgresql/%d/bin or /usr/pgsql-%d/bin",
                server_major, server_major);
    else
        err_set(err, EXIT_REFUSED, "pg_dump %d cannot read the source, a PostgreSQL %d", newest,
                server_major);
    return err_hint(err,
                    "install the client programs of PostgreSQL %d or later (Debian: "
                    "postgresql-client-%d), or put their directory into PATH",
                    server_major, server_major);
}

/* The lines in which pg_dump complains, without those that say how far it is. */
static const char *
read_complaint(int fd, struct pool *pool)
{
    static const char mark[] = "error: ";
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = pool_take(pool, size > 0 ? (size_t)size + 1 : 1);
    ssize_t n = size > 0 ? pread(fd, text, (size_t)size, 0) : 0;
    char *found = n > 0 ? strstr(text, mark) : NULL;

    if (found == NULL)
        return "it gave no reason";
    found += sizeof mark - 1;
    if (strlen(found) > COMPLAINT_MAX)
        found[COMPLAINT_MAX] = '\0';
    for (char *c = found; *c != '\0'; c++)
        if (*c == '\n')
            *c = c[1] == '\0' ? '\0' : ' ';
    return found;
}

static void
add_arguments(struct words *w, const struct config *config, const struct words *excluded)
{
    words_add(w, "pg_dump");
    words_add_option(w, "--dbname", config->source.conninfo);
    words_add(w, "--schema-only");
    words_add(w, "--verbose"); /* so that it writes each object's class and oid */
    words_add(w, "--encoding=UTF8");
    words_add(w, "--no-owner");
    words_add(w, "--no-privileges");
    words_add(w, "--no-publications");
    words_add(w, "--no-subscriptions");
    words_add(w, "--no-security-labels");
    words_add(w, "--no-tablespaces");
    words_add(w, "--no-comments");
    words_add(w, "--no-password");
    words_add(w, "--lock-wait-timeout=10s");
    for (size_t i = 0; i < excluded->count; i++)
        words_add_option(w, "--exclude-table", excluded->list[i]);
}

int
pgdump_run(const struct pgdump *found, const struct config *config, const struct words *excluded,
           char **text, struct pool *pool, struct err *err)
{
    struct words w = {.pool = pool};
    struct helper helper = {
        .directory = found->directory,
        .env = plan_login_env(pool, (const char *const *)environ, config->source.password, NULL),
        .in = -1,
        .out = -1,
        .errors = memfd_create("pg_dump", MFD_CLOEXEC)};
    int code;

    if (helper.errors < 0)
        return err_set(err, EXIT_PEER, "could not make a file in memory: %s", strerror(errno));
    add_arguments(&w, config, excluded);
    helper.argv = w.list;
    code = helper_run(&helper, pool, text, err);
    if (code > 0) {
        err_set(err, EXIT_REFUSED, "pg_dump of the source failed: %s",
                read_complaint(helper.errors, pool));
        err_hint(err, "if the role lacks a right: GRANT USAGE ON SCHEMA, and GRANT SELECT ON ALL "
                      "TABLES IN SCHEMA and ON ALL SEQUENCES IN SCHEMA");
    }
    close(helper.errors);
    return code == EXIT_DONE ? 0 : -1;
}
