/* pausing.h: walpipe pause, which sets a sink aside while the others go on, and walpipe resume,
 * also of a detached sink. A pause is a file in the state directory (pauses.h). A running walpipe
 * is told to look at it. */
#ifndef WALPIPE_PAUSING_H
#define WALPIPE_PAUSING_H

#include "lib/log.h"
#include "walpipe/config.h"

/* Returns the exit code: EXIT_DONE when the pause is on disk and no program of the sink runs,
 * EXIT_REFUSED if nothing was changed. */
int pause_sink(const struct config *config, const struct log *log, const char *sink);

/* Of sink, or of all paused sinks for NULL. Returns EXIT_DONE when the file is gone and the sink
 * has reached its target, EXIT_REFUSED if the target or the programs refused it, so that it is
 * paused or detached as before. */
int pause_end(const struct config *config, const struct log *log, const char *sink);

#endif
