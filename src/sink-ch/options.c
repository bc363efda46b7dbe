/* options.c: see options.h. */
#include "sink-ch/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
bad_mapping(const char *text, struct err *err)
{
    err_set(err, EXIT_REFUSED, "--map: malformed \"%s\"", text);
    return err_hint(err, "expected schema.table -> database.table or schema.table -> table, "
                         "separated by commas");
}

static struct bytes
trimmed(const char *text, size_t len)
{
    while (len > 0 && *text == ' ')
        text++, len--;
    while (len > 0 && text[len - 1] == ' ')
        len--;
    return (struct bytes){.data = (const uint8_t *)text, .len = len};
}

static bool
copy_name(char *out, size_t size, struct bytes name)
{
    if (name.len == 0 || name.len >= size)
        return false;
    memcpy(out, name.data, name.len);
    out[name.len] = '\0';
    return true;
}

static bool
parse_mapping(struct bytes line, struct mapping *mapping)
{
    const char *text = (const char *)line.data;
    const char *arrow = memmem(text, line.len, "->", 2);
    struct bytes source, target;
    const uint8_t *dot;

    if (arrow == NULL)
        return false;
    source = trimmed(text, (size_t)(arrow - text));
    target = trimmed(arrow + 2, line.len - (size_t)(arrow + 2 - text));
    if (source.len == 0 || memchr(source.data, '.', source.len) == NULL ||
        !copy_name(mapping->source, sizeof mapping->source, source))
        return false;
    dot = target.len == 0 ? NULL : memchr(target.data, '.', target.len);
    mapping->target.database[0] = '\0';
    if (dot != NULL) {
        struct bytes database = {.data = target.data, .len = (size_t)(dot - target.data)};

        if (!copy_name(mapping->target.database, sizeof mapping->target.database, database))
            return false;
        target.len -= database.len + 1;
        target.data = dot + 1;
    }
    return copy_name(mapping->target.table, sizeof mapping->target.table, target);
}

static int
add_mapping(struct options *options, struct bytes line, const char *text, struct err *err)
{
    struct mapping *more = realloc(options->mappings, (options->mappings_count + 1) * sizeof *more);

    if (more == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a mapping");
    options->mappings = more;
    if (!parse_mapping(line, &more[options->mappings_count]))
        return bad_mapping(text, err);
    for (size_t i = 0; i < options->mappings_count; i++)
        if (strcmp(more[i].source, more[options->mappings_count].source) == 0)
            return err_set(err, EXIT_REFUSED, "--map: table \"%s\" stands there twice",
                           more[i].source);
    options->mappings_count++;
    return 0;
}

int
options_add_mappings(struct options *options, const char *text, struct err *err)
{
    const char *at = text;

    for (;;) {
        size_t len = strcspn(at, ",\n");
        struct bytes line = trimmed(at, len);

        if (add_mapping(options, line, text, err) != 0)
            return -1;
        if (at[len] == '\0')
            return 0;
        at += len + 1;
    }
}

int
options_target(const struct options *options, const char *schema, const char *table,
               struct target_name *target)
{
    char source[132];
    int n;

    if ((size_t)snprintf(source, sizeof source, "%s.%s", schema, table) >= sizeof source)
        return -1;
    for (size_t i = 0; i < options->mappings_count; i++)
        if (strcmp(options->mappings[i].source, source) == 0) {
            *target = options->mappings[i].target;
            if (target->database[0] == '\0')
                snprintf(target->database, sizeof target->database, "%s", options->database);
            return 0;
        }
    n = snprintf(target->database, sizeof target->database, "%s", options->database);
    if (n < 0 || (size_t)n >= sizeof target->database)
        return -1;
    if (strcmp(schema, "public") == 0)
        n = snprintf(target->table, sizeof target->table, "%s", table);
    else
        n = snprintf(target->table, sizeof target->table, "%s_%s", schema, table);
    return n < 0 || (size_t)n >= sizeof target->table ? -1 : 0;
}

/* ---- files with secrets ---- */

/* what: "password" or "key". */
static int
check_file(const char *what, const char *path, int fd, struct err *err)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return err_set(err, EXIT_REFUSED, "could not look at %s file \"%s\": %s", what, path,
                       strerror(errno));
    if (!S_ISREG(info.st_mode))
        return err_set(err, EXIT_REFUSED, "%s file \"%s\" is not a file", what, path);
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        err_set(err, EXIT_REFUSED, "%s file \"%s\" is open to others (mode %04o)", what, path,
                (unsigned)info.st_mode & 07777);
        return err_hint(err, "chmod 600 %s", path);
    }
    return 0;
}

static int
read_file(const char *path, char *out, size_t size, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return err_set(err, EXIT_REFUSED, "could not open password file \"%s\": %s", path,
                       strerror(errno));
    if (check_file("password", path, fd, err) != 0) {
        close(fd);
        return -1;
    }
    n = read(fd, out, size);
    close(fd);
    if (n < 0 || (size_t)n >= size)
        return err_set(err, EXIT_REFUSED, "password file \"%s\" is too long", path);
    while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\r'))
        n--;
    out[n] = '\0';
    if (strlen(out) != (size_t)n)
        return err_set(err, EXIT_REFUSED, "password file \"%s\" holds a NUL", path);
    return 0;
}

int
options_password(const struct options *options, char *password, size_t size, struct err *err)
{
    const char *env = getenv("WALPIPE_CH_PASSWORD");

    password[0] = '\0';
    if (options->password_file != NULL) {
        if (read_file(options->password_file, password, size, err) != 0)
            return -1;
    } else if (env != NULL) {
        if ((size_t)snprintf(password, size, "%s", env) >= size)
            return err_set(err, EXIT_REFUSED, "WALPIPE_CH_PASSWORD is too long");
    }
    if (strpbrk(password, "\r\n") != NULL) /* it becomes a line of a header */
        return err_set(err, EXIT_REFUSED, "the ClickHouse password holds a line break");
    return 0;
}

static int
check_readable(const char *what, const char *path, bool secret, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return err_set(err, EXIT_REFUSED, "could not open %s file \"%s\": %s", what, path,
                       strerror(errno));
    rc = secret ? check_file(what, path, fd, err) : 0;
    close(fd);
    return rc;
}

int
options_check_tls(const struct options *o, struct err *err)
{
    bool any = o->ca_file != NULL || o->cert_file != NULL || o->key_file != NULL;

    if (any && strncmp(o->url, "https://", 8) != 0) {
        err_set(err, EXIT_REFUSED, "--ca-file, --cert-file and --key-file need an https URL");
        return err_hint(err, "nothing is encrypted over http; ClickHouse's https_port is for TLS");
    }
    if ((o->cert_file == NULL) != (o->key_file == NULL))
        return err_set(err, EXIT_REFUSED, "--cert-file and --key-file belong together");
    if ((o->ca_file != NULL && check_readable("CA", o->ca_file, false, err) != 0) ||
        (o->cert_file != NULL && (check_readable("certificate", o->cert_file, false, err) != 0 ||
                                  check_readable("key", o->key_file, true, err) != 0)))
        return -1;
    return 0;
}

void
options_free(struct options *options)
{
    free(options->mappings);
}
