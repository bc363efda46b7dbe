/* copychoice.c: see copychoice.h. */
#include "walpipe/copychoice.h"

/* Without notes in the target the slot decides. */
static struct copychoice
by_slot(enum evidence_slot slot)
{
    switch (slot) {
    case EVIDENCE_SLOT_MISSING:
        return (struct copychoice){COPYCHOICE_YES, "the pipeline is new"};
    case EVIDENCE_SLOT_OURS:
        return (struct copychoice){COPYCHOICE_YES, "walpipe made the slot"};
    case EVIDENCE_SLOT_THEIRS:
        return (struct copychoice){COPYCHOICE_NO, "the slot was not made by this walpipe"};
    case EVIDENCE_SLOT_UNKNOWN:
        return (struct copychoice){COPYCHOICE_WAIT, "the source does not answer"};
    case EVIDENCE_SLOT_IN_USE:
        break;
    }
    return (struct copychoice){COPYCHOICE_WAIT, "the slot is in use"};
}

struct copychoice
copychoice_make(const struct evidence *e)
{
    struct copychoice slot = by_slot(e->slot);

    if (e->begun && e->remembers && e->last != COPY_UNSET)
        return (struct copychoice){e->last == COPY_NO ? COPYCHOICE_NO : COPYCHOICE_YES,
                                   "as in the last run"};
    if (e->begun && !e->remembers)
        return (struct copychoice){COPYCHOICE_NO,
                                   "an older walpipe began the pipeline, whose default was no"};
    switch (e->target) {
    case EVIDENCE_TARGET_COPIES:
        return (struct copychoice){COPYCHOICE_YES, "the target's notes say that it takes copies"};
    case EVIDENCE_TARGET_FOLLOWED:
        return (struct copychoice){COPYCHOICE_NO, "the target has progress without copies"};
    case EVIDENCE_TARGET_NOTHING:
        return slot;
    case EVIDENCE_TARGET_UNKNOWN:
        break;
    }
    return slot.verdict == COPYCHOICE_WAIT
               ? slot
               : (struct copychoice){COPYCHOICE_ASK, "the target does not answer"};
}
