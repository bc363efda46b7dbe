/* tablelist.c: see tablelist.h. */
#include "walpipe/tablelist.h"

#include <stdlib.h>

#include "lib/spans.h"
#include "lib/tablefilter.h"

static const char waiting[] = "waiting", copying[] = "copying", streaming[] = "streaming",
                  detached[] = "detached", resync[] = "resync", parked[] = "parked";

struct making {
    struct tablelist *list;
    const struct sourcetables *source;
    const struct sinknotes *notes;
    uint32_t workers;
    const char *unnoted; /* the state of tables without a note */
};

/* ---- notes ---- */

/* The first note of relid. `count` of them follow each other. NULL if there is none. */
static const struct copynote *
notes_of(const struct sinknotes *notes, uint32_t relid, size_t *count)
{
    size_t low = 0, high = notes->parts_count, end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (notes->parts[middle].relid < relid)
            low = middle + 1;
        else
            high = middle;
    }
    for (end = low; end < notes->parts_count && notes->parts[end].relid == relid; end++)
        continue;
    *count = end - low;
    return *count == 0 ? NULL : &notes->parts[low];
}

/* A worker's note of a part, NULL if there is none. */
static const struct copynote *
note_of(const struct copynote *notes, size_t count, uint32_t part, uint32_t shard)
{
    for (size_t i = 0; i < count; i++)
        if (notes[i].part == part && notes[i].shard == shard)
            return &notes[i];
    return NULL;
}

/* ---- states ---- */

/* The states of several parts and workers. A state that this walpipe does not know is shown instead
 * of all. */
struct states {
    bool any_waiting, any_copying, any_resync, any_streaming;
    const char *other;
};

static void
add_state(struct states *s, const char *state)
{
    if (strcmp(state, waiting) == 0)
        s->any_waiting = true;
    else if (strcmp(state, copying) == 0)
        s->any_copying = true;
    else if (strcmp(state, resync) == 0)
        s->any_resync = true;
    else if (strcmp(state, streaming) == 0)
        s->any_streaming = true;
    else
        s->other = state;
}

static const char *
state_of_all(const struct states *s)
{
    if (s->other != NULL)
        return s->other;
    if (s->any_resync)
        return resync;
    if (s->any_copying || (s->any_waiting && s->any_streaming))
        return copying;
    return s->any_waiting ? waiting : streaming;
}

/* ---- blocks ---- */

/* The table may be larger than the source has reported. */
static uint64_t
last_block(const struct spans *spans, uint64_t blocks)
{
    for (size_t i = 0; i < spans->count; i++)
        if (!spans->list[i].open && spans->list[i].to.block > blocks)
            blocks = spans->list[i].to.block;
    return blocks;
}

static uint64_t
count_blocks(const struct spans *spans, uint64_t blocks)
{
    uint64_t count = 0;

    for (size_t i = 0; i < spans->count; i++) {
        const struct span *span = &spans->list[i];
        uint64_t to = span->open ? blocks : span->to.block;

        if (to > span->from.block)
            count += to - span->from.block;
    }
    return count;
}

/* Keeps the spans that a worker has of that file too. */
static int
keep_noted(struct spans *spans, const struct copynote *note, uint32_t file)
{
    struct bytes text = {0};
    struct spans own = {0};
    struct err ignored;
    int rc;

    if (note != NULL && note->file == file)
        text = (struct bytes){.data = (const uint8_t *)note->done, .len = strlen(note->done)};
    rc = spans_parse(&own, text, &ignored) == 0 && spans_keep(spans, &own) == 0 ? 0 : -1;
    spans_free(&own);
    return rc;
}

/* Adds the blocks that all workers have of a part that some worker does not stream yet. */
static void
add_blocks(const struct making *m, struct table_progress *t, const struct copynote *notes,
           size_t count, const struct source_part *part)
{
    struct spans common = {0};
    uint64_t blocks;
    bool readable = spans_add(&common, (struct span){.open = true}) == 0;

    for (uint32_t shard = 0; shard < m->workers && readable; shard++)
        readable = keep_noted(&common, note_of(notes, count, part->oid, shard), part->file) == 0;
    if (!readable)
        common.count = 0;
    blocks = last_block(&common, part->blocks);
    t->blocks += blocks;
    t->done += count_blocks(&common, blocks);
    spans_free(&common);
}

