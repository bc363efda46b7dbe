/* ackd_reached.c: the lines of the file reached.
 * links: ackd/reached lib/lsn lib/statefile lib/io lib/sock lib/lockfile lib/clock lib/opt lib/err
 */
#include "ackd/reached.h"
#include "check.h"

/* As ackd writes it, and as an older one did. */
static const char lines[] =
    "7 dst 0/200\nkept 7 dst 0/1F0\n7 kept 0/300\nkept 8 olap 0/400\n7 olap "
    "0/500\n";
static const char old[] = "7 dst 0/200\n7 kept 0/300\n";

int
main(void)
{
    check(reached_find(lines, 7, "dst") == 0x200 && reached_find_kept(lines, 7, "dst") == 0x1f0,
          "both lines of a sink");
    check(reached_find(lines, 7, "kept") == 0x300 && reached_find_kept(lines, 7, "kept") == 0,
          "a sink whose name is kept");
    check(reached_find(lines, 7, "olap") == 0x500 && reached_find_kept(lines, 7, "olap") == 0,
          "a line of another cluster");
    check(reached_find(old, 7, "dst") == 0x200 && reached_find_kept(old, 7, "dst") == 0,
          "a file without positions");
    check(reached_find_kept(NULL, 7, "dst") == 0 && reached_find_kept("kept 7 dst", 7, "dst") == 0,
          "no file, or half a line");
    return check_done();
}
