/* copyranges.c: see copyranges.h. Rows of ranges go the ways of inserts. */
#include "sink-pg/copyranges.h"

#include "lib/clock.h"
#include "sink-pg/match.h"

/* Changes of the stream wait for the end of a COPY. While the stream brings some, a COPY is to take
 * about the shorter time. Otherwise it grows up to the longer one, because each costs the target
 * some milliseconds, and ends when a change comes. */
#define BURST_MICROS_BUSY 3000
#define BURST_MICROS_IDLE 100000

/* Of its rows. The least is a single range of pg-table-read. */
#define BURST_BYTES_LEAST ((size_t)64 << 10)
#define BURST_BYTES_MOST  ((size_t)4 << 20)

/* ---- the table of a range ---- */

/* The range's columns may differ from those that the stream described last. So its table is not one
 * of the stream's. */
static int
take_table(struct copyranges *c, const struct frame *frame, uint32_t relid, struct err *err)
{
    bool staged = copyparts_stages(&c->copying, relid);
    struct table **place = &c->first;

    while (*place != NULL && (*place)->relation.relid != relid)
        place = &(*place)->segment_next;
    c->table = *place;
    if (c->table != NULL && c->table->staged == staged && table_is(c->table, frame))
        return 0;
    c->table = staged ? staging_table(&c->staging, frame, err) : table_new(c->tables, frame, err);
    if (c->table == NULL)
        return -1;
    if (*place != NULL)
        c->table->segment_next = (*place)->segment_next;
    table_free(*place);
    *place = c->table;
    return 0;
}

/* Also whether its rows can be overwritten. */
static int
plan_table(struct copyranges *c, struct session *s, bool *unplaced, struct err *err)
{
    int rc = tables_plan(c->tables, c->table, s, err);

    if (rc == 0 && copyparts_has_key(&c->table->relation))
        rc = match_require_overwrites(c->table->plan, c->table->label, err);
    if (rc != 0)
        err->culprit = c->table->relation.relid;
    if (rc != 0 && c->table->staged)
        staging_misfit(&c->copying, c->table, unplaced, err);
    return rc;
}

/* description is a relation event. */
static int
find_table(struct copyranges *c, uint32_t relid, const struct buf *description, struct session *s,
           bool *unplaced, struct err *err)
{
    struct frame frame = {
        .raw = {.data = description->data + description->start, .len = buf_len(description)}};
    bool fresh;

    frame.body = cursor_over(frame.raw.data + FRAME_HEADER, frame.raw.len - FRAME_HEADER);
    if (take_table(c, &frame, relid, err) != 0)
        return -1;
    fresh = c->table->plan == NULL || c->table->plan->generation != s->generation;
    if (plan_table(c, s, unplaced, err) != 0)
        return -1;
    return fresh && c->wholes != NULL ? wholes_check(c->wholes, s, c->table, unplaced, err) : 0;
}

static int
find_table_of(struct copyranges *c, const struct relation *relation, struct session *s,
              bool *unplaced, struct err *err)
{
    buf_reset(&c->frame, 1u << 16);
    if (relation_encode(&c->frame, relation) != 0)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    return find_table(c, relation->relid, &c->frame, s, unplaced, err);
}

/* A target that takes no copied rows is refused before anything is written into it. */
static int
find_tables_of_lives(struct copyranges *c, struct session *s, bool *unplaced, struct err *err)
{
    for (const struct copypart *part = c->copying.parts; part != NULL; part = part->next)
        if (part->changed && part->life != 0 && !part->keyless &&
            find_table(c, part->relid, &part->described, s, unplaced, err) != 0)
            return -1;
    return 0;
}

/* ---- its rows ---- */

/* An attempt to write them begins. */
static int
start_keys(struct copyranges *c, struct err *err)
{
    c->found.count = 0;
    return copyparts_has_key(&c->table->relation)
               ? keylist_start(&c->found, &c->table->relation, err)
               : 0;
}

/* Ranges of one life that are written together. */
struct burst {
    struct heldrange *first;
    struct heldrange *last;
    uint32_t rows;
    size_t bytes;
};

static void
add_to_burst(struct burst *burst, struct heldrange *range)
{
    burst->last = range;
    burst->rows += range->rows_count;
    burst->bytes += buf_len(&range->rows);
}

