/* only.c: see only.h. */
#include "walpipe/only.h"

#include <inttypes.h>
#include <unistd.h>

#include "lib/lsn.h"
#include "lib/slotnote.h"
#include "walpipe/catalog.h"
#include "walpipe/dropslot.h"
#include "walpipe/slotlook.h"
#include "walpipe/tables.h"

struct looking {
    const struct config *config;
    struct pool pool;
    struct tables_found found;
};

/* ---- the targets ---- */

static int
read_all(struct looking *l, struct err *err)
{
    const struct tables_choice choice = {.config = l->config, .source = true};

    if (tables_read(&choice, &l->found, &l->pool, err) != 0)
        return -1;
    if (!l->found.source.known)
        return err_set(err, EXIT_PEER, "could not read the published tables: %s",
                       l->found.source.why);
    for (size_t i = 0; i < l->config->sinks_count; i++) {
        const struct tablelist *list = &l->found.lists[i];

        if (!list->known)
            return err_set(err, list->code == EXIT_DONE ? EXIT_REFUSED : list->code,
                           "could not read the notes in the target of sink %s: %s",
                           list->sink->name, list->why);
    }
    return 0;
}

static bool
is_streaming(const struct table_progress *t)
{
    return strcmp(t->state, "streaming") == 0;
}

/* The first published table of the list that is not copied to its end, NULL if all are. */
static const struct table_progress *
first_left(const struct tablelist *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct table_progress *t = &list->tables[i];

        if (t->published && (!is_streaming(t) || t->missing > 0))
            return t;
    }
    return NULL;
}

/* The first list with such a table, NULL if there is none. */
static const struct tablelist *
unfinished(const struct looking *l, const struct table_progress **left)
{
    for (size_t i = 0; i < l->config->sinks_count; i++) {
        *left = first_left(&l->found.lists[i]);
        if (*left != NULL)
            return &l->found.lists[i];
    }
    return NULL;
}

/* No sink has a position, or a note that a copy began. */
static bool
none_began(const struct looking *l)
{
    for (size_t i = 0; i < l->config->sinks_count; i++) {
        const struct tablelist *list = &l->found.lists[i];

        if (list->lsn != 0 || list->streaming + list->copying + list->resync + list->parked > 0)
            return false;
    }
    return true;
}

/* ---- the beginning ---- */

/* The tables are copied. Checks that the workers have them as of one position: the stream that
 * would bring the others there is gone. */
static int
require_position(const struct looking *l, const struct tablelist *list, struct err *err)
{
    const char *slot = l->config->source.slot, *sink = list->sink->name;

    if (list->settled)
        return 0;
    if (list->lsn == 0)
        return err_set(err, EXIT_REFUSED,
                       "replication slot \"%s\" is gone, and sink %s has no position in its target",
                       slot, sink);
    return err_set(
        err, EXIT_REFUSED,
        "replication slot \"%s\" is gone, and the workers of sink %s did not stop at one "
        "position: changes since %s are lost",
        slot, sink, lsn_format(list->lsn).text);
}

/* Checks that the source has had that position, as ackd does in a run (same_history). */
static int
require_history(const struct tablelist *list, const struct pqsystem *source, struct err *err)
{
    if (list->system != source->identifier)
        return err_set(err, EXIT_REFUSED,
                       "sink %s has the rows of another cluster: its target has system identifier "
                       "%" PRIu64 ", the source %" PRIu64,
                       list->sink->name, list->system, source->identifier);
    if (list->timeline == source->timeline ||
        (list->timeline == source->previous_timeline && list->lsn <= source->switch_lsn))
        return 0;
    if (list->timeline == source->previous_timeline)
        return err_set(err, EXIT_REFUSED,
                       "the source left timeline %" PRIu32 " at %s, and sink %s has its rows as of "
                       "%s, which the source never had",
                       list->timeline, lsn_format(source->switch_lsn).text, list->sink->name,
                       lsn_format(list->lsn).text);
    return err_set(err, EXIT_REFUSED,
                   "sink %s has rows of timeline %" PRIu32 ", the source is on timeline %" PRIu32
                   ", which branched off from timeline %" PRIu32,
                   list->sink->name, list->timeline, source->timeline, source->previous_timeline);
}

static int
require_done(const struct looking *l, struct err *err)
{
    struct pqsystem source;

    if (catalog_system(l->config, &source, err) != 0)
        return -1;
    for (size_t i = 0; i < l->config->sinks_count; i++) {
        const struct tablelist *list = &l->found.lists[i];

        if (list->count > 0 &&
            (require_position(l, list, err) != 0 || require_history(list, &source, err) != 0))
            return -1;
    }
    return 0;
}

static int
require_copied(const struct looking *l, struct err *err)
{
    const struct table_progress *left;
    const struct tablelist *list = unfinished(l, &left);

    if (list == NULL)
        return 0;
    return err_set(err, EXIT_REFUSED,
                   "replication slot \"%s\" is gone, and sink %s has not copied %s.%s to its end: "
                   "changes since then are lost",
                   l->config->source.slot, list->sink->name, left->schema, left->name);
}

