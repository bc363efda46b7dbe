/* slotlook.h: the slot on the source, and whether this walpipe made it. */
#ifndef WALPIPE_SLOTLOOK_H
#define WALPIPE_SLOTLOOK_H

#include "walpipe/config.h"
#include "walpipe/copychoice.h"

/* Asks the source, also whether there is a slot. With EVIDENCE_SLOT_UNKNOWN err says why it does
 * not answer. */
enum evidence_slot slotlook_ask(const struct config *config, struct pool *pool, bool *exists,
                                struct err *err);

/* The same from an answer that is known. */
enum evidence_slot slotlook_judge(const struct config *config, struct pool *pool, bool exists,
                                  bool active);

/* The file about who made the slot. */
const char *slotlook_note_path(const struct config *config, struct pool *pool);

#endif
