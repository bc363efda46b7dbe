/* slotnote.h: the file DIR/slot, which notes that walpipe makes, or has made, the slot. pg-wal-read
 * writes it before it asks for the slot, so that a crash between the two leaves a trace. Nothing is
 * read from a slot before the note says that it is made.
 *
 * The file is one line: the version 1, the slot, the source's system identifier, "making" or
 * "made", and the digest of the definitions that the source had before the slot was made. */
#ifndef WALPIPE_SLOTNOTE_H
#define WALPIPE_SLOTNOTE_H

#include "lib/base.h"
#include "lib/limits.h"

enum slotnote_state { SLOTNOTE_NONE, SLOTNOTE_MAKING, SLOTNOTE_MADE };

#define SLOTNOTE_DIGEST_MAX 32

struct slotnote {
    enum slotnote_state state; /* SLOTNOTE_NONE without a file, or if it is about another slot */
    char slot[NAME_MAX_BYTES + 1];
    uint64_t system_identifier;
    char digest[SLOTNOTE_DIGEST_MAX + 1];
};

/* Reads the note at path. note has the slot and the system identifier that it must be about, or 0
 * for any system. A malformed file is EXIT_REFUSED. Returns -1 with err. */
int slotnote_read(const char *path, struct slotnote *note, struct err *err) MUST_CHECK;

/* Writes it durably. For SLOTNOTE_NONE it removes the file. Returns -1 with err. */
int slotnote_write(const char *path, const struct slotnote *note, struct err *err) MUST_CHECK;

#endif
