/* attach.c: see attach.h. A worker completes these notes when it loads them. */
#include "sink-ch/attach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/copyresync.h"
#include "sink-ch/park.h"
#include "sink-ch/resync.h"
#include "sink-ch/resyncnotes.h"

struct attaching {
    struct worker *worker;
    struct relation *relations;
    struct resyncnotes_table *tables; /* as relations */
    size_t count;
};

/* ---- the source's tables ---- */

static int
make_room(struct attaching *a, struct err *err)
{
    struct relation *relations = realloc(a->relations, (a->count + 1) * sizeof *relations);
    struct resyncnotes_table *tables = realloc(a->tables, (a->count + 1) * sizeof *tables);

    if (relations != NULL)
        a->relations = relations;
    if (tables != NULL)
        a->tables = tables;
    return relations != NULL && tables != NULL
               ? 0
               : err_set(err, EXIT_PEER, "out of memory for the tables");
}

static int
add_table(struct attaching *a, struct relation *relation, struct err *err)
{
    struct resyncnotes_table table = {.part.relid = relation->relid, .part.state = COPY_RESYNC};

    if (make_room(a, err) != 0 ||
        copyparts_new(&a->worker->copies.copying, relation, 0, err) == NULL) {
        relation_free(relation);
        return -1;
    }
    snprintf(table.part.schema, sizeof table.part.schema, "%s", relation->schema);
    snprintf(table.part.name, sizeof table.part.name, "%s", relation->name);
    table.anew = !copyparts_has_key(relation);
    a->relations[a->count] = *relation;
    a->tables[a->count++] = table;
    return 0;
}

static int
read_tables(struct attaching *a, struct err *err)
{
    struct relation next;
    int rc = 0;

    while (rc == 0) {
        rc = intake_next_relation(&a->worker->intake, &next, err);
        if (rc == 0)
            rc = add_table(a, &next, err);
    }
    return rc < 0 ? -1 : 0;
}

/* ---- whether the target takes them ---- */

/* Rows that are there could not be told from those that are copied. */
static int
require_empty(struct attaching *a, const struct copypart *part, struct err *err)
{
    struct copynotes *notes = &a->worker->copies.notes;
    char *target = copynotes_target(notes, part, err);
    int rc = target == NULL ? -1 : copynotes_require_empty(notes, part, target, err);

    if (rc != 0 && target != NULL && err->code == EXIT_REFUSED)
        err_hint(err,
                 "it has no key that identifies its rows: run TRUNCATE TABLE %s in "
                 "ClickHouse, and walpipe resume again",
                 target);
    free(target);
    return rc;
}

static int
judge_all(struct attaching *a, struct err *err)
{
    for (size_t i = 0; i < a->count; i++)
        if ((a->tables[i].anew ? require_empty(a, &a->tables[i].part, err)
                               : resync_check(a->worker, &a->relations[i], err)) != 0)
            return -1;
    return 0;
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

/* The notes of all say that they are copied again. */
static int
resume_all(struct attaching *a, struct err *err)
{
    for (size_t i = 0; i < a->count; i++)
        if (park_resume(&a->worker->copies.notes.rows.table, a->tables[i].part.relid, err) != 0)
            return -1;
    return 0;
}

static int
attach_tables(struct attaching *a, struct err *err)
{
    struct worker *w = a->worker;
    struct copynotes *notes = &w->copies.notes;

    return server_probe(&w->server, w->options->database, err) != 0 ||
                   noterows_make(&notes->rows, err) != 0 || read_journal(w, err) != 0 ||
                   read_tables(a, err) != 0 || judge_all(a, err) != 0 ||
                   resyncnotes_attach(notes, a->tables, a->count, err) != 0 ||
                   resume_all(a, err) != 0 || journal_begin_anew(&w->journal, err) != 0
               ? -1
               : 0;
}

int
attach_note(struct worker *w, struct err *err)
{
    struct attaching a = {.worker = w};
    int rc;

    w->copies.notes = (struct copynotes){
        .rows.table = {&w->server, w->options->database, w->options->pipeline, &w->intake.hello},
        .options = w->options};
    rc = attach_tables(&a, err);
    for (size_t i = 0; i < a.count; i++)
        relation_free(&a.relations[i]);
    free(a.relations);
    free(a.tables);
    return rc;
}
