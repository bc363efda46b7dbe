/* check.c: see check.h. The checks of one program are that program's own --check, run as a child.
 * pg-wal-read knows the replication connection, and a sink its target. */
#include "walpipe/check.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/lsn.h"
#include "lib/statedir.h"
#include "walpipe/catalog.h"
#include "walpipe/check_copies.h"
#include "walpipe/check_notes.h"
#include "walpipe/check_sinks.h"
#include "walpipe/checking.h"
#include "walpipe/nofile.h"
#include "walpipe/only.h"
#include "walpipe/pauses.h"
#include "walpipe/plan.h"
#include "walpipe/words.h"

/* ---- the config and the state directory ---- */

static void
check_config(struct checking *c)
{
    const struct config *config = c->config;
    struct stat st;

    verdict_say(&c->verdicts, VERDICT_OK, "config %s: pipeline %s, %zu sink(s), %u worker(s)",
                config->path, config->name, config->sinks_count, config->workers_count);
    if (config->variables != NULL)
        verdict_say(&c->verdicts, VERDICT_OK, "config %s: takes from the environment: %s",
                    config->path, config_variables(config, &c->pool));
    if (config->holds_password && stat(config->path, &st) == 0 && (st.st_mode & 077) != 0)
        verdict_say(&c->verdicts, VERDICT_WARN,
                    "config %s holds a password and other users can read it: chmod 0600, or use "
                    "password_file",
                    config->path);
}

/* The nearest directory above that is there must take the missing ones. */
static void
check_parent(struct checking *c)
{
    char *path = pool_copy(&c->pool, c->config->state_dir);
    struct stat st;
    char *slash;

    do {
        slash = strrchr(path, '/');
        *(slash == path ? slash + 1 : slash) = '\0';
    } while (stat(path, &st) != 0 && errno == ENOENT && strcmp(path, "/") != 0);
    if (!S_ISDIR(st.st_mode))
        errno = ENOTDIR;
    if (S_ISDIR(st.st_mode) && access(path, W_OK | X_OK) == 0)
        verdict_say(&c->verdicts, VERDICT_OK,
                    "state directory %s does not exist yet: run will make it",
                    c->config->state_dir);
    else
        verdict_say(&c->verdicts, VERDICT_FAIL,
                    "state directory %s cannot be made in \"%s\": %s: make it and give it to the "
                    "user that runs walpipe, with mode 0700",
                    c->config->state_dir, path, strerror(errno));
}

/* Whether a pipeline runs in it. */
static bool
check_state_dir(struct checking *c)
{
    const char *dir = c->config->state_dir;
    struct err err = {0}, unknown = {0};
    int fd = statedir_open_existing(dir, &err);
    int lock = fd < 0 ? -1 : statedir_lock(fd, dir, STATEDIR_WALPIPE, &err);

    if (fd == STATEDIR_MISSING)
        check_parent(c);
    else if (lock == STATEDIR_IN_USE)
        verdict_say(&c->verdicts, VERDICT_WARN, "state directory %s: a pipeline runs in it now",
                    dir);
    else if (lock < 0)
        verdict_fail(&c->verdicts, "state directory", &err);
    else
        verdict_say(&c->verdicts, VERDICT_OK, "state directory %s", dir);
    if (fd >= 0 && pauses_require_known(c->config, &unknown) != 0)
        verdict_fail(&c->verdicts, NULL, &unknown);
    if (lock >= 0)
        close(lock);
    if (fd >= 0)
        close(fd);
    return lock == STATEDIR_IN_USE;
}

/* Binds as ackd would, and lets go. */
static int
try_address(const struct addrinfo *where)
{
    int fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, rc;

    if (fd < 0)
        return errno;
    rc = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                 bind(fd, where->ai_addr, where->ai_addrlen) == 0 && listen(fd, 1) == 0
             ? 0
             : errno;
    close(fd);
    return rc;
}

static void
check_http(struct checking *c)
{
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    const char *http = c->config->http;
    const char *colon = strrchr(http, ':');
    bool brackets = http[0] == '[';
    char *host = pool_copy(&c->pool, http + brackets);
    struct addrinfo *found;
    int why;

    host[colon - http - 2 * brackets] = '\0';
    why = getaddrinfo(host, colon + 1, &wanted, &found);
    if (why != 0) {
        verdict_say(&c->verdicts, VERDICT_FAIL, "http = %s: could not look up the address: %s",
                    http, gai_strerror(why));
        return;
    }
    why = try_address(found);
    freeaddrinfo(found);
    if (why == 0)
        verdict_say(&c->verdicts, VERDICT_OK, "http = %s: the port is free", http);
    else
        verdict_say(
            &c->verdicts, VERDICT_FAIL,
            "http = %s: could not listen there: %s: choose an address of this machine and a "
            "port that is free",
            http, strerror(why));
}

static void
check_files(struct checking *c)
{
    struct err err = {0};

    if (nofile_ensure(c->config->workers_count, &err) != 0)
        verdict_fail(&c->verdicts, NULL, &err);
}

/* ---- the source ---- */

static void
check_reader(struct checking *c)
{
    const struct source_config *source = &c->config->source;
    struct words w = {.pool = &c->pool};
    struct helper helper = {.directory = c->programs, .in = -1, .out = -1};

    words_add(&w, "pg-wal-read");
    words_add_option(&w, "--conninfo", source->conninfo);
    words_add_option(&w, "--slot", source->slot);
    words_add_option(&w, "--publication", source->publication);
    if (source->create_slot)
        words_add(&w, "--create-slot");
    if (source->binary)
        words_add(&w, "--binary");
    if (source->local_only)
        words_add_option(&w, "--origin", "none");
    words_add(&w, "--check");
    plan_add_log(&w, c->config);
    helper.argv = w.list;
    helper.env = plan_login_env(&c->pool, c->env, source->password, source->password_file);
    checking_run(c, "", &helper);
}

