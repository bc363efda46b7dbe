/* lib_copydefinition.c: which entries of publications tell that a table was published all the time.
 * links: lib/copydefinition */
#include "lib/copydefinition.h"

#include <string.h>

#include "check.h"

static void
test_storages(void)
{
    static const char old[] = "0123456789abcdef"; /* an older walpipe */
    char toast[] = "aa - 1,  t5.2.ab.0", before[64], now[64];
    static const struct {
        const char *before, *now;
        enum copydefinition_storage expected;
    } storages[] = {
        {"t5.2.ab.0", "t5.2.ab.0", COPYDEFINITION_STORAGE_SAME},
        {"t5.2.ab.0", "t6.2.ab.0", COPYDEFINITION_STORAGE_LOST},
        {"t5.2.ab.0", "t6.3.ab.0", COPYDEFINITION_STORAGE_OTHER},
        {"t5.2.ab.0", "t6.2.ac.0", COPYDEFINITION_STORAGE_OTHER},
        {"t5.2.ab.9", "t6.2.ab.9", COPYDEFINITION_STORAGE_OTHER},
        {"t5.2.ab.9", "t6.2.ac.9", COPYDEFINITION_STORAGE_SAME},
        {"t5.2.ab.9", "t6.3.ab.9", COPYDEFINITION_STORAGE_SAME},
        {"t5.2.ab.9", "t6.2.ab.a", COPYDEFINITION_STORAGE_LOST},
        {"t5.2.ab.9", "t6.2.ab.0", COPYDEFINITION_STORAGE_LOST},
        {"t5.2.ab.0", "t6.2.ab.9", COPYDEFINITION_STORAGE_LOST},
        {"f5.2.ab.0", "f6.2.ab.0", COPYDEFINITION_STORAGE_OTHER},
        {"f5.2.ab.0", "f6.2.ac.0", COPYDEFINITION_STORAGE_OTHER},
        {"f5.2.ab.9", "f6.2.ab.9", COPYDEFINITION_STORAGE_SAME},
        {"f5.2.ab.9", "f6.2.ab.a", COPYDEFINITION_STORAGE_OTHER},
        {"f5.2.ab.0", "t6.2.ac.0", COPYDEFINITION_STORAGE_SAME},
        {"f5.2.ab.0", "t6.2.ab.0", COPYDEFINITION_STORAGE_OTHER},
        {"f5.2.ab.9", "t6.2.ab.9", COPYDEFINITION_STORAGE_SAME},
        {"t5.2.ab.0", "f6.2.ab.0", COPYDEFINITION_STORAGE_OTHER},
        {"t5.2.ab.0", "f6.2.ac.0", COPYDEFINITION_STORAGE_OTHER},
        {"t5.2.ab.9", "f6.2.ab.9", COPYDEFINITION_STORAGE_SAME},
        {"f5", "f6.2.ab.0", COPYDEFINITION_STORAGE_SAME}, /* an older walpipe */
    };

    for (size_t i = 0; i < sizeof storages / sizeof *storages; i++) {
        snprintf(before, sizeof before, "aa - 1,  %s", storages[i].before);
        snprintf(now, sizeof now, "bb - 1,  %s s00000001", storages[i].now);
        check(copydefinition_storage(before, now) == storages[i].expected, "%s, %s",
              storages[i].before, storages[i].now);
    }
    check(copydefinition_storage(old, "aa - 1,  t5.2.ab.0") == COPYDEFINITION_STORAGE_SAME,
          "a definition without a storage");
    check(copydefinition_refiled("aa - 1,  f5.2.ab.0", "aa - 1,  f6.2.ab.0") &&
              !copydefinition_refiled("aa - 1,  f5.2.ab.0", "aa - 1,  f5.2.ab.0 s00000001") &&
              !copydefinition_refiled("aa - 1,  t5.2.ab.0", "aa - 1,  t6.2.ab.0") &&
              !copydefinition_refiled("aa - 1, ", "aa - 1,  f6.2.ab.0"),
          "another file");
    check(copydefinition_stayed("aa - 1,  f5.2.ab.0", "aa - 1,  f6.2.ab.0") &&
              !copydefinition_stayed("aa - 1,  f5.2.ab.0", "aa - 2,  f5.2.ab.0"),
          "the storage is no entry");
    check(!copydefinition_forget_file(toast) && strcmp(toast, "aa - 1,  t5.2.ab.0") == 0,
          "a TRUNCATE keeps the TOAST table");
}

