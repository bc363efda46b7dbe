/* compare.h: walpipe compare. Compares the published tables with those of the targets, while both
 * change (docs/design.md). */
#ifndef WALPIPE_COMPARE_COMPARE_H
#define WALPIPE_COMPARE_COMPARE_H

#include "walpipe/compare/comparing.h"

/* The exit codes beside those of base.h. */
enum { COMPARE_DIFFERENT = 1, COMPARE_NOT = 2 };

/* Returns EXIT_DONE if everything was compared and is equal, COMPARE_DIFFERENT if something
 * differs, COMPARE_NOT if something could not be compared, or the code of a failure. */
int compare_run(const struct config *config, const struct log *log,
                const struct compare_request *request);

#endif
