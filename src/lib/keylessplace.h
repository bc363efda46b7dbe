/* keylessplace.h: the worker of a table without a key. All its rows go to this worker. It also
 * removes the rows of an earlier life of the table's copy (docs/copy.md, "Tables without a key").
 */
#ifndef WALPIPE_KEYLESSPLACE_H
#define WALPIPE_KEYLESSPLACE_H

#include "lib/frame.h"
#include "lib/layout.h"

/* Sets *mine if this worker gets the table's rows. EXIT_REFUSED if they go to several workers. */
int keylessplace_look(const struct hello *hello, const struct layout *layout,
                      const struct relation *relation, bool *mine, struct err *err) MUST_CHECK;

#endif
