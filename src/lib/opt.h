/* opt.h: a program's options as one table with name, type, range, whether the option is required,
 * and the field for its value. --help is made from the table. --help and --version are always
 * there. Every kind of mistake has one wording in all programs.
 *
 *     static const struct opt_spec specs[] = {
 *         {"in", "PATH", "listen here", OPT_TEXT, .offset = offsetof(struct options, in)},
 *         {"once", NULL, "only once", OPT_FLAG, .offset = offsetof(struct options, once)},
 *     };
 *
 * Options are written --name VALUE or --name=VALUE. The last of several wins, except with
 * OPT_CALL. */
#ifndef WALPIPE_OPT_H
#define WALPIPE_OPT_H

#include "lib/base.h"

/* The type of an option's value, and of the field for it. */
enum opt_type {
    OPT_FLAG,     /* no value, sets a bool to true */
    OPT_TEXT,     /* const char *, not empty */
    OPT_LINE,     /* const char *, not empty, without a line break */
    OPT_NUMBER,   /* uint64_t, from min to max */
    OPT_DURATION, /* uint64_t, milliseconds */
    OPT_LEVEL,    /* enum log_level */
    OPT_WORD,     /* an enum, the index into words */
    OPT_CALL      /* take() decides */
};

struct opt_spec;

/* Takes one value of an OPT_CALL option into options, the program's own struct. Returns 0, or -1
 * with err. */
typedef int opt_taker(const struct opt_spec *spec, const char *value, void *options,
                      struct err *err);

struct opt_spec {
    const char *name;     /* without the dashes */
    const char *argument; /* its name in --help, NULL for OPT_FLAG */
    const char *help;
    enum opt_type type;
    size_t offset;            /* of the field in the program's options */
    bool required;            /* must be given, and the field is a pointer */
    char letter;              /* -c VALUE is the same, 0 without a short form */
    uint64_t min, max;        /* OPT_NUMBER */
    const char *const *words; /* of OPT_WORD, with NULL at the end */
    opt_taker *take;          /* OPT_CALL */
};

struct opt_program {
    const char *name;
    const char *usage;   /* the text behind the name, such as "[OPTION]..." */
    const char *purpose; /* one sentence */
    const struct opt_spec *specs;
    size_t specs_count;
    opt_taker *operand; /* takes a word that is no option (spec is NULL), NULL if there are none */
};

enum opt_status {
    OPT_GO,   /* the options are read and complete */
    OPT_DONE, /* --help or --version was printed, so exit with 0 */
    OPT_BAD   /* err is set */
};

/* Reads the command line into options, which already holds the defaults. */
enum opt_status opt_parse(const struct opt_program *program, int argc, char **argv, void *options,
                          struct err *err) MUST_CHECK;

/* Requires an option whose field is a pointer, and that only some uses of a program need. */
int opt_require(const struct opt_program *program, const char *name, const void *options,
                struct err *err) MUST_CHECK;

/* Puts "--NAME: " in front of the message, for a taker whose err does not name the option yet.
 * Returns -1. */
int opt_prefix(const struct opt_spec *spec, struct err *err);

/* A decimal number from min to max, without any other text. */
int opt_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out,
               struct err *err) MUST_CHECK;

/* "200ms", "5s" or "2min", in milliseconds. A bare number is refused. */
int opt_duration(const char *name, const char *text, uint64_t *millis, struct err *err) MUST_CHECK;

#endif