static bool
fits_burst(const struct copyranges *c, const struct burst *burst, const struct heldrange *range)
{
    const struct range_event *first = &burst->first->range;

    return first->kind == RANGE_BLOCKS && range->range.kind == RANGE_BLOCKS &&
           range->range.life == first->life &&
           burst->bytes + buf_len(&range->rows) <= c->burst_bytes;
}

static struct burst
take_burst(const struct copyranges *c, struct heldrange *first)
{
    struct burst burst = {.first = first};
    struct heldrange *range = first;

    do {
        add_to_burst(&burst, range);
        range = copying_next(&c->copying, range);
    } while (range != NULL && fits_burst(c, &burst, range));
    return burst;
}

struct range_reading {
    struct copyranges *c;
    struct burst *burst;
    struct heldrange *range; /* the current one */
    struct cursor rows;
    uint32_t left;
    bool settles;
};

static void
read_range(struct range_reading *r, struct heldrange *range)
{
    r->range = range;
    r->rows = cursor_over(range->rows.data + range->rows.start, buf_len(&range->rows));
    r->left = range->rows_count;
}

static struct range_reading
read_rows(struct copyranges *c, struct burst *burst)
{
    struct range_reading reading = {
        .c = c,
        .burst = burst,
        /* Another worker may have noted a key since this one looked. */
        .settles = copyparts_has_key(&c->table->relation) &&
                   (c->notes.missing.any || burst->first->range.kind == RANGE_KEYS)};

    read_range(&reading, burst->first);
    return reading;
}

/* The next range that the commit writes. When all that were collected are written it takes a
 * further one, as long as no change waits for the commit. */
static int
next_range(struct copyranges *c, struct heldrange *last, struct heldrange **range, struct err *err)
{
    *range = copying_next(&c->copying, last);
    if (*range != NULL || last == NULL || c->position == 0 || c->waits(c->context))
        return 0;
    if (copying_collect(&c->copying, c->position, 1, err) != 0)
        return -1;
    *range = copying_next(&c->copying, last);
    return 0;
}

/* Behind the burst's last range. Returns 1, 0 if no other range comes into it, or -1. */
static int
grow(struct range_reading *r, struct err *err)
{
    struct heldrange *range;

    if (r->burst->bytes >= r->c->burst_bytes)
        return 0;
    if (next_range(r->c, r->burst->last, &range, err) != 0)
        return -1;
    if (range == NULL || !fits_burst(r->c, r->burst, range))
        return 0;
    add_to_burst(r->burst, range);
    return 1;
}

/* Moves to the next range that has a row. Returns 1, 0 if there is none, or -1. */
static int
find_row(struct range_reading *r, struct err *err)
{
    while (r->left == 0) {
        int more = r->range == r->burst->last ? grow(r, err) : 1;

        if (more != 1)
            return more;
        read_range(r, copying_next(&r->c->copying, r->range));
    }
    return 1;
}

/* The next row of a range, or the next absent key, and its verdict. */
static int
next_row(struct copyranges *c, const struct heldrange *range, struct cursor *rows,
         struct tuple *row, enum tracked_verdict *verdict, struct err *err)
{
    if (!rows_next(rows, row, c->values->new_values) ||
        row->count != c->table->relation.columns_count)
        return err_set(err, EXIT_REFUSED, "malformed rows event");
    return copying_judge(&c->copying, range, row, verdict, err);
}

/* The next row that the target is to get. Returns 1, 0 behind the last, or -1. */
static int
next_written(struct range_reading *r, struct tuple *row, struct err *err)
{
    enum tracked_verdict verdict = TRACKED_SKIP;

    /* A skipped row may still be missing. An update that moved an unknown row to its key is
     * whole. */
    while (verdict == TRACKED_SKIP) {
        int found = find_row(r, err);

        if (found != 1)
            return found;
        r->left--;
        if (next_row(r->c, r->range, &r->rows, row, &verdict, err) != 0)
            return -1;
    }
    return r->settles && keylist_add(&r->c->found, &r->c->table->relation, row->values, err) != 0
               ? -1
               : 1;
}

static int
next_values(void *context, const struct value **values, struct err *err)
{
    struct tuple row;
    int found = next_written(context, &row, err);

    *values = row.values;
    return found;
}

/* COPY takes the rows one by one, so that they are not held twice. */
static enum outcome
copy_rows(struct copyranges *c, struct burst *burst, struct ways *ways, struct session *s,
          struct err *err)
{
    struct range_reading reading = read_rows(c, burst);
    struct row_source rows = {.next = next_values, .context = &reading};

