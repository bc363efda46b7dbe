/* detachnote.h: the file DIR/detached.SINK, by which ackd gives up a sink for the others
 * (docs/design.md, "A detached sink"). ackd writes it before it leaves out the sink, and walpipe
 * removes it when the notes in the target say that every table is copied again. It has these lines:
 *
 *     since=1795747200
 *     lsn=0/1A2B3C4D
 *     why=its target does not answer
 *
 * A file of another form is refused, since the source may lack what the sink's target lacks. */
#ifndef WALPIPE_DETACHNOTE_H
#define WALPIPE_DETACHNOTE_H

#include "lib/base.h"

#define DETACHNOTE_PREFIX "detached."

struct detachnote {
    uint64_t since; /* Unix time, 0 if the sink is not detached */
    uint64_t lsn;   /* how far its target was, as far as ackd knew */
    char why[128];
};

/* Reads the sink's file in the directory. Returns -1 with err. */
int detachnote_read(const char *dir, const char *sink, struct detachnote *note,
                    struct err *err) MUST_CHECK;

/* When these return 0 the file, or its removal, is on disk. */
int detachnote_write(const char *dir, const char *sink, const struct detachnote *note,
                     struct err *err) MUST_CHECK;
int detachnote_remove(const char *dir, const char *sink, struct err *err) MUST_CHECK;

#endif
