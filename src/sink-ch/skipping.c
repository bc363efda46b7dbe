/* skipping.c: see skipping.h. */
#include "sink-ch/skipping.h"

#include <stdlib.h>

#include "lib/clock.h"
#include "sink-ch/copies.h"
#include "sink-ch/skipnotes.h"

/* While the target lacks changes. A resync or a person may have repaired it meanwhile. */
#define LACKS_MICROS 5000000

int
skipping_report(struct worker *w, bool now, struct err *err)
{
    struct ack_lacks lacks;

    if (!now && (w->lacks.tables == 0 || clock_micros() < w->lacks_look_at))
        return 0;
    w->lacks_look_at = clock_micros() + LACKS_MICROS;
    if (skipnotes_count(w, &lacks, err) != 0)
        return -1;
    if (lacks.tables == w->lacks.tables && lacks.changes == w->lacks.changes)
        return 0;
    w->lacks = lacks;
    return ackclient_lacks(&w->intake.ack, &lacks, err);
}

/* Ranges will bring what is passed over, so nothing is skipped then. */
int
skipping_row(struct worker *w, struct table *table, bool *skipped, struct err *err)
{
    bool passes;

    *skipped = skips_take(&w->skips, w->transaction.commit_lsn, &table->relation);
    if (!*skipped)
        return 0;
    if (copies_pass(w, table, &passes, err) != 0)
        return -1;
    *skipped = !passes;
    return 0;
}

int
skipping_truncate(struct worker *w, const struct truncate_event *truncate,
                  const struct relation ***relations, struct err *err)
{
    *relations = calloc(truncate->count + 1, sizeof **relations);
    if (*relations == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a truncate");
    for (uint32_t i = 0; i < truncate->count; i++) {
        struct table *table = relmap_get(&w->tables, truncate->relids[i]);
        bool skipped;

        if (table == NULL)
            return intake_unknown_relation(&w->intake, truncate->relids[i], err);
        if (skipping_row(w, table, &skipped, err) != 0)
            return -1;
        (*relations)[i] = skipped ? &table->relation : NULL;
    }
    return skips_truncate(&w->skips, &w->intake.begin, truncate, *relations, err);
}

int
skipping_commit(struct worker *w, const struct commit_event *commit, struct err *err)
{
    if (skips_finish(&w->skips, commit->end_lsn, 0, err) != 0 ||
        skipnotes_write(w, commit->commit_lsn, err) != 0)
        return -1;
    skips_noted(&w->skips, commit->end_lsn, 0);
    return skipping_report(w, true, err);
}
