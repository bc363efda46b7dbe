/* lib_opt.c: options, numbers and durations. Malformed ones are refused, never read as zero.
 * links: lib/opt lib/err */
#include "lib/opt.h"

#include <string.h>

#include "check.h"
#include "lib/log.h"

struct options {
    const char *in;
    const char *line;
    bool once;
    uint64_t rows;
    uint64_t millis;
    enum log_level level;
    int colour;
    char taken[32];
    char operands[32];
};

static int
collect(const struct opt_spec *spec, const char *value, void *options, struct err *err)
{
    struct options *o = options;
    char *out = spec == NULL ? o->operands : o->taken;

    if (strcmp(value, "bad") == 0)
        return err_set(err, EXIT_REFUSED, "that is bad");
    strncat(out, value, 8);
    return 0;
}

static const char *const colours[] = {"red", "green", "blue", NULL};

static const struct opt_spec specs[] = {
    {"in", "PATH", "x", OPT_TEXT, .offset = offsetof(struct options, in), .letter = 'i',
     .required = true},
    {"line", "LINE", "x", OPT_LINE, .offset = offsetof(struct options, line)},
    {"once", NULL, "x", OPT_FLAG, .offset = offsetof(struct options, once)},
    {"rows", "N", "x", OPT_NUMBER, .offset = offsetof(struct options, rows), .min = 1, .max = 10},
    {"wait", "TIME", "x", OPT_DURATION, .offset = offsetof(struct options, millis)},
    {"log-level", "LEVEL", "x", OPT_LEVEL, .offset = offsetof(struct options, level)},
    {"colour", "WORD", "x", OPT_WORD, .offset = offsetof(struct options, colour), .words = colours},
    {"take", "X", "x", OPT_CALL, .take = collect},
};
static const struct opt_program program = {.name = "prog",
                                           .usage = "",
                                           .purpose = "",
                                           .specs = specs,
                                           .specs_count = sizeof specs / sizeof *specs};

/* Reads words, which NULL ends. */
static enum opt_status
parse(const struct opt_program *of, const char *const *words, struct options *options,
      struct err *err)
{
    char *argv[24] = {"prog"};
    int argc = 1;

    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)words[argc - 1];
    *err = (struct err){0};
    *options = (struct options){.level = LOG_INFO};
    return opt_parse(of, argc, argv, options, err);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
test_values(void)
{
    struct options o;
    struct err err;

    check(parse(&program,
                WORDS("--in", "a", "--once", "--in=b=c", "--rows=10", "--wait", "2s", "--log-level",
                      "error", "--colour", "blue", "--take", "x", "--take=y", "--line", "l"),
                &o, &err) == OPT_GO,
          "every type: %s", err.message);
    check(strcmp(o.in, "b=c") == 0 && o.once && o.rows == 10 && o.millis == 2000 &&
              o.level == LOG_ERROR && o.colour == 2 && strcmp(o.taken, "xy") == 0 &&
              strcmp(o.line, "l") == 0,
          "the values; of two the last one");
    check(parse(&program, WORDS("-i", "a"), &o, &err) == OPT_GO && strcmp(o.in, "a") == 0 &&
              !o.once && o.level == LOG_INFO,
          "a letter; what is not given stays");
    check(parse(&program, WORDS("--in", "--once"), &o, &err) == OPT_GO &&
              strcmp(o.in, "--once") == 0,
          "a value may begin with dashes");
}

static void
check_bad(const char *const *words, const char *message)
{
    struct options o;
    struct err err;

    check(parse(&program, words, &o, &err) == OPT_BAD && err.code == EXIT_REFUSED &&
              strcmp(err.message, message) == 0 && strcmp(err.hint, "see prog --help") == 0,
          "expected \"%s\", not \"%s\", \"%s\"", message, err.message, err.hint);
}

