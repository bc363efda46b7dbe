/* passwords.c: see passwords.h. */
#include "walpipe/passwords.h"

#include <stdlib.h>
#include <string.h>

#include "lib/secretfile.h"

const char *
passwords_variable(struct pool *pool, const char *owner)
{
    char *name = pool_print(pool, "WALPIPE_%s_PASSWORD", owner);

    for (char *c = name; *c != '\0'; c++) {
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
        if (*c == '-')
            *c = '_';
    }
    return name;
}

static int
choose(struct pool *pool, const char *owner, const char *file, const char **password,
       char **elsewhere, struct err *err)
{
    const char *variable = passwords_variable(pool, owner), *value = getenv(variable);

    if (*password != NULL && file != NULL) {
        err_set(err, EXIT_REFUSED, "%s has a password in conninfo and a password_file", owner);
        return err_hint(err, "remove one of them");
    }
    if (*password != NULL || (file == NULL && value == NULL))
        return 0;
    if (file == NULL && strlen(value) >= SECRETFILE_MAX)
        return err_set(err, EXIT_REFUSED, "%s is too long", variable);
    *elsewhere = pool_take(pool, SECRETFILE_MAX);
    *password = *elsewhere;
    if (file == NULL)
        memcpy(*elsewhere, value, strlen(value) + 1);
    return 0;
}

int
passwords_choose(struct config *config, struct err *err)
{
    struct source_config *source = &config->source;

    if (choose(&config->pool, "source", source->password_file, &source->password,
               &source->elsewhere, err) != 0)
        return -1;
    for (size_t i = 0; i < config->sinks_count; i++) {
        struct sink_config *sink = &config->sinks[i];

        /* sink-ch reads a file itself, and then takes no variable */
        if (sink->type == SINK_EXEC || (sink->type == SINK_CH && sink->password_file != NULL))
            continue;
        if (choose(&config->pool, sink->name, sink->password_file, &sink->password,
                   &sink->elsewhere, err) != 0)
            return -1;
    }
    return 0;
}

static int
read_again(const char *file, char *password, struct err *err)
{
    return file == NULL || password == NULL
               ? 0
               : secretfile_read("password", file, password, SECRETFILE_MAX, err);
}

int
passwords_read(const struct config *config, struct err *err)
{
    if (read_again(config->source.password_file, config->source.elsewhere, err) != 0)
        return -1;
    for (size_t i = 0; i < config->sinks_count; i++)
        if (read_again(config->sinks[i].password_file, config->sinks[i].elsewhere, err) != 0)
            return -1;
    return 0;
}