/* ---- tables ---- */

static void
add_notes(struct table_progress *t, const struct copynote *notes, size_t count,
          struct states *states)
{
    for (size_t i = 0; i < count; i++) {
        t->copied = t->copied || notes[i].lsn != 0;
        t->behind = t->behind || notes[i].behind;
        t->rows += notes[i].count;
        if (notes[i].lsn > t->l0)
            t->l0 = notes[i].lsn;
        if (notes[i].updated > t->updated)
            t->updated = notes[i].updated;
        add_state(states, notes[i].state);
    }
}

/* A worker without a note of a part has not begun with it. */
static void
add_part(const struct making *m, struct table_progress *t, const struct copynote *notes,
         size_t count, const struct source_part *part, struct states *states)
{
    struct states own = {0};

    for (uint32_t shard = 0; shard < m->workers; shard++) {
        const struct copynote *note = note_of(notes, count, part->oid, shard);

        add_state(&own, note != NULL ? note->state : m->unnoted);
    }
    add_state(states, state_of_all(&own));
    if (state_of_all(&own) != streaming) {
        add_blocks(m, t, notes, count, part);
    } else {
        t->blocks += part->blocks;
        t->done += part->blocks;
    }
}

static uint64_t
missing_of(const struct sinknotes *notes, uint32_t relid)
{
    uint64_t keys = 0;

    for (size_t i = 0; i < notes->missing_count; i++)
        if (notes->missing[i].relid == relid)
            keys += notes->missing[i].count;
    return keys;
}

static const struct copynote *
parked_of(const struct sinknotes *notes, uint32_t relid)
{
    for (size_t i = 0; i < notes->parked_count; i++)
        if (notes->parked[i].relid == relid)
            return &notes->parked[i];
    return NULL;
}

static void
finish_table(const struct making *m, struct table_progress *t, const struct states *states)
{
    struct tablelist *list = m->list;

    t->state = list->sink->detached ? detached : state_of_all(states);
    if (t->state == resync)
        t->parked = parked_of(m->notes, t->relid);
    if (t->parked != NULL) {
        t->state = parked;
        t->behind = false; /* for another reason */
    }
    t->missing = missing_of(m->notes, t->relid);
    t->speed = t->rows_speed = -1;
    list->streaming += t->state == streaming;
    list->copying += t->state == copying;
    list->resync += t->state == resync;
    list->parked += t->state == parked;
    if (t->copied || t->state != streaming) {
        list->blocks += t->blocks;
        list->done += t->done;
    }
    list->tables[list->count++] = *t;
}

static void
add_published(const struct making *m, const struct source_table *table)
{
    struct table_progress t = {.relid = table->relid,
                               .schema = table->schema,
                               .name = table->name,
                               .published = true,
                               .sized = true};
    struct states states = {0};
    size_t count;
    const struct copynote *notes = notes_of(m->notes, table->relid, &count);

    add_notes(&t, notes, count, &states);
    for (size_t i = 0; i < table->parts_count; i++)
        add_part(m, &t, notes, count, &table->parts[i], &states);
    if (count == 0 && table->parts_count == 0)
        add_state(&states, m->unnoted);
    finish_table(m, &t, &states);
}

static bool
is_published(const struct sourcetables *source, uint32_t relid)
{
    for (size_t i = 0; i < source->count; i++)
        if (source->tables[i].relid == relid)
            return true;
    return false;
}

/* Adds tables that only the target knows. */
static void
add_noted(const struct making *m)
{
    const struct copynote *parts = m->notes->parts;
    struct table_progress t;
    size_t count;

    for (size_t i = 0; i < m->notes->parts_count; i += count) {
        struct states states = {0};

        t = (struct table_progress){
            .relid = parts[i].relid, .schema = parts[i].schema, .name = parts[i].name};
        (void)notes_of(m->notes, t.relid, &count);
        if (is_published(m->source, t.relid))
            continue;
        add_notes(&t, &parts[i], count, &states);
        finish_table(m, &t, &states);
    }
}

