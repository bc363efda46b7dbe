/* print.h: walpipe print, which writes the pipeline as a shell script that does the same as run,
 * once. */
#ifndef WALPIPE_PRINT_H
#define WALPIPE_PRINT_H

#include <stdio.h>

#include "walpipe/plan.h"

/* Writes the script to out. */
void print_script(const struct config *config, const struct plan *plan, const char *programs,
                  FILE *out);

#endif
