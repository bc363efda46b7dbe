/* secrets.c: see secrets.h. */
#include "sink-ch/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* `what` is "password" or "key". */
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
secrets_password(const struct options *options, char *password, size_t size, struct err *err)
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
secrets_check_tls(const struct options *o, struct err *err)
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
