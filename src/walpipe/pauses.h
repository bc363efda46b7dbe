/* pauses.h: the sinks that are set aside. A detached sink has the file of detachnote.h. A sink that
 * walpipe pause has set aside has a file paused.SINK in the state directory. walpipe run reads both
 * before each start of the programs. The second one has these lines:
 *
 *     since=1795747200
 *     by=root
 *
 * Any other file is refused, since such a sink must neither be started nor be forgotten. A sink may
 * have both files, and counts as detached. */
#ifndef WALPIPE_PAUSES_H
#define WALPIPE_PAUSES_H

#include "lib/detachnote.h"
#include "walpipe/config.h"

#define PAUSES_PREFIX "paused."

/* Of one sink. */
struct pause {
    uint64_t since; /* Unix time, 0 if the sink is not paused */
    char by[64];    /* the user who did it */
    struct detachnote detached;
};

/* A pause that begins now, by this user. */
struct pause pauses_now(void);

/* Reads the files of one sink, in the config or not. Returns -1 with err, EXIT_REFUSED for a file
 * that has another form. */
int pauses_read(const struct config *config, const char *sink, struct pause *pause,
                struct err *err) MUST_CHECK;

/* When these return 0 the files, or their removal, are on disk. */
int pauses_write(const struct config *config, const char *sink, const struct pause *pause,
                 struct err *err) MUST_CHECK;
int pauses_remove(const struct config *config, const char *sink, struct err *err) MUST_CHECK;

/* EXIT_REFUSED if a sink is paused that the config does not have. */
int pauses_require_known(const struct config *config, struct err *err) MUST_CHECK;

/* Puts the files' pauses into the sinks. Returns -1 with err, and changes nothing, if a file cannot
 * be read, if a paused sink is not in the config, or if the programs could not start so: every sink
 * is paused, or the pipeline ends when it has copied everything. */
int pauses_apply(struct config *config, struct err *err) MUST_CHECK;

/* Whether the files say something else than the sinks. The same errors. */
int pauses_differ(const struct config *config, bool *differ, struct err *err) MUST_CHECK;

/* Reads them for a command that only shows them. A file that cannot be read counts as none. */
void pauses_show(struct config *config);

#endif
