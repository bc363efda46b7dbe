/* copydefinition.h: compares two definitions of a table that is copied. events(7) has their words.
 * That of an older walpipe has the first word only. Pure. */
#ifndef WALPIPE_COPYDEFINITION_H
#define WALPIPE_COPYDEFINITION_H

#include <stdbool.h>
#include <stddef.h>

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

/* ---- the table's storage ---- */

/* SET UNLOGGED and SET LOGGED give a table another TOAST table, which VACUUM FULL, CLUSTER, SET
 * TABLESPACE and TRUNCATE keep. A table without TOAST tells only by its file, which all of these
 * give it. A table with an entry of its own in a publication cannot become unlogged. */
enum copydefinition_storage {
    COPYDEFINITION_STORAGE_SAME,  /* or one of them does not tell, or nothing can be lost */
    COPYDEFINITION_STORAGE_OTHER, /* it may have been unlogged, but something else is as likely */
    COPYDEFINITION_STORAGE_LOST   /* it was unlogged, or ALTER TABLE has changed its values */
};

enum copydefinition_storage copydefinition_storage(const char *before, const char *now);

/* Both have the word of a table without TOAST, and its file is another one. */
bool copydefinition_refiled(const char *before, const char *now);

/* A TRUNCATE gave the table another file. Removes the word of a table without TOAST. False: there
 * was none. */
bool copydefinition_forget_file(char *definition);

/* ---- the publications that a run reads ---- */

/* The last word of a note names the publications that were read when a list had the table. It is a
 * letter and COPYDEFINITION_READ_LEN digits. */
#define COPYDEFINITION_READ_LEN 8

enum copydefinition_read {
    COPYDEFINITION_READ_SAME,  /* or the note lacks the word */
    COPYDEFINITION_READ_OTHER, /* the note says so from now on */
    COPYDEFINITION_READ_LOST   /* others were read meanwhile, and no list came */
};

/* Adds the word to a list's definition, if that has the others and there is room. */
void copydefinition_add_read(char *definition, size_t size, const char *publications);

/* A run begins that reads these publications. */
enum copydefinition_read copydefinition_begin_read(char *definition, const char *publications);

#endif
