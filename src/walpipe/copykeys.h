/* copykeys.h: which sinks copy, by the keys `copy` of [pipeline] and of the sinks. Refuses choices
 * that do not fit together. copydefault.h decides for a sink for which the file has no key. */
#ifndef WALPIPE_COPYKEYS_H
#define WALPIPE_COPYKEYS_H

#include "walpipe/configdata.h"

/* Sets copies, copy_open, copies_open and only, after all sections are read. EXIT_REFUSED with
 * "PATH:LINE: ...". */
int copykeys_apply(struct config *config, struct err *err) MUST_CHECK;

/* Sets whether a sink takes copies, from the sinks. */
void copykeys_count(struct config *config);

#endif
