/* secrets.c: see secrets.h. */
#include "sink-ch/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/secretfile.h"

int
secrets_password(const struct options *options, char *password, size_t size, struct err *err)
{
    const char *env = getenv("WALPIPE_CH_PASSWORD");

    password[0] = '\0';
    if (options->password_file != NULL) {
        if (secretfile_read("password", options->password_file, password, size, err) != 0)
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
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;

    if (fd < 0)
        return err_set(err, EXIT_REFUSED, "could not open %s file \"%s\": %s", what, path,
                       strerror(errno));
    rc = secret ? secretfile_check(what, path, fd, err) : 0;
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
