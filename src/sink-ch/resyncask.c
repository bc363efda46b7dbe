/* resyncask.c: see resyncask.h. A worker completes these notes when it loads them. */
#include "sink-ch/resyncask.h"

#include <stdio.h>

#include "lib/copyresync.h"
#include "lib/names.h"
#include "sink-ch/park.h"
#include "sink-ch/resync.h"
#include "sink-ch/resyncnotes.h"

static int
require_notes(struct worker *w, const struct notetable *table, struct err *err)
{
    bool tables, missing;

    if (notetable_exists(table, NOTETABLE_TABLES, &tables, err) != 0 ||
        notetable_exists(table, NOTETABLE_MISSING, &missing, err) != 0)
        return -1;
    return tables && missing ? 0 : copyresync_refuse_new(w->options->sink, err);
}

/* Rows of another history are refused as at a start. */
static int
read_journal(struct worker *w, struct err *err)
{
    struct err why = {0};
    int rc;

    if (w->intake.hello.system_identifier == 0)
        return err_set(err, EXIT_PEER, "the source has not told which cluster it is");
    rc = journal_look(&w->journal, &why, err);
    if (rc == 1)
        *err = why;
    return rc == 0 ? 0 : -1;
}

static int
note(struct worker *w, const struct relation *relation, struct err *err)
{
    struct copypart part = {.relid = relation->relid, .state = COPY_RESYNC};

    snprintf(part.schema, sizeof part.schema, "%s", relation->schema);
    snprintf(part.name, sizeof part.name, "%s", relation->name);
    if (noterows_add_columns(&w->copies.notes.rows, err) != 0 ||
        park_resume(&w->copies.notes.rows.table, relation->relid, err) != 0)
        return -1;
    return resyncnotes_ask(&w->copies.notes, &part, err);
}

int
resyncask_note(struct worker *w, struct err *err)
{
    const struct notetable table = {&w->server, w->options->database, w->options->pipeline,
                                    &w->intake.hello};
    struct relation relation = {0};
    struct table_name name;
    int rc = -1;

    w->copies.notes = (struct copynotes){.rows.table = table, .options = w->options};
    if (names_option_table(w->options->resync, &name, err) == 0 &&
        server_probe(&w->server, w->options->database, err) == 0 &&
        require_notes(w, &table, err) == 0 && read_journal(w, err) == 0 &&
        copyresync_read(&w->copies.copying, &relation, &w->intake, w->options->sink, &name, err) ==
            0 &&
        resync_check(w, &relation, err) == 0)
        rc = note(w, &relation, err);
    relation_free(&relation);
    return rc;
}