/* On such a table the source itself refuses updates and deletes once it is published (trap 47). It
 * checks the partition, though, not the root as which it is published. */
static void
say_no_identity(struct checking *c, const struct relation *rel, bool partitioned)
{
    if (partitioned)
        verdict_say(&c->verdicts, VERDICT_WARN,
                    "table %s.%s has no replica identity, and its partitions are published as it: "
                    "walpipe stops at the first update or delete: give it a primary key (not "
                    "deferrable) that its partitions have too",
                    rel->schema, rel->name);
    else
        verdict_say(&c->verdicts, VERDICT_WARN,
                    "table %s.%s has no replica identity: the source refuses its updates and "
                    "deletes: add a primary key (not deferrable), or ALTER TABLE ... REPLICA "
                    "IDENTITY USING INDEX with a unique index, or FULL",
                    rel->schema, rel->name);
}

static void
check_identities(struct checking *c, const struct catalog *catalog)
{
    size_t without = 0, full = 0;

    for (size_t i = 0; i < catalog->tables.count; i++) {
        const struct relation *rel = &catalog->tables.relations[i];

        full += rel->replica_identity == 'f';
        if (catalog_has_identity(rel) || !catalog->publishes_changes)
            continue;
        without++;
        say_no_identity(c, rel, catalog->tables.partitioned[i]);
    }
    if (catalog->tables.count == 0)
        verdict_say(&c->verdicts, VERDICT_WARN, "publication %s: no table is published yet",
                    c->config->source.publication);
    else if (without == 0)
        verdict_say(&c->verdicts, VERDICT_OK,
                    "replica identity: %zu published table(s), %zu with identity full",
                    catalog->tables.count, full);
}

static void
add_source(struct words *w, const struct catalog *catalog)
{
    const struct hello *h = &catalog->hello;

    words_add_option(w, "--system-identifier",
                     pool_print(w->pool, "%llu", (unsigned long long)h->system_identifier));
    words_add_option(w, "--timeline", pool_print(w->pool, "%u", h->timeline));
    words_add_option(w, "--database", h->database);
    words_add_option(w, "--slot", h->slot);
    if (catalog->slot_exists)
        words_add_option(w, "--confirmed", lsn_format(h->start_lsn).text);
}

/* ackd's verdict on the checkpoint, and on the source's slot beside it. catalog is NULL if the
 * source is not known. */
static void
check_checkpoint(struct checking *c, const struct catalog *catalog)
{
    struct words w = {.pool = &c->pool};
    struct helper helper = {.directory = c->programs, .in = -1, .out = -1};

    words_add(&w, "ackd");
    words_add(&w, "--check");
    words_add_option(&w, "--state", c->config->state_dir);
    words_add_option(&w, "--pipeline", c->config->name);
    if (catalog != NULL)
        add_source(&w, catalog);
    plan_add_log(&w, c->config);
    helper.argv = w.list;
    helper.env = plan_clean_env(&c->pool, c->env);
    checking_run(c, "", &helper);
}

/* If running, the checkpoint belongs to an ackd that is at work. */
static void
check_source(struct checking *c, struct catalog *catalog, bool running)
{
    struct err err = {0};
    bool known;

    check_reader(c);
    known = catalog_read(catalog, c->config, &err) == 0;
    if (!running)
        check_checkpoint(c, known ? catalog : NULL);
    if (known) {
        check_identities(c, catalog);
        check_copies_default(c, catalog);
        check_copies(c, catalog);
        check_definitions(c, catalog);
        check_notes(c, catalog);
        check_sinks(c, catalog, true);
        return;
    }
    verdict_fail(&c->verdicts, "source", &err);
    catalog_free(catalog);
    if (catalog_unknown(catalog, c->config, &err) == 0)
        check_sinks(c, catalog, false);
}

/* Returns true if nothing is left to do, so that nothing else matters. */
static bool
check_only(struct checking *c)
{
    const char *slot = c->config->source.slot;
    struct err err = {0};

    switch (only_look(c->config, &err)) {
    case ONLY_DONE:
        verdict_say(
            &c->verdicts, VERDICT_OK,
            "copy = only: every published table is copied, and slot \"%s\" is gone: run ends "
            "at once",
            slot);
        return true;
    case ONLY_FAILED:
        verdict_fail(&c->verdicts, "copy = only", &err);
        break;
    case ONLY_RUN:
    case ONLY_NEW:
    case ONLY_WAIT:
        verdict_say(
            &c->verdicts, VERDICT_OK,
            "copy = only: run ends when every table is copied; slot \"%s\" is dropped then if "
            "walpipe made it, and otherwise stays",
            slot);
        break;
    }
    return false;
}

static void
check_all(struct checking *c)
{
    struct catalog catalog;
    bool running;

    check_config(c);
    running = check_state_dir(c);
    if (c->config->only && check_only(c))
        return;
    if (c->config->http != NULL && !running)
        check_http(c);
    check_files(c);
    check_source(c, &catalog, running);
    catalog_free(&catalog);
}

int
check_pipeline(struct config *config, const struct log *log)
{
    struct checking c = {
        .config = config, .log = log, .env = (const char *const *)environ, .verdicts.out = stdout};
    struct err err = {0};
    int code;

    c.programs = plan_programs_directory(&c.pool, &err);
    if (c.programs == NULL) {
        code = log_failure(log, &err);
    } else {
        check_all(&c);
        code = c.verdicts.failed ? EXIT_REFUSED : EXIT_DONE;
    }
    pool_free(&c.pool);
    return code;
}
