/* sourceopt.c: see sourceopt.h. */
#include "lib/sourceopt.h"

#include "lib/names.h"
#include "lib/pqx.h"

static void *
field(const struct opt_spec *spec, void *options)
{
    return (char *)options + spec->offset;
}

int
sourceopt_conninfo(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    *(const char **)field(spec, options) = value;
    return pqx_refuse_password(value, err);
}

int
sourceopt_publications(const struct opt_spec *spec, const char *value, void *options,
                       struct err *err)
{
    struct sourceopt_publications *list = field(spec, options);
    const char *at = value;

    while (at != NULL) {
        if (list->count == PUBLICATIONS_MAX)
            return err_set(err, EXIT_REFUSED, "--%s: more than %d publications", spec->name,
                           PUBLICATIONS_MAX);
        if (names_next(&at, list->names[list->count], err) != 0)
            return opt_prefix(spec, err);
        list->count++;
    }
    return 0;
}
