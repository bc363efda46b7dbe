/* opt.c: see opt.h. getopt_long() is not used. It prints its own messages, accepts abbreviations
 * (which break when an option is added) and reorders operands. */
#include "lib/opt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

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
    printf("\nExit codes: 0 done; 100 usage, config or a problem that a person must solve; "
           "101 a bug of\nwalpipe; 111 a peer or the system failed, restart. See %s(1).\n",
           program->name);
}

/* Takes digits only. strtoull alone would take spaces and a minus sign. */
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

/* ---- one value into its field ---- */

static int
take_text(const struct opt_spec *spec, const char *value, const char **field, struct err *err)
{
    *field = value;
    if (value[0] == '\0')
        return err_set(err, EXIT_REFUSED, "--%s: the value is empty", spec->name);
    if (spec->type == OPT_LINE && strpbrk(value, "\r\n") != NULL)
        return err_set(err, EXIT_REFUSED, "--%s: the value holds a line break", spec->name);
    return 0;
}

/* "a, b or c" */
static void
list_words(const char *const *words, char *out, size_t size)
{
    size_t at = 0;

    for (size_t i = 0; words[i] != NULL && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s",
                               i == 0                 ? ""
                               : words[i + 1] == NULL ? " or "
                                                      : ", ",
                               words[i]);
}

static int
take_word(const struct opt_spec *spec, const char *value, const char *const *words, int *field,
          struct err *err)
{
    char list[200];

    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], value) == 0) {
            *field = i;
            return 0;
        }
    list_words(words, list, sizeof list);
    return err_set(err, EXIT_REFUSED, "--%s: \"%s\" is not %s", spec->name, value, list);
}

static int
take_level(const struct opt_spec *spec, const char *value, enum log_level *field, struct err *err)
{
    static const char *const words[] = {[LOG_DEBUG] = "debug",
                                        [LOG_INFO] = "info",
                                        [LOG_WARNING] = "warning",
                                        [LOG_ERROR] = "error",
                                        [LOG_ERROR + 1] = NULL};
    int level;

    if (take_word(spec, value, words, &level, err) != 0)
        return -1;
    *field = (enum log_level)level;
    return 0;
}

static int
take(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    void *field = (char *)options + spec->offset;
    char name[64];

    snprintf(name, sizeof name, "--%s", spec->name);
    switch (spec->type) {
    case OPT_FLAG:
        *(bool *)field = true;
        return 0;
    case OPT_TEXT:
    case OPT_LINE:
        return take_text(spec, value, field, err);
    case OPT_NUMBER:
        return opt_number(name, value, spec->min, spec->max, field, err);
    case OPT_DURATION:
        return opt_duration(name, value, field, err);
    case OPT_LEVEL:
        return take_level(spec, value, field, err);
    case OPT_WORD:
        return take_word(spec, value, spec->words, field, err);
    case OPT_CALL:
        break;
    }
    return spec->take(spec, value, options, err);
}

int
opt_prefix(const struct opt_spec *spec, struct err *err)
{
    char message[sizeof err->message];

    snprintf(message, sizeof message, "--%s: %.900s", spec->name, err->message);
    memcpy(err->message, message, sizeof message);
    return -1;
}

/* ---- the command line ---- */

struct parser {
    const struct opt_program *program;
    int argc;
    char **argv;
    int at; /* the next word */
    void *options;
};

static const struct opt_spec *
find(const struct opt_program *program, const char *name, size_t len)
{
    for (size_t i = 0; i < program->specs_count; i++)
        if (strlen(program->specs[i].name) == len && memcmp(program->specs[i].name, name, len) == 0)
            return &program->specs[i];
    return NULL;
}

/* "-c", alone in its word. */
static const struct opt_spec *
find_letter(const struct opt_program *program, const char *word)
{
    for (size_t i = 0; i < program->specs_count && word[1] != '-' && word[2] == '\0'; i++)
        if (program->specs[i].letter == word[1])
            return &program->specs[i];
    return NULL;
}

static const struct opt_spec *
find_option(const struct opt_program *program, const char *word, size_t len)
{
    return len > 2 && word[1] == '-' ? find(program, word + 2, len - 2)
                                     : find_letter(program, word);
}

static int
take_option(struct parser *p, struct err *err)
{
    const char *word = p->argv[p->at++], *equals = strchr(word, '='), *value = NULL;
    size_t len = equals == NULL ? strlen(word) : (size_t)(equals - word);
    const struct opt_spec *spec = find_option(p->program, word, len);

    if (spec == NULL)
        return err_set(err, EXIT_REFUSED, "unknown option \"%.*s\"", (int)len, word);
    if (spec->type == OPT_FLAG && equals != NULL)
        return err_set(err, EXIT_REFUSED, "option --%s takes no value", spec->name);
    if (spec->type != OPT_FLAG) {
        value = equals != NULL ? equals + 1 : p->at < p->argc ? p->argv[p->at++] : NULL;
        if (value == NULL)
            return err_set(err, EXIT_REFUSED, "option --%s needs a value: %s", spec->name,
                           spec->argument);
    }
    return take(spec, value, p->options, err);
}

static int
take_operand(struct parser *p, struct err *err)
{
    const char *word = p->argv[p->at++];

    if (p->program->operand == NULL)
        return err_set(err, EXIT_REFUSED, "unexpected argument \"%s\"", word);
    return p->program->operand(NULL, word, p->options, err);
}

static bool
print_builtin(const struct opt_program *program, const char *word)
{
    if (strcmp(word, "--help") == 0)
        print_help(program);
    else if (strcmp(word, "--version") == 0)
        printf("%s (walpipe) %s\n", program->name, WALPIPE_VERSION);
    else
        return false;
    return true;
}

/* Returns OPT_GO after one word. A lone - is an operand, and so is every word after --. */
static enum opt_status
take_next(struct parser *p, bool *only_operands, struct err *err)
{
    const char *word = p->argv[p->at];
    int rc;

    if (*only_operands || word[0] != '-' || word[1] == '\0') {
        rc = take_operand(p, err);
    } else if (strcmp(word, "--") == 0) {
        *only_operands = true;
        p->at++;
        rc = 0;
    } else if (print_builtin(p->program, word)) {
        return OPT_DONE;
    } else {
        rc = take_option(p, err);
    }
    return rc == 0 ? OPT_GO : OPT_BAD;
}

static int
missing(const struct opt_spec *spec, const void *options, struct err *err)
{
    const char *const *field = (const void *)((const char *)options + spec->offset);

    if (*field != NULL)
        return 0;
    return err_set(err, EXIT_REFUSED, "option --%s is missing", spec->name);
}

static int
say_help(const struct opt_program *program, struct err *err)
{
    if (err->hint[0] == '\0')
        err_hint(err, "see %s --help", program->name);
    return -1;
}

enum opt_status
opt_parse(const struct opt_program *program, int argc, char **argv, void *options, struct err *err)
{
    struct parser p = {.program = program, .argc = argc, .argv = argv, .at = 1, .options = options};
    enum opt_status status = OPT_GO;
    bool only_operands = false;

    while (status == OPT_GO && p.at < argc)
        status = take_next(&p, &only_operands, err);
    for (size_t i = 0; i < program->specs_count && status == OPT_GO; i++)
        if (program->specs[i].required && missing(&program->specs[i], options, err) != 0)
            status = OPT_BAD;
    if (status == OPT_BAD)
        say_help(program, err);
    return status;
}

int
opt_require(const struct opt_program *program, const char *name, const void *options,
            struct err *err)
{
    return missing(find(program, name, strlen(name)), options, err) == 0 ? 0
                                                                         : say_help(program, err);
}