    return ways_copy(ways, s, c->table, burst->rows, burst->bytes, &rows, err);
}

/* ---- its rows as changes ---- */

static int
add_row(struct copyranges *c, const struct tuple *row, uint64_t mark, struct err *err)
{
    struct row_event event = {.header = {.relid = c->table->relation.relid, .ordinal = 1},
                              .new_row = *row};
    struct bytes body;

    buf_reset(&c->frame, 1u << 20);
    if (row_encode(&c->frame, FRAME_INSERT, &event) != 0)
        return err_set(err, EXIT_PEER, "out of memory for a copied row");
    body = (struct bytes){.data = c->frame.data + c->frame.start + FRAME_HEADER,
                          .len = buf_len(&c->frame) - FRAME_HEADER};
    return batch_add_row(&c->batch, c->table, FRAME_INSERT, body, mark, err);
}

static int
add_rows(struct copyranges *c, struct burst *burst, struct err *err)
{
    struct range_reading reading = read_rows(c, burst);
    struct tuple row;
    int found;

    if (start_keys(c, err) != 0)
        return -1;
    batch_drop(&c->batch, c->batch.count);
    while ((found = next_written(&reading, &row, err)) == 1)
        if (add_row(c, &row, reading.range->range.mark, err) != 0)
            return -1;
    return found;
}

static enum outcome
merge_rows(struct copyranges *c, struct burst *burst, struct ways *ways, struct session *s,
           struct err *err)
{
    struct op_list list = {.batch = &c->batch, .table = c->table};

    if (add_rows(c, burst, err) != 0)
        return outcome_of(s, err);
    list.end = list.count = list.inserts = c->batch.count;
    return list.count == 0 ? OUTCOME_DONE : ways_apply(ways, s, &list, false, err);
}

/* Absent keys are no longer missing. The target has no row of them, because a row that the source
 * does not have is never covered. A delete must not look for one either. Several source tables may
 * go to one target table, and equal keys may have different texts. */
static int
settle_absent(struct copyranges *c, const struct heldrange *range, struct err *err)
{
    struct cursor rows =
        cursor_over(range->absent.data + range->absent.start, buf_len(&range->absent));
    enum tracked_verdict verdict;
    struct tuple row;

    for (uint32_t i = 0; i < range->absent_count; i++)
        if (next_row(c, range, &rows, &row, &verdict, err) != 0 ||
            (verdict == TRACKED_WRITE &&
             keylist_add(&c->found, &c->table->relation, row.values, err) != 0))
            return -1;
    return 0;
}

static enum outcome
apply_rows(struct copyranges *c, struct burst *burst, struct ways *ways, struct session *s,
           struct err *err)
{
    enum outcome outcome = copy_rows(c, burst, ways, s, err);

    if (outcome == OUTCOME_NOT)
        outcome = merge_rows(c, burst, ways, s, err);
    /* Only a range of keys has absent ones, and it is alone. */
    if (outcome == OUTCOME_DONE && settle_absent(c, burst->first, err) != 0)
        return outcome_of(s, err);
    return outcome;
}

/* ---- ranges ---- */

/* All rows of a table without a key go to one worker. */
static int
check_place(struct copyranges *c, struct err *err)
{
    const struct relation *relation = &c->table->relation;
    bool mine;

    return copyparts_has_key(relation) ? 0 : copyheld_place(&c->held, relation, &mine, err);
}

/* The size of the next COPY follows from the time that the last ones took. */
static void
learn_rate(struct copyranges *c, size_t bytes, uint64_t micros)
{
    uint64_t rate = bytes * 1000000 / (micros + 1);

    c->bytes_per_second = c->bytes_per_second == 0 ? rate : (3 * c->bytes_per_second + rate) / 4;
}

static size_t
choose_burst(const struct copyranges *c, bool busy)
{
    uint64_t micros = busy ? BURST_MICROS_BUSY : BURST_MICROS_IDLE;
    uint64_t bytes = c->bytes_per_second * micros / 1000000;

    return bytes < BURST_BYTES_LEAST  ? BURST_BYTES_LEAST
           : bytes > BURST_BYTES_MOST ? BURST_BYTES_MOST
                                      : (size_t)bytes;
}

