/* opt.h: long options from one table, which also makes --help; --help and --version are implied. */
#ifndef WALPIPE_OPT_H
#define WALPIPE_OPT_H

#include "lib/base.h"

struct opt_spec {
    const char *name;     /* without the dashes */
    const char *argument; /* its name in --help; NULL: the option takes none */
    const char *help;
};

struct opt_program {
    const char *name;
    const char *usage;   /* what follows the name: "[OPTION]..." */
    const char *purpose; /* one sentence */
    const struct opt_spec *specs;
    size_t specs_count;
};

struct opt {
    const struct opt_program *program;
    int argc;
    char **argv;
    int at;            /* the next word to look at; start with 1 */
    const char *value; /* of the option last returned; NULL where it takes none */
};

enum {
    OPT_END = -1,  /* argv[at] is the first operand, if at < argc */
    OPT_DONE = -2, /* --help or --version was printed: exit 0 */
    OPT_BAD = -3   /* err is set */
};

/* The index into specs of the next option, or one of the above. --name=value and --name value. */
int opt_next(struct opt *opt, struct err *err) MUST_CHECK;

/* A decimal number from min to max, and nothing else. */
int opt_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out,
               struct err *err) MUST_CHECK;

/* "200ms", "5s", "2min"; a bare number is refused. In milliseconds. */
int opt_duration(const char *name, const char *text, uint64_t *millis, struct err *err) MUST_CHECK;

#endif
