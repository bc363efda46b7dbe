/* adopt.c: see adopt.h. The note that there may be offsets comes first, then the marks. Other
 * histories are forgotten last. So the next command finishes the work of one that was killed. */
#include "sink-ch/adopt.h"

#include "sink-ch/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/verdict.h"
#include "sink-ch/history.h"
#include "sink-ch/mark.h"

/* LSNs are multiples of it. */
#define LSN_STEP 8

struct adoption {
    struct verdicts verdicts;
    bool doing;
    bool any;   /* that holds another history */
    bool noted; /* in walpipe_progress */
};

static void
say_nothing(void *context, enum finding finding, const char *text, const char *hint)
{
    (void)context, (void)finding, (void)text, (void)hint;
}

/* The offset is above every version in the table, the note of a truncate, and rows that were sent
 * and are gone. */
static int
choose_offset(struct worker *w, const struct table *table, uint64_t *offset, struct err *err)
{
    uint64_t highest, truncated = version_lsn(table->version_width, table->mark.at);
    uint64_t noted = table->mark.offset + w->journal.highest;

    if (history_highest(w, table, &highest, err) != 0)
        return -1;
    highest = truncated > highest ? truncated : highest;
    highest = noted > highest ? noted : highest;
    *offset = (highest / LSN_STEP + 1) * LSN_STEP;
    if (*offset > highest &&
        version_has_room(table->version_width, *offset, w->journal.hello->start_lsn))
        return 0;
    err_set(err, EXIT_REFUSED, "the versions of %s have no room for another history",
            table->target_sql);
    return err_hint(err, "make the table anew and copy the source's rows into it with version 0");
}

/* The version between the old rows and those to come, as ClickHouse reads it. */
static void
format_floor(const struct table *table, uint64_t offset, char *out, size_t size)
{
    if (table->version_width == 16)
        snprintf(out, size, "bitShiftLeft(toUInt128(%" PRIu64 "), 64)", offset);
    else
        snprintf(out, size, "%" PRIu64, version_make(8, offset, 0).high);
}

static int
write_mark(struct worker *w, struct table *table, uint64_t offset, struct err *err)
{
    const struct hello *hello = w->journal.hello;
    struct mark *mark = &table->mark;
    struct err why = {0};

    mark->system_identifier = hello->system_identifier;
    mark->timeline = hello->timeline;
    mark->offset = offset;
    mark->at = (struct version){0};
    if (table->source_name[0] != '\0')
        snprintf(mark->source, sizeof mark->source, "%s", table->source_name);
    if (mark_write(&w->server, w->options, table, &why, err) != 0)
        return -1;
    if (mark->writable)
        return 0;
    err_set(err, EXIT_REFUSED, "the comment of column %s of %s cannot be written%s%s",
            w->options->version_column, table->target_sql, why.message[0] == '\0' ? "" : ": ",
            why.message);
    return err_hint(err, "walpipe notes there whose rows the table holds: remove another comment, "
                         "or GRANT ALTER COMMENT COLUMN");
}

static int
note(struct worker *w, struct adoption *a, struct err *err)
{
    if (a->noted)
        return 0;
    a->noted = true;
    return journal_adopt(&w->journal, err);
}

/* `why` has the error that run would report for the table. */
static int
adopt_table(struct worker *w, struct adoption *a, struct table *table, const struct err *why,
            struct err *err)
{
    uint64_t offset;
    char floor[80];

    a->any = true;
    if (choose_offset(w, table, &offset, err) != 0 ||
        (a->doing && (note(w, a, err) != 0 || write_mark(w, table, offset, err) != 0))) {
        if (err->code != EXIT_REFUSED)
            return -1;
        verdict_fail(&a->verdicts, NULL, err);
        *err = (struct err){0};
        return 0;
    }
    format_floor(table, offset, floor, sizeof floor);
    verdict_say(&a->verdicts, VERDICT_WARN,
                "%s%s; old rows have versions below %s, the source's %s",
                a->doing ? "adopted: " : "", why->message, floor,
                a->doing ? "will be above" : "would be above");
    return 0;
}

static int
visit_marked(struct worker *w, struct table *table, void *context, struct err *err)
{
    struct err why = {0};
    int rc = history_look(w, table, &why, err);

    return rc == 1 ? adopt_table(w, context, table, &why, err) : rc;
}

static int
visit_published(struct worker *w, struct adoption *a, struct relation *relation, struct err *err)
{
    struct table *table = table_new(relation, 0, w->options, err);
    struct report report = {.say = say_nothing};
    enum schema_status status;
    int rc = 0;

    if (table == NULL)
        return -1;
    status = schema_load(&w->server, w->options, table, false, &report, err);
    if (status == SCHEMA_ERROR)
        rc = -1;
    else if (status == SCHEMA_UNFIT)
        verdict_say(&a->verdicts, VERDICT_FAIL, "table %s does not fit %s: see walpipe check",
                    table->source_name, table->target_sql);
    else if (status == SCHEMA_READY)
        rc = visit_marked(w, table, a, err);
    table_free(table);
    return rc;
}

static int
visit_all(struct worker *w, struct adoption *a, struct err *err)
{
    struct relation relation;
    int rc;

    while ((rc = intake_next_relation(&w->intake, &relation, err)) == 0)
        if (visit_published(w, a, &relation, err) != 0)
            return -1;
    return rc < 0 ? -1 : history_each(w, visit_marked, a, err);
}

int
adopt_run(struct worker *w, struct err *err)
{
    struct adoption a = {.verdicts.out = stdout, .doing = w->options->adopt == ADOPT_DO};
    struct err why = {0};
    int refused = journal_look(&w->journal, &why, err);

    if (refused < 0 || visit_all(w, &a, err) != 0)
        return -1;
    if (refused == 1)
        verdict_say(&a.verdicts, VERDICT_WARN, "%s%s", a.doing ? "adopted: " : "", why.message);
    else if (!a.any)
        verdict_say(&a.verdicts, VERDICT_OK,
                    "nothing to adopt: no table has rows of another cluster or timeline");
    if (a.verdicts.failed)
        return 1;
    if (!a.doing || (refused == 0 && !a.any))
        return 0;
    return note(w, &a, err) != 0 ? -1 : journal_forget_others(&w->journal, err);
}