static enum outcome
write_rows(struct copyranges *c, struct burst *burst, struct ways *ways, struct session *s,
           bool *unplaced, struct err *err)
{
    uint64_t began = clock_micros();
    enum outcome outcome;

    if (find_table_of(c, &burst->first->range.relation, s, unplaced, err) != 0)
        return outcome_of(s, err);
    if (start_keys(c, err) != 0 || check_place(c, err) != 0)
        return outcome_of(s, err);
    c->table->copied = c->table->of_ranges = true;
    c->table->count = 1;
    outcome = apply_rows(c, burst, ways, s, err);
    batch_drop(&c->batch, c->batch.count);
    learn_rate(c, burst->bytes, clock_micros() - began);
    return outcome;
}

static int
settle_keys(struct copyranges *c, struct heldrange *range, struct session *s, struct err *err)
{
    if (range->range.kind != RANGE_ASKS)
        return c->found.count == 0
                   ? 0
                   : copymissing_remove(&c->notes.missing, s, range->range.relation.relid,
                                        &c->found, err);
    buf_reset(&range->missing, 1u << 20);
    if (copymissing_forget(&c->notes.missing, s, &range->range.relation, err) != 0)
        return -1;
    return copymissing_read(&c->notes.missing, s, range->range.relation.relid, &range->missing,
                            err);
}

enum outcome
copyranges_missed(struct copyranges *c, struct session *s, const struct batch *batch, uint32_t to,
                  struct err *err)
{
    if (copymissing_add(&c->notes.missing, s, batch, to, c->values, err) != 0)
        return outcome_of(s, err);
    return copyheld_write(&c->held, s, err);
}

/* ---- resyncs ---- */

static int
make_staging(struct copyranges *c, struct session *s, bool *unplaced, struct err *err)
{
    int rc = staging_make(&c->staging, s, &c->copying, err);

    *unplaced = *unplaced || c->copying.unstage != 0;
    return rc;
}

static int
settle_resyncs(struct copyranges *c, bool *unplaced, struct err *err)
{
    int rc = resync_settle(&c->resync, &c->copying, &c->merged, err);

    *unplaced = *unplaced || c->copying.unstage != 0;
    return rc;
}

/* ---- the commit ---- */

int
copyranges_collect(struct copyranges *c, uint64_t position, enum copyranges_amount amount,
                   struct err *err)
{
    bool all = amount == COPYRANGES_ALL;

    c->burst_bytes = choose_burst(c, amount == COPYRANGES_FEW);
    c->position = all ? 0 : position;
    return copying_collect(&c->copying, position, all ? SIZE_MAX : 1, err);
}

static enum outcome
write_ranges(struct copyranges *c, struct ways *ways, struct session *s, bool *unplaced,
             struct err *err)
{
    struct heldrange *range = NULL;
    int rc;

    while ((rc = next_range(c, range, &range, err)) == 0 && range != NULL) {
        struct burst burst = take_burst(c, range);
        enum outcome outcome = write_rows(c, &burst, ways, s, unplaced, err);

        if (outcome != OUTCOME_DONE)
            return outcome;
        if (settle_keys(c, range, s, err) != 0)
            return outcome_of(s, err);
        range = burst.last;
    }
    return rc == 0 ? OUTCOME_DONE : outcome_of(s, err);
}

enum outcome
copyranges_write(struct copyranges *c, struct ways *ways, struct session *s, bool *unplaced,
                 struct err *err)
{
    enum outcome outcome;

    if (make_staging(c, s, unplaced, err) != 0 || find_tables_of_lives(c, s, unplaced, err) != 0)
        return outcome_of(s, err);
    outcome = write_ranges(c, ways, s, unplaced, err);
    if (outcome != OUTCOME_DONE)
        return outcome;
    outcome = copyheld_settle(&c->held, &c->copying, ways, s, unplaced, err);
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (settle_resyncs(c, unplaced, err) != 0)
        return outcome_of(s, err);
    return copynotes_write(&c->notes, s, &c->copying, err) == 0 ? OUTCOME_DONE : outcome_of(s, err);
}

void
copyranges_begin(struct copyranges *c)
{
    for (struct table *table = c->first; table != NULL; table = table->segment_next)
        table->count = 0;
    c->held.applied = NULL;
}

void
copyranges_free(struct copyranges *c)
{
    keylist_free(&c->found);
    copying_free(&c->copying);
    while (c->first != NULL) {
        struct table *table = c->first;

        c->first = table->segment_next;
        table_free(table);
    }
    batch_free(&c->batch);
    copyheld_free(&c->held);
    buf_free(&c->frame);
}
