/* skipping.c: see skipping.h. */
#include "sink-pg/skipping.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/lsn.h"
#include "sink-pg/copies.h"

/* While other workers have not passed a skip, this one looks as often for it. */
#define LOOK_MICROS 1000000

/* While the target lacks changes. A resync or a person may have repaired it meanwhile. */
#define LACKS_MICROS 5000000

int
skipping_load(struct worker *w, struct err *err)
{
    struct applier *a = &w->deliver.applier;

    w->skipnotes = (struct skipnotes){.pipeline = w->options->pipeline,
                                      .sink = w->intake.hello.sink,
                                      .shard = w->intake.hello.shard};
    w->skips.letter.hello = &w->intake.hello;
    w->skips.letter.directory = w->skips_directory;
    a->skips = &w->skips;
    a->skipnotes = &w->skipnotes;
    if (deadletter_directory(w->options->ackd, w->skips_directory, err) != 0)
        return -1;
    return skipnotes_load(&w->skipnotes, &a->session, &w->skips, err);
}

/* A failure of the connection shows again at the next commit. */
static int
report_lacks(struct worker *w, struct err *err)
{
    struct session *s = &w->deliver.applier.session;
    struct err why = {0};
    struct ack_lacks lacks;

    if (s->conn == NULL || s->tx_open)
        return 0;
    w->lacks_look_at = clock_micros() + LACKS_MICROS;
    if (skipnotes_count(&w->skipnotes, s, &lacks, &why) != 0) {
        if (why.code == EXIT_PEER)
            return 0;
        *err = why;
        return -1;
    }
    if (lacks.tables == w->lacks.tables && lacks.changes == w->lacks.changes)
        return 0;
    w->lacks = lacks;
    return ackclient_lacks(&w->intake.ack, &lacks, err);
}

int
skipping_registered(struct worker *w, struct err *err)
{
    return report_lacks(w, err);
}

/* Ranges will bring what is passed over, so nothing is skipped then. */
static int
is_skipped(struct worker *w, struct table *table, bool *skipped, struct err *err)
{
    bool passes;

    *skipped = skips_take(&w->skips, w->intake.begin.commit_lsn, &table->relation);
    if (!*skipped)
        return 0;
    if (copies_pass(w, table, &passes, err) != 0)
        return -1;
    *skipped = !passes;
    return 0;
}

int
skipping_row(struct worker *w, struct table *table, const struct intake_item *item, bool *skipped,
             struct err *err)
{
    if (is_skipped(w, table, skipped, err) != 0)
        return -1;
    return *skipped ? skips_row(&w->skips, &w->intake.begin, item, &table->relation, err) : 0;
}

/* Sets the relations of those that are skipped. */
static int
sort_tables(struct worker *w, const struct truncate_event *truncate,
            const struct relation **relations, struct err *err)
{
    for (uint32_t i = 0; i < truncate->count; i++) {
        struct table *table = tables_get(&w->tables, truncate->relids[i]);
        bool skipped;

        if (table == NULL)
            return intake_unknown_relation(&w->intake, truncate->relids[i], err);
        if (is_skipped(w, table, &skipped, err) != 0)
            return -1;
        relations[i] = skipped ? &table->relation : NULL;
    }
    return 0;
}

int
skipping_truncate(struct worker *w, struct truncate_event *truncate, struct err *err)
{
    const struct relation **relations;
    uint32_t kept = 0;
    int rc = -1;

    if (!w->skips.open)
        return 0;
    relations = calloc(truncate->count + 1, sizeof *relations);
    if (relations == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a truncate");
    if (sort_tables(w, truncate, relations, err) == 0)
        rc = skips_truncate(&w->skips, &w->intake.begin, truncate, relations, err);
    for (uint32_t i = 0; rc == 0 && i < truncate->count; i++)
        if (relations[i] == NULL)
            truncate->relids[kept++] = truncate->relids[i];
    if (rc == 0)
        truncate->count = kept;
    free(relations);
    return rc;
}

int
skipping_finish(struct worker *w, const struct position *commit, struct err *err)
{
    return commit == NULL ? 0
                          : skips_finish(&w->skips, commit->lsn, commit->partial_commit_lsn, err);
}

/* True if there was something to tell. */
static bool
tell(const struct worker *w, const struct position *commit)
{
    char names[DEADLETTER_PATH_SIZE];
    bool any = false;

    for (size_t i = 0; i < w->skips.lacks_count; i++) {
        const struct lack *lack = &w->skips.lacks[i];

        if (!skips_passes(lack->lsn, commit->lsn, commit->partial_commit_lsn))
            continue;
        any = true;
        deadletter_names(&w->skips.letter, lack->lsn, names);
        log_write(w->log, LOG_WARNING,
                  "skipped %" PRIu64 " changes of %s.%s of the transaction at %s, which the target "
                  "lacks now; they are in %s",
                  lack->changes, lack->table.schema, lack->table.table, lsn_format(lack->lsn).text,
                  names);
    }
    return any;
}

/* A failure of the connection shows again at the next commit. */
static int
settle(struct worker *w, uint64_t lsn, struct err *err)
{
    struct session *s = &w->deliver.applier.session;
    struct err why = {0};
    bool left = true;

    if (skips_lowest(&w->skips) == 0 || skips_lowest(&w->skips) >= lsn || s->conn == NULL ||
        s->tx_open || clock_micros() < w->skips_look_at)
        return 0;
    w->skips_look_at = clock_micros() + LOOK_MICROS;
    if (skipnotes_settle(&w->skipnotes, s, lsn, &left, &why) != 0 && why.code != EXIT_PEER) {
        *err = why;
        return -1;
    }
    if (!left)
        skips_forget(&w->skips, lsn);
    return 0;
}

int
skipping_committed(struct worker *w, const struct position *commit, struct err *err)
{
    bool more = tell(w, commit);

    skips_noted(&w->skips, commit->lsn, commit->partial_commit_lsn);
    if ((more || (w->lacks.tables > 0 && clock_micros() >= w->lacks_look_at)) &&
        report_lacks(w, err) != 0)
        return -1;
    return settle(w, commit->lsn, err);
}

/* Not a right or a table that is missing, which would end every transaction. */
static bool
is_of_data(const struct pipe_failure *f)
{
    return !f->lost && (strncmp(f->sqlstate, "22", 2) == 0 || strncmp(f->sqlstate, "23", 2) == 0 ||
                        strncmp(f->sqlstate, "P0", 2) == 0);
}

void
skipping_refused(struct worker *w, bool pieces, struct err *err)
{
    const struct applier *a = &w->deliver.applier;

    if (err->code != EXIT_REFUSED || a->refused_copy)
        return;
    if (pieces && err->lsn == 0)
        err->lsn = w->intake.begin.commit_lsn;
    w->skips.helps = a->refused_commit || is_of_data(&a->ways.rows.pipe.failure);
}

void
skipping_hint(const struct worker *w, struct err *err)
{
    if (w->skips.helps && err->code == EXIT_REFUSED && err->lsn != 0)
        skips_hint(w->intake.hello.sink, err);
}
