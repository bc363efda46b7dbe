/* check_notes.c: see check_notes.h. Follows the rules of lib/copyparts and of a sink that takes no
 * copies. */
#include "walpipe/check_notes.h"

#include <string.h>

#include "walpipe/sinknotes.h"

/* ---- a sink that does not copy ---- */

static bool
is_unfinished(const struct copynote *part)
{
    return strcmp(part->state, "waiting") == 0 || strcmp(part->state, "copying") == 0 ||
           strcmp(part->state, "resync") == 0;
}

static void
check_unfinished(struct checking *c, const struct sink_config *sink, const struct sinknotes *notes)
{
    if (strcmp(notes->sink.state, "resync") == 0)
        verdict_say(&c->verdicts, VERDICT_FAIL,
                    "sink %s: all its tables are to be copied after walpipe resume of the detached "
                    "sink, and walpipe run would stop there, since the sink does not copy: set "
                    "copy = yes",
                    sink->name);
    for (size_t i = 0; i < notes->parts_count; i++) {
        const struct copynote *part = &notes->parts[i];

        if (!is_unfinished(part))
            continue;
        verdict_say(
            &c->verdicts, VERDICT_FAIL,
            "sink %s: the copy of %s.%s has not ended, and walpipe run would stop there, since the "
            "sink does not copy: set copy = yes, and the copy continues where it stopped",
            sink->name, part->schema, part->name);
        return;
    }
}

/* ---- tables that were made again ---- */

static bool
is_noted(const struct sinknotes *notes, uint32_t relid)
{
    for (size_t i = 0; i < notes->parts_count; i++)
        if (notes->parts[i].relid == relid)
            return true;
    return false;
}

static bool
has_namesake(const struct sinknotes *notes, const struct relation *relation)
{
    for (size_t i = 0; i < notes->parts_count; i++) {
        const struct copynote *part = &notes->parts[i];

        if (part->relid != relation->relid && strcmp(part->schema, relation->schema) == 0 &&
            strcmp(part->name, relation->name) == 0)
            return true;
    }
    return false;
}

static void
say_remade(struct checking *c, const struct sink_config *sink, const struct relation *relation)
{
    verdict_say(
        &c->verdicts, VERDICT_FAIL,
        "sink %s: %s.%s was dropped and made again in the source, and the target has the "
        "rows of the table before: %s",
        sink->name, relation->schema, relation->name,
        sink->type == SINK_PG
            ? "run walpipe resync for it"
            : "delete its rows from walpipe_tables (ALTER TABLE ... DELETE WHERE ...), then "
              "TRUNCATE the target table; after the next start it is copied");
}

/* The stream has all rows of such a table while tables without a note are streaming. */
static void
check_remade(struct checking *c, const struct sink_config *sink, const struct sinknotes *notes,
             const struct catalog *catalog)
{
    if (strcmp(notes->sink.state, "streaming") == 0)
        return;
    for (size_t i = 0; i < catalog->tables.count; i++) {
        const struct relation *relation = &catalog->tables.relations[i];

        if (tablefilter_takes(&sink->filter, relation->schema, relation->name) &&
            !is_noted(notes, relation->relid) && has_namesake(notes, relation))
            say_remade(c, sink, relation);
    }
}

/* ---- tables that are parked ---- */

static const struct copynote *
part_of(const struct sinknotes *notes, uint32_t relid)
{
    for (size_t i = 0; i < notes->parts_count; i++)
        if (notes->parts[i].relid == relid)
            return &notes->parts[i];
    return NULL;
}

static void
say_parked(struct checking *c, const struct sink_config *sink, const struct sinknotes *notes)
{
    for (size_t i = 0; i < notes->parked_count; i++) {
        const struct copynote *part = part_of(notes, notes->parked[i].relid);

        if (part != NULL)
            verdict_say(&c->verdicts, VERDICT_WARN,
                        "sink %s: %s.%s is parked, and its changes are passed over, after the "
                        "error: %s; mend it, then run walpipe resume --table",
                        sink->name, part->schema, part->name, notes->parked[i].message);
    }
}

void
check_notes(struct checking *c, const struct catalog *catalog)
{
    for (size_t i = 0; i < c->config->sinks_count; i++) {
        const struct sink_config *sink = &c->config->sinks[i];
        struct sinknotes notes;

        if (sink->type == SINK_EXEC)
            continue;
        sinknotes_read(&notes, c->config, sink, c->programs, &c->pool);
        if (!notes.known)
            continue;
        say_parked(c, sink, &notes);
        if (sink->copies)
            check_remade(c, sink, &notes, catalog);
        else
            check_unfinished(c, sink, &notes);
    }
}
