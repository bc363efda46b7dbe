/* verdict.c: see verdict.h. */
#include "lib/verdict.h"

#include <stdarg.h>
#include <string.h>

static const char *const words[] = {
    [VERDICT_OK] = "ok    ", [VERDICT_WARN] = "warn  ", [VERDICT_FAIL] = "FAIL  "};

void
verdict_say(struct verdicts *verdicts, enum verdict verdict, const char *fmt, ...)
{
    va_list ap;

    fputs(words[verdict], verdicts->out);
    va_start(ap, fmt);
    vfprintf(verdicts->out, fmt, ap);
    va_end(ap);
    fputc('\n', verdicts->out);
    fflush(verdicts->out);
    verdicts->failed = verdicts->failed || verdict == VERDICT_FAIL;
}

void
verdict_fail(struct verdicts *verdicts, const char *what, const struct err *err)
{
    verdict_say(verdicts, VERDICT_FAIL, "%s%s%s%s%s", what == NULL ? "" : what,
                what == NULL ? "" : ": ", err->message, err->hint[0] == '\0' ? "" : ": ",
                err->hint);
}

const char *
verdict_read(const char *line, enum verdict *verdict)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(line, words[i], strlen(words[i])) == 0) {
            *verdict = (enum verdict)i;
            return line + strlen(words[i]);
        }
    return NULL;
}
