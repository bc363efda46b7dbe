/* opt.c: see opt.h. Not getopt_long(): that prints its own messages, accepts abbreviations (which
 * break when an option is added) and reorders operands. */
#include "lib/opt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
print_help(const struct opt_program *program)
{
    printf("usage: %s %s\n%s\n\n", program->name, program->usage, program->purpose);
    for (size_t i = 0; i < program->specs_count; i++) {
        const struct opt_spec *spec = &program->specs[i];
        char left[64];

        snprintf(left, sizeof left, "--%s%s%s", spec->name, spec->argument == NULL ? "" : " ",
                 spec->argument == NULL ? "" : spec->argument);
        printf("  %-28s %s\n", left, spec->help);
    }
    printf("  %-28s %s\n", "--help", "this text");
    printf("  %-28s %s\n", "--version", "the version");
    printf(
        "\nExit codes: 0 done; 100 usage, config or a state only a person can mend; 101 a bug of\n"
        "walpipe's own; 111 a peer or the system failed, restart. See %s(1).\n",
        program->name);
}

static const struct opt_spec *
find(const struct opt_program *program, const char *name, size_t len)
{
    for (size_t i = 0; i < program->specs_count; i++)
        if (strlen(program->specs[i].name) == len && memcmp(program->specs[i].name, name, len) == 0)
            return &program->specs[i];
    return NULL;
}

static int
bad(const struct opt *opt, struct err *err)
{
    err_hint(err, "see %s --help", opt->program->name);
    return OPT_BAD;
}

static int
print_builtin(const struct opt *opt, const char *word)
{
    if (strcmp(word, "--help") == 0)
        print_help(opt->program);
    else if (strcmp(word, "--version") == 0)
        printf("%s (walpipe) %s\n", opt->program->name, WALPIPE_VERSION);
    else
        return 0;
    return OPT_DONE;
}

int
opt_next(struct opt *opt, struct err *err)
{
    const char *word, *equals;
    const struct opt_spec *spec;
    size_t len;

    opt->value = NULL;
    if (opt->at >= opt->argc || opt->argv[opt->at][0] != '-' || opt->argv[opt->at][1] == '\0')
        return OPT_END;
    word = opt->argv[opt->at++];
    if (strcmp(word, "--") == 0)
        return OPT_END;
    if (print_builtin(opt, word) != 0)
        return OPT_DONE;
    equals = strchr(word, '=');
    len = equals == NULL ? strlen(word) : (size_t)(equals - word);
    spec = len < 3 || word[1] != '-' ? NULL : find(opt->program, word + 2, len - 2);
    if (spec == NULL) {
        err_set(err, EXIT_REFUSED, "unknown option \"%.*s\"", (int)len, word);
        return bad(opt, err);
    }
    if (spec->argument == NULL && equals != NULL) {
        err_set(err, EXIT_REFUSED, "option --%s takes no value", spec->name);
        return bad(opt, err);
    }
    if (spec->argument != NULL) {
        opt->value = equals != NULL        ? equals + 1
                     : opt->at < opt->argc ? opt->argv[opt->at++]
                                           : NULL;
        if (opt->value == NULL) {
            err_set(err, EXIT_REFUSED, "option --%s needs a value: %s", spec->name, spec->argument);
            return bad(opt, err);
        }
    }
    return (int)(spec - opt->program->specs);
}

/* Digits only: strtoull alone would take spaces and a minus sign. */
static bool
leading_number(const char *text, char **rest, uint64_t *out)
{
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *out = strtoull(text, rest, 10);
    return errno == 0;
}

int
opt_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out,
           struct err *err)
{
    char *rest;

    if (!leading_number(text, &rest, out) || *rest != '\0' || *out < min || *out > max)
        return err_set(err, EXIT_REFUSED,
                       "%s: \"%s\" is not a whole number from %" PRIu64 " to %" PRIu64, name, text,
                       min, max);
    return 0;
}

int
opt_duration(const char *name, const char *text, uint64_t *millis, struct err *err)
{
    static const struct {
        const char *unit;
        uint64_t millis;
    } units[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}};
    const uint64_t day = UINT64_C(86400000);
    char *rest;

    if (leading_number(text, &rest, millis))
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (strcmp(rest, units[i].unit) == 0 && *millis <= day / units[i].millis) {
                *millis *= units[i].millis;
                return 0;
            }
    return err_set(err, EXIT_REFUSED,
                   "%s: \"%s\" is not a duration like 200ms, 5s or 2min (at most a day)", name,
                   text);
}
