/* sinknotes.c: see sinknotes.h. */
#include "walpipe/sinknotes.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "walpipe/helper.h"
#include "walpipe/plan.h"

/* The exit code of a program that a signal ended, from spawn_wait. */
#define ENDED_BY(signal) (128 + (signal))

static void
fail(struct sinknotes *notes, enum exit_code code, const char *why)
{
    notes->known = false;
    notes->code = code;
    notes->why = why;
}

static size_t
count_lines(const char *text)
{
    size_t count = 0;

    while ((text = strchr(text, '\n')) != NULL) {
        count++;
        text++;
    }
    return count;
}

static void
take(struct sinknotes *notes, const struct copynote *note)
{
    switch (note->kind) {
    case COPYNOTE_SINK:
        notes->sink = *note;
        notes->known = true;
        break;
    case COPYNOTE_PART:
        notes->parts[notes->parts_count++] = *note;
        break;
    case COPYNOTE_MISSING:
        notes->missing[notes->missing_count++] = *note;
        break;
    case COPYNOTE_PARKED:
        notes->parked[notes->parked_count++] = *note;
        break;
    case COPYNOTE_ERROR:
        notes->why = note->message;
        break;
    case COPYNOTE_LACKS:
        notes->lacks[notes->lacks_count++] = *note;
        break;
    case COPYNOTE_SKIP:
        notes->skips[notes->skips_count++] = *note;
        break;
    }
}

static int
compare_parts(const void *left, const void *right)
{
    const struct copynote *a = left, *b = right;

    if (a->relid != b->relid)
        return a->relid < b->relid ? -1 : 1;
    if (a->part != b->part)
        return a->part < b->part ? -1 : 1;
    return a->shard < b->shard ? -1 : a->shard > b->shard;
}

/* All lines of a program that succeeded must be well formed. */
static int
take_lines(struct sinknotes *notes, char *text, struct pool *pool)
{
    size_t lines = count_lines(text);
    struct copynote note;
    int found;

    notes->parts = pool_take(pool, (lines + 1) * sizeof *notes->parts);
    notes->missing = pool_take(pool, (lines + 1) * sizeof *notes->missing);
    notes->lacks = pool_take(pool, (lines + 1) * sizeof *notes->lacks);
    notes->skips = pool_take(pool, (lines + 1) * sizeof *notes->skips);
    notes->parked = pool_take(pool, (lines + 1) * sizeof *notes->parked);
    while ((found = copynote_next(&text, &note)) == 1)
        take(notes, &note);
    qsort(notes->parts, notes->parts_count, sizeof *notes->parts, compare_parts);
    return found;
}

static void
judge(struct sinknotes *notes, const char *program, int code, bool readable, struct pool *pool)
{
    if (code == EXIT_DONE && (!readable || !notes->known))
        fail(notes, EXIT_REFUSED,
             pool_print(pool, "%s printed output that this walpipe does not understand", program));
    else if (code == ENDED_BY(SIGALRM))
        fail(notes, EXIT_PEER, "the target did not answer in time");
    else if (code != EXIT_DONE)
        fail(notes, code == EXIT_REFUSED ? EXIT_REFUSED : EXIT_PEER,
             notes->why != NULL ? notes->why
                                : pool_print(pool, "%s ended with exit code %d", program, code));
}

static void
ask(struct sinknotes *notes, const struct config *config, const struct sink_config *sink,
    const char *programs, struct pool *pool)
{
    struct helper helper = {.directory = programs,
                            .argv = plan_sink_arguments(config, pool, sink, PLAN_TABLES),
                            .env = plan_sink_env(pool, (const char *const *)environ, sink),
                            .in = -1,
                            .out = -1};
    struct err err = {0};
    char *output = NULL;
    int code = helper_run(&helper, pool, &output, &err);

    if (code < 0) {
        fail(notes, err.code, pool_copy(pool, err.message));
        return;
    }
    judge(notes, helper.argv[0], code, take_lines(notes, output, pool) == 0, pool);
}

void
sinknotes_read(struct sinknotes *notes, const struct config *config, const struct sink_config *sink,
               const char *programs, struct pool *pool)
{
    *notes = (struct sinknotes){0};
    switch (sink->type) {
    case SINK_PG:
    case SINK_CH:
        ask(notes, config, sink, programs, pool);
        break;
    case SINK_EXEC:
        fail(notes, EXIT_DONE, "an exec sink keeps its own notes");
        break;
    }
}
