/* reached.h: the file DIR/reached, which records how far each sink was. While a sink is paused, its
 * target cannot be asked. If the source loses WAL meanwhile, ackd can tell from the file that the
 * target has changes that the source has no more. It has a line for each sink:
 *
 *     7300000000000000000 olap 0/1A2B3C4D
 *
 * A sink without a line has not reported in any run. If the sink's target keeps positions, a second
 * line has the lowest one of its workers, which every later start must find in the target:
 *
 *     kept 7300000000000000000 olap 0/1A2B3C00 */
#ifndef WALPIPE_ACKD_REACHED_H
#define WALPIPE_ACKD_REACHED_H

#include "lib/base.h"

#define REACHED_NAME "reached"

/* Begins the second line. */
#define REACHED_KEPT "kept "

/* The highest LSN that a worker of the sink had made durable, 0 if it is not known or of another
 * source. text is the file's, or NULL. */
uint64_t reached_find(const char *text, uint64_t system_identifier, const char *sink);

/* The position that every worker of the sink had in its target, 0 if it is not known. */
uint64_t reached_find_kept(const char *text, uint64_t system_identifier, const char *sink);

/* Reads the file in the directory. *text is NULL if there is none, and belongs to the caller. */
int reached_read(const char *dir_path, char **text, struct err *err) MUST_CHECK;

/* When it returns 0 the text is on disk. */
int reached_write(const char *dir_path, const char *text, struct err *err) MUST_CHECK;

#endif
