/* lib_lsn.c: an LSN as text, both ways.
 * links: lib/lsn */
#include <string.h>

#include "lib/lsn.h"

#include "check.h"

static void
test_lsn(void)
{
    static const char *const bad[] = {"",      "0",           "/0",   "0/",
                                      "0/0 ",  " 0/0",        "0/g",  "123456789/0",
                                      "0/0/0", "0/123456789", "-1/0", "0x1/0"};
    uint64_t lsn = 0;

    check(strcmp(lsn_format(UINT64_C(0x16B374D848)).text, "16/B374D848") == 0, "as the server's");
    check(strcmp(lsn_format(0).text, "0/0") == 0, "zero");
    check(strcmp(lsn_format(UINT64_MAX).text, "FFFFFFFF/FFFFFFFF") == 0, "the longest");
    check(lsn_parse("16/b374D848", &lsn) && lsn == UINT64_C(0x16B374D848), "either case is read");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check(!lsn_parse(bad[i], &lsn), "\"%s\" is no LSN", bad[i]);
}

int
main(void)
{
    test_lsn();
    return check_done();
}
