/* copydefinition.h: compares two definitions of a table that is copied. events(7) has their words.
 * That of an older walpipe has the first word only. Pure. */
#ifndef WALPIPE_COPYDEFINITION_H
#define WALPIPE_COPYDEFINITION_H

#include <stdbool.h>

/* The same rows and columns are published. */
bool copydefinition_same(const char *a, const char *b);

/* The words behind the first one; NULL in a definition of an older walpipe. */
const char *copydefinition_publishers(const char *definition);

/* Whether all of the table's changes between the two were published. Either an entry that
 * publishes each change is in both, and its publication has the same options all the time, also if
 * its publication was not read before, or all entries of `before` that were read are there still,
 * and are read. True where one of them does not tell. */
bool copydefinition_published(const char *before, const char *now);

/* The same, and the partition was not detached meanwhile. */
bool copydefinition_stayed(const char *before, const char *now);

/* The word of the table's file, or NULL. */
const char *copydefinition_file(const char *definition);

/* Removes it. */
void copydefinition_forget_file(char *definition);

#endif
