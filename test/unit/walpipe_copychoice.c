/* walpipe_copychoice.c: every evidence, and for each the choice that must or must not follow from
 * it. links: walpipe/copychoice */
#include "walpipe/copychoice.h"

#include "check.h"

enum { SLOTS = EVIDENCE_SLOT_THEIRS + 1, TARGETS = EVIDENCE_TARGET_COPIES + 1, CHOICES = 4 };

static bool
is_final(enum copychoice_verdict verdict)
{
    return verdict == COPYCHOICE_YES || verdict == COPYCHOICE_NO;
}

/* The verdict, stated once more as the first line that applies. */
static enum copychoice_verdict
expected(const struct evidence *e)
{
    const bool free = e->slot != EVIDENCE_SLOT_UNKNOWN && e->slot != EVIDENCE_SLOT_IN_USE;
    const bool walpipes = e->slot == EVIDENCE_SLOT_MISSING || e->slot == EVIDENCE_SLOT_OURS;
    const struct {
        bool applies;
        enum copychoice_verdict verdict;
    } lines[] = {
        {e->begun && !e->remembers, COPYCHOICE_NO},
        {e->begun && e->last == COPY_NO, COPYCHOICE_NO},
        {e->begun && e->last >= COPY_YES, COPYCHOICE_YES}, /* copy = only was, and is unset */
        {e->target == EVIDENCE_TARGET_COPIES, COPYCHOICE_YES},
        {e->target == EVIDENCE_TARGET_FOLLOWED, COPYCHOICE_NO},
        {!free, COPYCHOICE_WAIT},
        {e->target == EVIDENCE_TARGET_UNKNOWN, COPYCHOICE_ASK},
        {walpipes, COPYCHOICE_YES},
        {true, COPYCHOICE_NO},
    };
    size_t i = 0;

    while (!lines[i].applies)
        i++;
    return lines[i].verdict;
}

/* A second walpipe, or one that has lost its state directory, has nothing but the servers. */
static bool
agrees_without_state(const struct evidence *e, enum copychoice_verdict verdict)
{
    struct evidence bare = {.slot = e->slot, .target = e->target};

    if (e->begun || e->target == EVIDENCE_TARGET_UNKNOWN || e->target == EVIDENCE_TARGET_NOTHING)
        return true;
    return copychoice_make(&bare).verdict == verdict;
}

/* Evidence that comes later must not turn a choice around. */
static bool
stays_when_known(const struct evidence *e, enum copychoice_verdict verdict)
{
    struct evidence more = *e;

    if (!is_final(verdict))
        return true;
    for (int slot = 0; slot < SLOTS && e->slot == EVIDENCE_SLOT_UNKNOWN; slot++) {
        more.slot = (enum evidence_slot)slot;
        if (copychoice_make(&more).verdict != verdict)
            return false;
    }
    more.slot = e->slot;
    for (int target = 0; target < TARGETS && e->target == EVIDENCE_TARGET_UNKNOWN; target++) {
        more.target = (enum evidence_target)target;
        if (copychoice_make(&more).verdict != verdict)
            return false;
    }
    return true;
}

/* The run that follows remembers, and finds the slot and the target's notes of this run. */
static bool
next_run_agrees(const struct evidence *e, enum copychoice_verdict verdict)
{
    struct evidence next = {.begun = true,
                            .remembers = true,
                            .last = verdict == COPYCHOICE_YES ? COPY_YES : COPY_NO,
                            .slot = e->slot,
                            .target = verdict == COPYCHOICE_YES ? EVIDENCE_TARGET_COPIES
                                                                : EVIDENCE_TARGET_FOLLOWED};
    struct evidence bare = {.slot = e->slot, .target = next.target};

    return !is_final(verdict) ||
           (copychoice_make(&next).verdict == verdict && copychoice_make(&bare).verdict == verdict);
}

int
main(void)
{
    unsigned count = 0, wrong = 0, silent = 0, differ = 0, turned = 0, forgotten = 0;

    for (unsigned n = 0; n < 2 * 2 * CHOICES * SLOTS * TARGETS; n++) {
        struct evidence e = {.begun = n % 2 != 0,
                             .remembers = n / 2 % 2 != 0,
                             .last = (enum copy_choice)(n / 4 % CHOICES),
                             .slot = (enum evidence_slot)(n / 16 % SLOTS),
                             .target = (enum evidence_target)(n / 16 / SLOTS)};
        struct copychoice choice;

        if (!e.remembers && e.last != COPY_UNSET)
            continue;
        choice = copychoice_make(&e);
        count++;
        wrong += choice.verdict != expected(&e);
        silent += choice.why == NULL || choice.why[0] == '\0';
        differ += !agrees_without_state(&e, choice.verdict);
        turned += !stays_when_known(&e, choice.verdict);
        forgotten += !next_run_agrees(&e, choice.verdict);
    }
    check(count == 200, "all evidence: %u", count);
    check(wrong == 0, "the rules: %u differ", wrong);
    check(silent == 0, "each choice has a reason");
    check(differ == 0, "the target's notes decide without the state directory: %u differ", differ);
    check(turned == 0, "no choice is made before what could turn it is known: %u are", turned);
    check(forgotten == 0, "the next run chooses the same, with or without its state: %u do not",
          forgotten);
    return check_done();
}
