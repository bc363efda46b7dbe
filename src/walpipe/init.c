/* init.c: see init.h. */
#include "walpipe/init.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/limits.h"
#include "walpipe/values.h"

#define SYSTEM_CONFIGS "/etc/walpipe/"
#define SYSTEM_STATE   "/var/lib/walpipe"

/* The name that file gives to the pipeline: lower case letters, digits and _. NULL with err if it
 * gives none. */
static const char *
pipeline_name(const char *file, struct pool *pool, struct err *err)
{
    const char *slash = strrchr(file, '/');
    char *name = pool_copy(pool, slash == NULL ? file : slash + 1);
    size_t len = strlen(name);

    if (len >= 5 && strcmp(name + len - 5, ".conf") == 0)
        name[len - 5] = '\0';
    for (char *c = name; *c != '\0'; c++)
        *c = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '_';
    if (name[0] != '\0' && strlen(name) <= NAME_MAX_BYTES)
        return name;
    err_set(err, EXIT_REFUSED, "\"%s\" gives no name for a pipeline", file);
    err_hint(err, "expected a file as /etc/walpipe/orders.conf, at most %d letters",
             NAME_MAX_BYTES);
    return NULL;
}

static bool
is_system_config(const char *file)
{
    return strncmp(file, SYSTEM_CONFIGS, strlen(SYSTEM_CONFIGS)) == 0;
}

/* The unit of systemd gives that directory to a config in /etc/walpipe. Any other config has its
 * state beside it. */
static const char *
state_directory(const char *file, const char *name, struct pool *pool, struct err *err)
{
    const char *slash = strrchr(file, '/');
    char *dir, *full;

    if (is_system_config(file))
        return pool_print(pool, SYSTEM_STATE "/%s", name);
    dir = slash == NULL ? pool_copy(pool, ".")
                        : pool_copy_bytes(pool, file, (size_t)(slash - file) + 1);
    full = realpath(dir, NULL);
    if (full == NULL) {
        err_set(err, EXIT_REFUSED, "directory \"%s\": %s", dir, strerror(errno));
        return NULL;
    }
    dir = pool_print(pool, "%s/%s.state", full, name);
    free(full);
    return dir;
}

static int
refuse_password(const char *option, struct err *err)
{
    err_set(err, EXIT_REFUSED, "option %s: the value has a password", option);
    return err_hint(err, "every user can see it in the list of processes: leave it out, and put it "
                         "into a passfile or a password_file (walpipe.conf(5))");
}

/* Adds the option to what is wrong with its value. */
static int
refuse_value(const char *option, struct err *err)
{
    struct err inner = *err;

    err_set(err, inner.code, "option %s: %s", option, inner.message);
    return err_hint(err, "%s", inner.hint);
}

static int
check_conninfo(const char *option, const char *value, struct pool *pool, struct err *err)
{
    struct conninfo_value conninfo;

    if (values_conninfo(value, &conninfo, pool, err) != 0)
        return refuse_value(option, err);
    if (strstr(value, " ;") != NULL)
        return err_set(err, EXIT_REFUSED,
                       "option %s: a \";\" behind a blank would begin a comment in the config file",
                       option);
    return conninfo.password == NULL ? 0 : refuse_password(option, err);
}

static int
check_servers(const struct init *init, struct pool *pool, struct err *err)
{
    const char *url;

    if (check_conninfo("--source", init->source, pool, err) != 0)
        return -1;
    for (size_t i = 0; i < init->pg_count; i++)
        if (check_conninfo("--pg", init->pg[i], pool, err) != 0)
            return -1;
    for (size_t i = 0; i < init->ch_count; i++)
        if (values_url(init->ch[i], &url, pool, err) != 0)
            return refuse_value("--ch", err);
    return 0;
}

/* The first of its type is plain, as "dst", and the others are numbered from 2. */
static void
write_section(FILE *out, const char *name, size_t index)
{
    if (index == 0)
        fprintf(out, "\n[sink %s]\n", name);
    else
        fprintf(out, "\n[sink %s%zu]\n", name, index + 1);
}

static void
write_sinks(FILE *out, const struct init *init)
{
    for (size_t i = 0; i < init->pg_count; i++) {
        write_section(out, "dst", i);
        fprintf(out,
                "type     = pg\n"
                "conninfo = %s\n"
                ";shards  = 4              ; processes that write, each its part of the rows\n"
                ";tables  = public.*       ; which of the published tables; default all\n",
                init->pg[i]);
    }
    for (size_t i = 0; i < init->ch_count; i++) {
        write_section(out, "olap", i);
        fprintf(out,
                "type     = ch\n"
                "url      = %s\n"
                "database = default\n"
                "user     = default\n"
                ";password_file = /etc/walpipe/ch.pw   ; readable for walpipe only\n"
                "create_tables  = yes      ; make missing tables, and add new columns\n",
                init->ch[i]);
    }
}

static void
write_config(FILE *out, const struct init *init, const char *name, const char *state)
{
    fprintf(
        out,
        "; A pipeline of walpipe. walpipe.conf(5) describes all keys.\n"
        "; Passwords: PostgreSQL's stand in a passfile (~/.pgpass, or passfile=PATH in conninfo).\n"
        "\n"
        "[pipeline]\n"
        "name      = %s\n"
        "state_dir = %s\n"
        "copy      = yes           ; also the rows that the tables have now\n"
        ";copy_rate = 10000000     ; bytes per second that a copy reads at most\n"
        ";http     = 127.0.0.1:9187 ; /healthz, /metrics\n"
        "\n"
        "[source]\n"
        "conninfo    = %s\n"
        "slot        = %s          ; walpipe makes it\n"
        "publication = %s          ; CREATE PUBLICATION %s FOR ALL TABLES;\n",
        name, state, init->source, name, name, name);
    write_sinks(out, init);
}

static int
create_file(const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0)
        return fd;
    err_set(err, EXIT_REFUSED, "could not create \"%s\": %s", path, strerror(errno));
    if (errno == EEXIST)
        err_hint(err, "edit it, or choose another name: walpipe init overwrites nothing");
    return -1;
}

/* The user of the systemd unit reads it by the group that the package gives the directory. */
static void
share_with_group(int fd)
{
    struct stat dir;

    if (stat(SYSTEM_CONFIGS, &dir) == 0 && fchown(fd, (uid_t)-1, dir.st_gid) == 0)
        (void)!fchmod(fd, 0640);
}

static int
create_config(const struct init *init, const char *name, const char *state, struct err *err)
{
    int fd = create_file(init->file, err);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    bool failed;

    if (out == NULL)
        return -1;
    if (is_system_config(init->file))
        share_with_group(fd);
    write_config(out, init, name, state);
    failed = ferror(out) != 0;
    failed = fclose(out) != 0 || failed;
    if (!failed)
        return 0;
    unlink(init->file);
    return err_set(err, EXIT_PEER, "could not write \"%s\": %s", init->file, strerror(errno));
}

int
init_write(const struct init *init, struct err *err)
{
    struct pool pool = {0};
    const char *name = pipeline_name(init->file, &pool, err);
    const char *state = name == NULL ? NULL : state_directory(init->file, name, &pool, err);
    int result = state == NULL || check_servers(init, &pool, err) != 0
                     ? -1
                     : create_config(init, name, state, err);

    pool_free(&pool);
    return result;
}
