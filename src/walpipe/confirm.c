/* confirm.c: see confirm.h. */
#include "walpipe/confirm.h"

#include <stdio.h>
#include <string.h>

bool
confirm(const char *question, const char *declined)
{
    char line[16] = "";

    printf("%s [y/N] ", question);
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL)
        putchar('\n');
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, "y") == 0 || strcmp(line, "yes") == 0)
        return true;
    puts(declined);
    return false;
}
