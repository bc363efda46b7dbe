/* lib/opt: options, numbers and durations; what is malformed is refused, never read as zero.
 * links: lib/opt lib/err */
#include "lib/opt.h"

#include <string.h>

#include "check.h"

static const struct opt_spec specs[] = {{"in", "PATH", "x"}, {"once", NULL, "y"}};
static const struct opt_program program = {
    .name = "prog", .usage = "", .purpose = "", .specs = specs, .specs_count = 2};

static struct opt
words(int argc, char **argv)
{
    return (struct opt){.program = &program, .argc = argc, .argv = argv, .at = 1};
}

static void
test_options(void)
{
    char *argv[] = {"prog", "--in", "a", "--once", "--in=b=c", "--in=", "--", "--in", NULL};
    struct opt opt = words(8, argv);
    struct err err = {0};

    check(opt_next(&opt, &err) == 0 && strcmp(opt.value, "a") == 0, "--in a");
    check(opt_next(&opt, &err) == 1 && opt.value == NULL, "--once");
    check(opt_next(&opt, &err) == 0 && strcmp(opt.value, "b=c") == 0, "--in=b=c");
    check(opt_next(&opt, &err) == 0 && opt.value[0] == '\0', "--in=");
    check(opt_next(&opt, &err) == OPT_END && opt.at == 7, "-- ends the options");
}

static void
check_bad(char *word, const char *part)
{
    char *argv[] = {"prog", word, NULL};
    struct opt opt = words(2, argv);
    struct err err = {0};

    check(opt_next(&opt, &err) == OPT_BAD && err.code == EXIT_REFUSED &&
              strstr(err.message, part) != NULL && err.hint[0] != '\0',
          "%s: %s", word, err.message);
}

static void
test_operands(void)
{
    char *argv[] = {"prog", "file", NULL};
    char *dash[] = {"prog", "-", NULL};
    struct opt opt = words(2, argv);
    struct err err = {0};

    check(opt_next(&opt, &err) == OPT_END && opt.at == 1, "an operand ends the options");
    opt = words(2, dash);
    check(opt_next(&opt, &err) == OPT_END && opt.at == 1, "so does -");
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
    test_options();
    check_bad("--nosuch", "unknown option \"--nosuch\"");
    check_bad("--i", "unknown option");
    check_bad("-in", "unknown option");
    check_bad("--once=1", "takes no value");
    check_bad("--in", "needs a value");
    test_operands();
    test_numbers();
    test_durations();
    return check_done();
}
