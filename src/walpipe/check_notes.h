/* check_notes.h: whether the notes in a sink's target let the pipeline start, for walpipe check. */
#ifndef WALPIPE_CHECK_NOTES_H
#define WALPIPE_CHECK_NOTES_H

#include "walpipe/catalog.h"
#include "walpipe/checking.h"

/* After the sinks' choices about copies are made. A target that does not answer is reported by its
 * sink's own check. */
void check_notes(struct checking *checking, const struct catalog *catalog);

#endif
