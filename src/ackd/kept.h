/* kept.h: which position each sink has in its target, for the next runs. A target that is replaced,
 * or restored without walpipe's tables, has no position, and would pass for a new one. Acts on
 * struct ackd, and writes the file of reached.h. */
#ifndef WALPIPE_ACKD_KEPT_H
#define WALPIPE_ACKD_KEPT_H

#include "ackd/ackd.h"

/* Call it when a run begins. */
void kept_begin(struct ackd *a);

/* Call them when a worker has registered, and when it has reported. */
void kept_register(struct worker *w, const struct ack_register *r);
void kept_report(struct worker *w, const struct ack_reached *r);

/* Writes the file. A failure is logged. */
void kept_note(struct ackd *a);

/* Writes it if it does not say yet which sinks have a position. Call it before an LSN is confirmed:
 * from then on the source lacks what a target that is lost would need. */
void kept_note_first(struct ackd *a);

#endif
