/* checking.c: see checking.h. */
#include "walpipe/checking.h"

#include <stdio.h>
#include <string.h>

/* Prints a program's lines, with their origin behind the verdict, and counts its verdict. */
static void
relay(struct checking *c, const char *whose, char *output)
{
    char *rest, *line;

    for (line = strtok_r(output, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        enum verdict verdict;
        const char *text = verdict_read(line, &verdict);

        if (text != NULL)
            verdict_say(&c->verdicts, verdict, "%s%s", whose, text);
        else
            printf("      %s%s\n", whose, line);
    }
    fflush(stdout);
}

void
checking_run(struct checking *c, const char *whose, const struct helper *helper)
{
    struct err err = {0};
    bool failed_before = c->verdicts.failed;
    char *output = NULL;
    int code = helper_run(helper, &c->pool, &output, &err);

    if (code < 0) {
        verdict_say(&c->verdicts, VERDICT_FAIL, "%s%s: %s", whose, err.message, err.hint);
        return;
    }
    c->verdicts.failed = false;
    relay(c, whose, output);
    if (code != EXIT_DONE && !c->verdicts.failed)
        verdict_say(&c->verdicts, VERDICT_FAIL,
                    "%s%s --check ended with exit code %d: its own message is in the log", whose,
                    helper->argv[0], code);
    c->verdicts.failed = c->verdicts.failed || failed_before;
}
