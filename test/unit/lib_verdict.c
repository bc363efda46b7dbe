/* lib_verdict.c: the lines of --check, written and read again.
 * links: lib/verdict lib/err */
#include "lib/verdict.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

static void
test_lines(void)
{
    struct verdicts v = {0};
    struct err err = {.message = "could not x", .hint = "do y"};
    char *text = NULL;
    size_t size;

    v.out = open_memstream(&text, &size);
    verdict_say(&v, VERDICT_OK, "table %s", "a.b");
    verdict_say(&v, VERDICT_WARN, "slower");
    check(!v.failed, "a warning is no failure");
    verdict_fail(&v, NULL, &err);
    check(v.failed, "a failure is");
    err.hint[0] = '\0';
    verdict_fail(&v, "source", &err);
    fclose(v.out);
    check(strcmp(text, "ok    table a.b\nwarn  slower\nFAIL  could not x: do y\n"
                       "FAIL  source: could not x\n") == 0,
          "the lines");
    free(text);
}

static void
test_reading(void)
{
    enum verdict verdict = VERDICT_OK;

    check(strcmp(verdict_read("FAIL  x", &verdict), "x") == 0 && verdict == VERDICT_FAIL, "FAIL");
    check(strcmp(verdict_read("ok    ", &verdict), "") == 0 && verdict == VERDICT_OK, "ok");
    check(strcmp(verdict_read("warn   x", &verdict), " x") == 0 && verdict == VERDICT_WARN, "warn");
    check(verdict_read("FAIL x", &verdict) == NULL && verdict_read("", &verdict) == NULL &&
              verdict_read("okay  x", &verdict) == NULL,
          "anything else is none");
}

int
main(void)
{
    test_lines();
    test_reading();
    return check_done();
}
