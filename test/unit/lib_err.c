/* lib_err.c: messages and hints that are too long.
 * links: lib/err */
#include <stdlib.h>
#include <string.h>

#include "lib/base.h"

#include "check.h"

static void
test_err(void)
{
    struct err err;
    char *huge = malloc(5001);

    if (huge == NULL)
        abort();
    memset(huge, 'm', 5000);
    huge[5000] = '\0';
    err_hint(&err, "an old hint");
    check(err_set(&err, EXIT_PEER, "%s", huge) == -1 && err.code == EXIT_PEER &&
              strlen(err.message) == sizeof err.message - 1,
          "a message too long is cut");
    check(err.hint[0] == '\0', "err_set forgets the hint that was there");
    check(err_hint(&err, "%s", huge) == -1 && strlen(err.hint) == sizeof err.hint - 1,
          "and so is a hint");
    free(huge);
}

int
main(void)
{
    test_err();
    return check_done();
}
