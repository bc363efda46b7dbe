/* reloadnote.h: the file DIR/reload, by which walpipe run answers walpipe reload. Its lines are the
 * number of the answer, the outcome, and for a refusal its message and hint. */
#ifndef WALPIPE_RELOADNOTE_H
#define WALPIPE_RELOADNOTE_H

#include "lib/log.h"
#include "walpipe/config.h"

enum reload_outcome {
    RELOAD_APPLIED, /* everything that the file says is in force */
    RELOAD_STARTED, /* the programs are started with the new config, and may still refuse it */
    RELOAD_REFUSED  /* the config before it is in force, because of why */
};

struct reloadnote {
    uint64_t number; /* rises from answer to answer, 0 if there is none */
    enum reload_outcome outcome;
    struct err why;
};

/* Writes the next answer into config's state directory. why is NULL but for a refusal. A failure is
 * logged. */
void reloadnote_write(const struct config *config, enum reload_outcome outcome,
                      const struct err *why, const struct log *log);

/* A file that cannot be read counts as none. */
void reloadnote_read(const struct config *config, struct reloadnote *note);

#endif
