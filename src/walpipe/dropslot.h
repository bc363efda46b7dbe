/* dropslot.h: pg-wal-read's command that drops the slot. */
#ifndef WALPIPE_DROPSLOT_H
#define WALPIPE_DROPSLOT_H

#include "walpipe/config.h"
#include "walpipe/helper.h"

/* Sets the program's arguments and environment, from pool. */
void dropslot_prepare(struct helper *helper, const struct config *config, struct pool *pool);

/* Runs it. A slot that does not exist is no error. Returns 0, or -1 with err. Then pg-wal-read has
 * logged the reason. */
int dropslot_run(const struct config *config, struct pool *pool, struct err *err) MUST_CHECK;

#endif
