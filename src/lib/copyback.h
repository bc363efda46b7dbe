/* copyback.h: a table of which the sink has rows comes back, or was there all the time. Decides
 * whether changes of it are lost. Knows no list's order and no target. */
#ifndef WALPIPE_COPYBACK_H
#define WALPIPE_COPYBACK_H

#include "lib/copyparts.h"

/* The reader's list has the physical table `part`, with this definition. EXIT_REFUSED if an earlier
 * list was without the table, or other entries publish it now than when the note was written, and
 * rows of it are in the target. */
int copyback_listed(struct copying *c, uint32_t relid, uint32_t part, const char *definition,
                    struct err *err) MUST_CHECK;

/* The table is back, or its part `asked` (0 for all of them). A part that was out has lost changes,
 * and is refused if rows of it are in the target. */
int copyback_take(struct copying *c, uint32_t relid, uint32_t asked, struct err *err) MUST_CHECK;

/* Behind it. The note gets the entries that publish the part now, and keeps the definition under
 * which it was copied. */
void copyback_published(struct copying *c, struct copypart *part, const char *definition);

#endif
