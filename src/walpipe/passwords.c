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

/* ---- two servers, one variable ---- */

static const char shared_variable[] = "WALPIPE_CH_PASSWORD";

/* The variable from which the sink gets its password, NULL if it gets none or has it from a file or
 * from conninfo. */
static const char *
variable_of(struct pool *pool, const struct sink_config *sink)
{
    if (sink->type == SINK_EXEC || sink->password_file != NULL)
        return NULL;
    if (sink->elsewhere != NULL)
        return passwords_variable(pool, sink->name);
    return sink->type == SINK_CH && getenv(shared_variable) != NULL ? shared_variable : NULL;
}

static bool
is_same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static int
refuse_both(const char *a, const char *b, const char *variable, struct err *err)
{
    err_set(err, EXIT_REFUSED, "%s and sink %s would both get the password of %s", a, b, variable);
    return err_hint(err, "give one of them password_file, or the sink another name");
}

/* "a-b" and "a_b" have the same variable, and so have the source and a sink of this name. One
 * server would be sent the password of the other. */
static int
check_variables(struct config *config, struct err *err)
{
    struct pool *pool = &config->pool;
    const char *source = config->source.elsewhere != NULL && config->source.password_file == NULL
                             ? passwords_variable(pool, "source")
                             : NULL;

    for (size_t i = 0; i < config->sinks_count; i++) {
        const struct sink_config *sink = &config->sinks[i];
        const char *own = variable_of(pool, sink);

        if (is_same(own, source))
            return refuse_both("the source", sink->name, own, err);
        for (size_t k = 0; k < i; k++) {
            const struct sink_config *other = &config->sinks[k];
            bool shared =
                sink->type == SINK_CH && other->type == SINK_CH && is_same(own, shared_variable);

            if (!shared && is_same(own, variable_of(pool, other)))
                return refuse_both(pool_print(pool, "sink %s", other->name), sink->name, own, err);
        }
    }
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
    return check_variables(config, err);
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
