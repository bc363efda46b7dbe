/* pausetext.h: the pauses of sinks, for people. */
#ifndef WALPIPE_PAUSETEXT_H
#define WALPIPE_PAUSETEXT_H

#include <stdio.h>

#include "lib/ackmsg.h"
#include "walpipe/config.h"

/* For walpipe status. config has the pauses of the next start, and status those of this one. */
void pausetext_status(const struct config *config, const struct ack_status *status, FILE *out);

/* For walpipe tables, which knows only the next start. */
void pausetext_tables(const struct config *config, const struct sink_config *sink, FILE *out);

#endif