static void
test_mistakes(void)
{
    check_bad(WORDS("--nosuch"), "unknown option \"--nosuch\"");
    check_bad(WORDS("--nosuch=1"), "unknown option \"--nosuch\"");
    check_bad(WORDS("--i", "a"), "unknown option \"--i\"");
    check_bad(WORDS("-in", "a"), "unknown option \"-in\"");
    check_bad(WORDS("-x"), "unknown option \"-x\"");
    check_bad(WORDS("--once=1"), "option --once takes no value");
    check_bad(WORDS("--in"), "option --in needs a value: PATH");
    check_bad(WORDS("--in", ""), "--in: the value is empty");
    check_bad(WORDS("--in="), "--in: the value is empty");
    check_bad(WORDS("--line", "a\nb"), "--line: the value holds a line break");
    check_bad(WORDS("--rows", "11"), "--rows: \"11\" is not a whole number from 1 to 10");
    check_bad(WORDS("--wait", "5"),
              "--wait: \"5\" is not a duration like 200ms, 5s or 2min (at most a day)");
    check_bad(WORDS("--log-level", "loud"),
              "--log-level: \"loud\" is not debug, info, warning or error");
    check_bad(WORDS("--colour", "gre"), "--colour: \"gre\" is not red, green or blue");
    check_bad(WORDS("--take", "bad"), "that is bad");
    check_bad(WORDS("--once"), "option --in is missing");
    check_bad(WORDS("--in", "a", "file"), "unexpected argument \"file\"");
    check_bad(WORDS("--in", "a", "-"), "unexpected argument \"-\"");
    check_bad(WORDS("--in", "a", "--", "--once"), "unexpected argument \"--once\"");
}

static void
test_operands(void)
{
    struct opt_program with = program;
    struct options o;
    struct err err;

    with.operand = collect;
    check(parse(&with, WORDS("a", "--in", "x", "-", "b", "--", "--in"), &o, &err) == OPT_GO &&
              strcmp(o.operands, "a-b--in") == 0,
          "operands and options in any order; all is one behind --");
    check(parse(&with, WORDS("--in", "x", "bad"), &o, &err) == OPT_BAD, "an operand is refused");
}

static void
test_require(void)
{
    struct options o = {.in = "x"};
    struct err err = {0};

    check(opt_require(&program, "in", &o, &err) == 0, "it is there");
    check(opt_require(&program, "line", &o, &err) == -1 &&
              strcmp(err.message, "option --line is missing") == 0 &&
              strcmp(err.hint, "see prog --help") == 0,
          "it is not");
}

static bool
number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    struct err err = {0};

    return opt_number("--n", text, min, max, out, &err) == 0;
}

static void
test_numbers(void)
{
    static const char *const bad[] = {"",   " 1",  "1 ",  "-1",  "+1",
                                      "1x", "0x1", "1.0", "1e3", "18446744073709551616"};
    uint64_t n = 0;

    check(number("1", 1, 10, &n) && n == 1, "the smallest");
    check(number("10", 1, 10, &n) && n == 10, "the largest");
    check(!number("0", 1, 10, &n) && !number("11", 1, 10, &n), "one beyond either");
    check(number("18446744073709551615", 0, UINT64_MAX, &n) && n == UINT64_MAX, "2^64 - 1");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check(!number(bad[i], 0, UINT64_MAX, &n), "\"%s\" is no number", bad[i]);
}

static bool
duration(const char *text, uint64_t *out)
{
    struct err err = {0};

    return opt_duration("--d", text, out, &err) == 0;
}

static void
test_durations(void)
{
    static const char *const bad[] = {
        "", "5", "s", "5h", "-5s", "5 s", "1441min", "99999999999s", "86400001ms"};
    uint64_t n = 0;

    check(duration("200ms", &n) && n == 200, "200ms");
    check(duration("5s", &n) && n == 5000, "5s");
    check(duration("2min", &n) && n == 120000, "2min");
    check(duration("1440min", &n) && n == 86400000, "a day");
    check(duration("0ms", &n) && n == 0, "none");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check(!duration(bad[i], &n), "\"%s\" is no duration", bad[i]);
}

int
main(void)
{
    test_values();
    test_mistakes();
    test_operands();
    test_require();
    test_numbers();
    test_durations();
    return check_done();
}
