/* verdict.h: the lines of --check, "ok    ...", "warn  ..." or "FAIL  ...: HINT", one per finding.
 * Every program writes its own. walpipe check reads and forwards those of the others. */
#ifndef WALPIPE_VERDICT_H
#define WALPIPE_VERDICT_H

#include <stdio.h>

#include "lib/base.h"

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL };

/* Set out before use. */
struct verdicts {
    FILE *out;
    bool failed; /* a line was VERDICT_FAIL */
};

/* Writes one line, at once. */
void verdict_say(struct verdicts *verdicts, enum verdict verdict, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Writes a FAIL with err's message and hint. The text `what` comes first, unless it is NULL. */
void verdict_fail(struct verdicts *verdicts, const char *what, const struct err *err);

/* Returns the text of a line behind its verdict, which goes into *verdict. Returns NULL if the line
 * has none. */
const char *verdict_read(const char *line, enum verdict *verdict);

#endif