/* The source had the slot, or it is a new pipeline. */
static enum only_look
look_at_targets(struct looking *l, struct err *err)
{
    const char *checkpoint = pool_print(&l->pool, "%s/checkpoint", l->config->state_dir);

    if (read_all(l, err) != 0)
        return ONLY_FAILED;
    if (none_began(l) && access(checkpoint, F_OK) != 0)
        return ONLY_NEW;
    if (require_copied(l, err) != 0)
        err_hint(err,
                 "run walpipe drop, empty the tables in the targets, and start again; a table that "
                 "was published after the end of the copy may be left out with tables instead");
    else if (require_done(l, err) == 0)
        return ONLY_DONE;
    else if (err->code == EXIT_REFUSED)
        err_hint(err, "run walpipe drop, empty the tables in the targets, and start again");
    return ONLY_FAILED;
}

static enum only_look
look(struct looking *l, struct err *err)
{
    bool exists;
    enum evidence_slot slot = slotlook_ask(l->config, &l->pool, &exists, err);

    if (slot == EVIDENCE_SLOT_IN_USE)
        err_set(err, EXIT_PEER, "slot \"%s\" is in use", l->config->source.slot);
    if (slot == EVIDENCE_SLOT_IN_USE || slot == EVIDENCE_SLOT_UNKNOWN)
        return ONLY_WAIT;
    return exists ? ONLY_RUN : look_at_targets(l, err);
}

enum only_look
only_look(const struct config *config, struct err *err)
{
    struct looking l = {.config = config};
    enum only_look found = look(&l, err);

    pool_free(&l.pool);
    return found;
}

/* ---- the end ---- */

/* A kill between the two leaves a note about a slot that is gone. */
static void
forget_slot(const struct config *config, struct pool *pool)
{
    const struct slotnote none = {.state = SLOTNOTE_NONE};
    struct err ignored = {0};

    (void)!slotnote_write(slotlook_note_path(config, pool), &none, &ignored);
}

void
only_log_done(const struct config *config, const struct log *log)
{
    struct pool pool = {0};

    forget_slot(config, &pool);
    log_write(log, LOG_INFO,
              "copy = only: every published table was copied before, and slot \"%s\" is gone: "
              "nothing is left to do",
              config->source.slot);
    pool_free(&pool);
}

static void
log_sink(const struct log *log, const struct tablelist *list)
{
    uint64_t rows = 0;
    size_t tables = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct table_progress *t = &list->tables[i];

        if (t->published) {
            tables++;
            rows += t->rows;
        } else if (t->copied && !is_streaming(t) && strcmp(t->state, "out-streaming") != 0) {
            log_write(log, LOG_WARNING,
                      "sink %s: %s.%s is not published any more, and was not copied to its end: "
                      "the target has a part of its rows",
                      list->sink->name, t->schema, t->name);
        }
    }
    log_write(log, tables == 0 ? LOG_WARNING : LOG_INFO,
              "sink %s: %zu tables are copied, with %" PRIu64
              " rows; the target has the source's rows as of %s",
              list->sink->name, tables, rows, lsn_format(list->lsn).text);
}

static int
drop_slot(struct looking *l, const struct log *log, struct err *err)
{
    const char *name = l->config->source.slot;
    bool exists;
    enum evidence_slot slot = slotlook_ask(l->config, &l->pool, &exists, err);

    if (slot == EVIDENCE_SLOT_UNKNOWN)
        return -1;
    if (exists && slot != EVIDENCE_SLOT_OURS) {
        log_write(log, LOG_WARNING,
                  "slot \"%s\" stays, since this walpipe did not make it, and keeps WAL on the "
                  "source; to drop it: SELECT pg_drop_replication_slot('%s')",
                  name, name);
        return 0;
    }
    if (exists && dropslot_run(l->config, &l->pool, err) != 0)
        return -1;
    log_write(log, LOG_INFO, "dropped slot \"%s\"", name);
    forget_slot(l->config, &l->pool);
    return 0;
}

static int
finish(struct looking *l, const struct log *log, struct err *err)
{
    const struct table_progress *left;
    const struct tablelist *list;

    if (read_all(l, err) != 0)
        return -1;
    list = unfinished(l, &left);
    if (list != NULL) {
        log_write(log, LOG_WARNING, "sink %s has not copied %s.%s to its end: the copy continues",
                  list->sink->name, left->schema, left->name);
        return 0;
    }
    for (size_t i = 0; i < l->config->sinks_count; i++)
        log_sink(log, &l->found.lists[i]);
    return drop_slot(l, log, err) == 0 ? 1 : -1;
}

int
only_finish(const struct config *config, const struct log *log, struct err *err)
{
    struct looking l = {.config = config};
    int finished = finish(&l, log, err);

    pool_free(&l.pool);
    return finished;
}
