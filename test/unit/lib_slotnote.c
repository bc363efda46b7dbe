/* lib_slotnote.c: the note about the slot there and back, about another slot or system, and every
 * shortened form of it.
 * links: lib/slotnote lib/statefile lib/io lib/sock lib/lockfile lib/clock lib/opt lib/err */
#include "lib/slotnote.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

#define DIGEST "0123456789abcdef0123456789abcdef"

static char path[64];

static enum slotnote_state
read_for(const char *slot, uint64_t system)
{
    struct slotnote note = {.system_identifier = system};
    struct err err = {0};

    snprintf(note.slot, sizeof note.slot, "%s", slot);
    if (slotnote_read(path, &note, &err) != 0)
        return (enum slotnote_state) - 1;
    return note.state;
}

static void
there_and_back(void)
{
    struct slotnote note = {.state = SLOTNOTE_MAKING,
                            .slot = "orders",
                            .system_identifier = UINT64_MAX,
                            .digest = DIGEST};
    struct slotnote read = {.slot = "orders", .system_identifier = UINT64_MAX};
    struct err err = {0};

    check(read_for("orders", 0) == SLOTNOTE_NONE, "no file");
    check(slotnote_write(path, &note, &err) == 0, "written: %s", err.message);
    check(slotnote_read(path, &read, &err) == 0 && read.state == SLOTNOTE_MAKING &&
              strcmp(read.digest, DIGEST) == 0,
          "read again");
    check(read_for("orders", 0) == SLOTNOTE_MAKING, "of any system");
    check(read_for("orders", 1) == SLOTNOTE_NONE, "of another system");
    check(read_for("order", UINT64_MAX) == SLOTNOTE_NONE, "of another slot");
    note.state = SLOTNOTE_MADE;
    check(slotnote_write(path, &note, &err) == 0 && read_for("orders", UINT64_MAX) == SLOTNOTE_MADE,
          "made");
    note.state = SLOTNOTE_NONE;
    check(slotnote_write(path, &note, &err) == 0 && access(path, F_OK) != 0, "removed");
    check(slotnote_write(path, &note, &err) == 0, "removed again");
}

static bool
refuses_part(const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool written = fd >= 0 && write(fd, text, len) == (ssize_t)len;

    close(fd);
    return written && read_for("s", 0) == (enum slotnote_state) - 1;
}

static bool
refuses(const char *text)
{
    return refuses_part(text, strlen(text));
}

static void
malformed(void)
{
    static const char whole[] = "1 s 7 made " DIGEST "\n";
    size_t accepted = 0;

    for (size_t len = 0; len < strlen(whole); len++)
        accepted += !refuses_part(whole, len);
    check(accepted == 0, "every shortened note is refused");
    check(refuses("2 s 7 made " DIGEST "\n"), "another version");
    check(refuses("1 s 7 done " DIGEST "\n"), "another state");
    check(refuses("1 s 7 made " DIGEST "\n\n"), "more behind it");
    check(refuses(""), "an empty file");
}

int
main(void)
{
    char dir[] = "/tmp/slotnote.XXXXXX";

    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/slot", dir);
    there_and_back();
    malformed();
    unlink(path);
    rmdir(dir);
    return check_done();
}