static int
rank(const struct table_progress *t)
{
    return t->state == copying || t->state == resync ? 0
           : t->state == waiting                     ? 2
           : t->state == streaming                   ? 3
           : t->state == parked                      ? -1
                                                     : 1;
}

static int
compare_tables(const void *left, const void *right)
{
    const struct table_progress *a = left, *b = right;
    int order = rank(a) - rank(b);

    if (order == 0)
        order = strcmp(a->schema, b->schema);
    if (order == 0)
        order = strcmp(a->name, b->name);
    return order != 0 ? order : a->relid < b->relid ? -1 : a->relid > b->relid;
}

static uint32_t
count_workers(const struct sinknotes *notes, const struct sink_config *sink)
{
    uint32_t workers = notes->sink.workers;

    return workers > 0 && workers <= WORKERS_MAX ? workers : sink->shards;
}

void
tablelist_make(struct tablelist *list, const struct sink_config *sink,
               const struct sourcetables *source, const struct sinknotes *notes, struct pool *pool)
{
    struct making m = {.list = list,
                       .source = source,
                       .notes = notes,
                       .workers = count_workers(notes, sink),
                       .unnoted =
                           sink->copies || notes->sink.noted ? notes->sink.state : streaming};

    *list = (struct tablelist){.sink = sink,
                               .known = notes->known,
                               .code = notes->code,
                               .why = notes->why,
                               .lsn = notes->sink.lsn,
                               .settled = notes->sink.settled,
                               .system = notes->sink.system,
                               .timeline = notes->sink.timeline,
                               .block_size = source->block_size,
                               .speed = -1};
    if (!notes->known)
        return;
    list->tables = pool_take(pool, (source->count + notes->parts_count + 1) * sizeof *list->tables);
    for (size_t i = 0; i < source->count; i++)
        if (tablefilter_takes(&sink->filter, source->tables[i].schema, source->tables[i].name))
            add_published(&m, &source->tables[i]);
    add_noted(&m);
    list->lacks = notes->lacks;
    list->lacks_count = notes->lacks_count;
    list->skips = notes->skips;
    list->skips_count = notes->skips_count;
    qsort(list->tables, list->count, sizeof *list->tables, compare_tables);
}

/* ---- speeds ---- */

static const struct table_progress *
find_before(const struct tablelist *before, uint32_t relid)
{
    for (size_t i = 0; i < before->count; i++)
        if (before->tables[i].relid == relid)
            return &before->tables[i];
    return NULL;
}

/* Computed from the times when the notes were written, because ranges come in lumps, also less than
 * one per second. Many small ones may be noted within a moment, and then comes none for a while, so
 * the time between the two looks counts if it is longer. */
static void
set_speed(struct table_progress *now, const struct table_progress *before, double between)
{
    double seconds;

    if (before->updated == 0 || now->updated <= before->updated)
        return;
    seconds = (double)(now->updated - before->updated) / 1e6;
    if (seconds < between)
        seconds = between;
    if (now->sized && before->sized && now->done > before->done)
        now->speed = (double)(now->done - before->done) / seconds;
    if (now->rows > before->rows)
        now->rows_speed = (double)(now->rows - before->rows) / seconds;
}

void
tablelist_speeds(struct tablelist *list, const struct tablelist *before, double between)
{
    double sum = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct table_progress *earlier = find_before(before, list->tables[i].relid);

        if (earlier == NULL || earlier->state == streaming)
            continue;
        set_speed(&list->tables[i], earlier, between);
        if (list->tables[i].speed > 0)
            sum += list->tables[i].speed;
    }
    list->speed = sum > 0 ? sum : -1;
}

double
tablelist_seconds(uint64_t blocks, double speed)
{
    return speed > 0 ? (double)blocks / speed : -1;
}
