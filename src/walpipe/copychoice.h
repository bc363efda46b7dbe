/* copychoice.h: whether a sink copies the rows that its tables have already, where the config file
 * does not say. It is a pure function of the evidence, so that a test can try every combination. */
#ifndef WALPIPE_COPYCHOICE_H
#define WALPIPE_COPYCHOICE_H

#include "walpipe/values.h"

/* The slot on the source. */
enum evidence_slot {
    EVIDENCE_SLOT_UNKNOWN, /* the source did not answer */
    EVIDENCE_SLOT_MISSING, /* walpipe will make it */
    EVIDENCE_SLOT_IN_USE,  /* by somebody else, perhaps by another walpipe */
    EVIDENCE_SLOT_OURS,    /* the state directory notes that walpipe made it */
    EVIDENCE_SLOT_THEIRS   /* nothing is known about who made it, or a person is to make it */
};

/* The sink's notes in its target. */
enum evidence_target {
    EVIDENCE_TARGET_UNKNOWN,  /* the target did not answer */
    EVIDENCE_TARGET_NOTHING,  /* the sink never had a run */
    EVIDENCE_TARGET_FOLLOWED, /* it has progress, and took no copies in its last run */
    EVIDENCE_TARGET_COPIES    /* it took copies in its last run */
};

struct evidence {
    bool begun;            /* the state directory has a checkpoint */
    bool remembers;        /* it has a file about the choices of the last run */
    enum copy_choice last; /* this sink's choice in it, COPY_UNSET if the sink is not in it */
    enum evidence_slot slot;
    enum evidence_target target;
};

enum copychoice_verdict {
    COPYCHOICE_NO,
    COPYCHOICE_YES,
    COPYCHOICE_WAIT, /* until the source answers and its slot is free */
    COPYCHOICE_ASK   /* the target again, since all depends on it */
};

struct copychoice {
    enum copychoice_verdict verdict;
    const char *why; /* for people, a clause */
};

struct copychoice copychoice_make(const struct evidence *evidence);

#endif