int
main(void)
{
    char filed[64] = "aa - 1, 2, f5.2.ab.0";
    static const char old[] = "0123456789abcdef"; /* an older walpipe */

    check(copydefinition_same("aa - 1,2, 3,", "aa - 1,  "),
          "the same rows and columns, whoever publishes them");
    check(copydefinition_same("aa", "aa - 1, "),
          "the same rows and columns, whoever publishes them");
    check(!copydefinition_same("aa - 1, ", "ab - 1, "),
          "the same rows and columns, whoever publishes them");
    check(!copydefinition_same("aa", "aab - 1, "),
          "the same rows and columns, whoever publishes them");
    check(copydefinition_publishers(old) == NULL,
          "the same rows and columns, whoever publishes them");
    check(strcmp(copydefinition_publishers("aa - 1, 2,"), "- 1, 2,") == 0,
          "the same rows and columns, whoever publishes them");

    check(copydefinition_stayed("aa - 1,2, ", "aa - 2,3, "),
          "an entry that publishes each change was there all the time");
    check(
        copydefinition_stayed("aa - 1, 2,", "aa - 2, 1,"),
        "an entry that publishes each change was there all the time"); /* it was not read before */
    check(!copydefinition_stayed("aa - 1, ", "aa - 2, "),
          "an entry that publishes each change was there all the time");
    check(
        !copydefinition_stayed("aa - 1, ", "aa - 2, 1,"),
        "an entry that publishes each change was there all the time"); /* it is not read any more */
    check(!copydefinition_stayed("aa - 12, ", "aa - 1, "),
          "an entry that publishes each change was there all the time");
    check(!copydefinition_stayed("aa - 1, ", "aa -  "),
          "an entry that publishes each change was there all the time");

    check(!copydefinition_stayed("aa - 1,~2, ", "aa - 3,~2, "),
          "one that publishes a part of them tells nothing alone");
    check(!copydefinition_stayed("aa - 1,2, ", "aa - 3,~2, "),
          "one that publishes a part of them tells nothing alone");
    check(!copydefinition_stayed("aa - 1,~2, ", "aa - 3,2, "),
          "one that publishes a part of them tells nothing alone");
    check(copydefinition_stayed("aa - ~1,~2, ", "aa - ~1,~2,3, "),
          "one that publishes a part of them tells nothing alone");
    check(copydefinition_stayed("aa - ~1, ", "ab - 1, "),
          "the first word tells that an entry publishes other rows");
    check(!copydefinition_stayed("aa - ~1,~2, ", "aa - ~2, "),
          "one that publishes a part of them tells nothing alone");

    check(copydefinition_stayed("aa cc 1, ", "aa cc 1, "),
          "a partition that was attached all the time");
    check(!copydefinition_stayed("aa cc 1, ", "aa dd 1, "),
          "a partition that was attached all the time");
    check(copydefinition_published("aa cc 1, ", "aa dd 1, "),
          "a partition that was attached all the time");
    check(copydefinition_stayed("aa cc 1, ", "aa - 1, "),
          "a partition that was attached all the time");

    check(copydefinition_stayed("aa - 1.5.a, ", "ab - 1.5.a, "),
          "a publication whose options stayed");
    check(!copydefinition_stayed("aa - 1.5.a, ", "ab - 1.6.a, "),
          "a publication whose options changed");
    check(copydefinition_stayed("aa - 1.5.a, ", "ab - 1.6.b, "), "one with another owner or name");
    check(!copydefinition_stayed("aa - 1.5.a,~2.5.b, ", "ab - 1.6.a,~2.5.b, "),
          "one that publishes a part of them tells nothing alone");
    check(copydefinition_stayed("aa - 1.5.a,2.5.b, ", "ab - 1.6.a,2.5.b, "),
          "another one publishes each change");
    check(copydefinition_stayed("aa - 1.5.a.7, ", "aa - 1.5.a.7, "),
          "a table that stayed in its schema");
    check(!copydefinition_stayed("aa - 1.5.a.7, ", "aa - 1.5.a.8, "),
          "a table that left its schema");
    check(!copydefinition_stayed("aa - 1.5.a.7, ", "aa - 1.6.b.8, "),
          "a table that left its schema");
    check(copydefinition_stayed("aa - 1, ", "aa - 1.6.b.8, ") &&
              copydefinition_stayed("aa - 1.5.a, ", "aa - 1, "),
          "an entry of an older walpipe does not tell");
    check(!copydefinition_stayed("aa - 1, ", "aa - 11.6.b, "),
          "an entry of an older walpipe does not tell");

    check(copydefinition_stayed(old, "aa - 1, "), "a definition of an older walpipe does not tell");
    check(copydefinition_stayed("aa - 1, ", old), "a definition of an older walpipe does not tell");
    check(copydefinition_stayed("", "aa - 1, "), "a definition of an older walpipe does not tell");

    test_storages();
    copydefinition_add_read(filed, sizeof filed, "00000001");
    check(strcmp(filed, "aa - 1, 2, f5.2.ab.0 s00000001") == 0, "the publications: \"%s\"", filed);
    check(copydefinition_begin_read(filed, "00000001") == COPYDEFINITION_READ_SAME &&
              copydefinition_begin_read(filed, "00000002") == COPYDEFINITION_READ_OTHER &&
              strcmp(filed, "aa - 1, 2, f5.2.ab.0 u00000002") == 0 &&
              copydefinition_begin_read(filed, "00000002") == COPYDEFINITION_READ_SAME &&
              copydefinition_begin_read(filed, "00000001") == COPYDEFINITION_READ_LOST,
          "other publications are read: \"%s\"", filed);
    check(copydefinition_forget_file(filed) && !copydefinition_forget_file(filed),
          "it is forgotten");
    check(strcmp(filed, "aa - 1, 2, u00000002") == 0, "the file is forgotten: \"%s\"", filed);

    return check_done();
}
