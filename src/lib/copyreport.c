/* copyreport.c: see copyreport.h. */
#include "lib/copyreport.h"

#include <stdio.h>

#include "lib/ackclient.h"
#include "lib/copydetail.h"

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for the tables that are copied");
}

/* If there are too many finished ranges with gaps between them for a message, none is reported.
 * Then the table is read again, which leaves few. */
static void
add_detail(struct buf *detail, const struct copypart *part)
{
    struct copydetail_state state = {.file = part->file,
                                     .resync = part->state == COPY_RESYNC && !part->parked};
    struct buf done = {0};

    spans_print(&part->done, &done);
    /* A parked table is copied again anyway, so nobody need know what was published of it. */
    if (!part->parked)
        snprintf(state.definition, sizeof state.definition, "%s", part->definition);
    if (!done.failed && buf_len(&done) < COPYMSG_OPAQUE_MAX - 1024)
        state.done = (struct bytes){.data = done.data + done.start, .len = buf_len(&done)};
    copydetail_state_encode(detail, &state);
    buf_free(&done);
}

static void
add_refusal(struct buf *detail, const struct err *why)
{
    struct copydetail_refusal refusal;

    snprintf(refusal.message, sizeof refusal.message, "%.*s", (int)sizeof refusal.message - 1,
             why->message);
    snprintf(refusal.hint, sizeof refusal.hint, "%.*s", (int)sizeof refusal.hint - 1, why->hint);
    copydetail_refusal_encode(detail, &refusal);
}

/* To the question of a life, or with life 0 to that of a list. */
static int
answer(const struct copying *c, struct copypart *part, uint64_t life, struct ackconn *ack,
       struct err *err)
{
    bool have = part->state == COPY_STREAMING || part->parked;
    struct table_state state = {.life = life,
                                .relid = part->relid,
                                .part = part->part,
                                .want = have ? TABLE_HAVE : TABLE_WANT,
                                .last = life != 0};
    struct buf detail = {0};
    int rc;

    if (part->kept && life != 0) {
        state.want = TABLE_KEEP;
        add_refusal(&detail, &c->kept);
        part->kept = false;
    } else {
        add_detail(&detail, part);
    }
    state.detail = (struct bytes){.data = detail.data + detail.start, .len = buf_len(&detail)};
    rc = detail.failed ? out_of_memory(err) : ackclient_table_state(ack, &state, err);
    buf_free(&detail);
    return rc;
}

static int
report_range(const struct heldrange *range, struct ackconn *ack, struct err *err)
{
    struct range_copied copied = {.life = range->range.life,
                                  .number = range->range.number,
                                  .written = range->fate == HELDRANGE_WRITTEN};
    struct bytes missing = {.data = range->missing.data + range->missing.start,
                            .len = buf_len(&range->missing)};

    if (missing.len > 0 && ackclient_missing(ack, copied.life, missing, err) != 0)
        return -1;
    return ackclient_copied(ack, &copied, err);
}

static void
count_range(const struct heldrange *range, struct copy_counts *counts)
{
    if (range->fate != HELDRANGE_WRITTEN)
        return;
    counts->rows += range->rows_count;
    counts->bytes += buf_len(&range->rows);
}

static int
report_ranges(struct copying *c, struct ackconn *ack, struct copy_counts *counts, struct err *err)
{
    for (struct heldrange *range = c->held.first, *next; range != NULL; range = next) {
        next = range->next;
        if (range->fate == HELDRANGE_WAITS)
            continue;
        if (report_range(range, ack, err) != 0)
            return -1;
        count_range(range, counts);
        heldranges_drop(&c->held, range);
    }
    return 0;
}

static int
report_parts(struct copying *c, struct ackconn *ack, struct err *err)
{
    for (struct copypart *part = c->parts; part != NULL; part = part->next) {
        struct bytes missing = {.data = part->missing.data + part->missing.start,
                                .len = buf_len(&part->missing)};

        if (part->ended_life != 0 && missing.len > 0 &&
            ackclient_missing(ack, part->ended_life, missing, err) != 0)
            return -1;
        part->ended_life = 0;
        if (part->asked_begun && answer(c, part, part->asked_life, ack, err) != 0)
            return -1;
        if (part->asked && answer(c, part, 0, ack, err) != 0)
            return -1;
        part->asked = part->asked_begun = false;
    }
    return 0;
}

static int
report_list(struct copying *c, struct ackconn *ack, struct err *err)
{
    const struct table_state state = {.want = TABLE_HAVE, .last = true};

    if (!c->listed)
        return 0;
    c->listed = c->carried_over = c->attached = false;
    return ackclient_table_state(ack, &state, err);
}

/* A table is copying until all its parts are streaming. 0 if no part counts. */
static enum copy_state
table_state_of(const struct copypart *first)
{
    bool waits = false, copies = false, resyncs = false, streams = false, parked = false;

    for (const struct copypart *at = first; at != NULL; at = at->table_next) {
        if (at->gone || at->out)
            continue;
        waits = waits || at->state == COPY_NEW || at->state == COPY_WAITING;
        copies = copies || at->state == COPY_COPYING;
        resyncs = resyncs || at->state == COPY_RESYNC;
        parked = parked || at->parked;
        streams = streams || at->state == COPY_STREAMING;
    }
    if (resyncs)
        return parked ? COPY_PARKED : COPY_RESYNC;
    if (copies || (waits && streams))
        return COPY_COPYING;
    return waits ? COPY_WAITING : streams ? COPY_STREAMING : 0;
}

/* Tells ackd the state, if it has changed. */
static int
tell_table(struct copypart *first, enum copy_state state, struct ackconn *ack, struct err *err)
{
    struct ack_table_counts table = {0};

    if (state == first->told || state == 0)
        return 0;
    first->told = state;
    snprintf(table.table, sizeof table.table, "%s.%s", first->schema, first->name);
    snprintf(table.state, sizeof table.state, "%s", copyparts_state_name(state));
    return ackclient_table_counts(ack, &table, err);
}

static int
count_table(struct copypart *first, struct ackconn *ack, struct copy_counts *counts,
            struct err *err)
{
    enum copy_state state = table_state_of(first);

    counts->copying += state == COPY_COPYING;
    counts->resync += state == COPY_RESYNC;
    counts->parked += state == COPY_PARKED;
    counts->waiting += state == COPY_WAITING;
    counts->streaming += state == COPY_STREAMING;
    return tell_table(first, state, ack, err);
}

/* When nothing was copied and no state has changed, there is nothing to say. */
static int
report_counts(struct copying *c, struct ackconn *ack, struct copy_counts *counts, struct err *err)
{
    if (!c->uncounted && counts->rows == 0)
        return 0;
    for (struct copypart *part = c->parts; part != NULL; part = part->next)
        if (relmap_get(&c->tables, part->relid) == part && count_table(part, ack, counts, err) != 0)
            return -1;
    c->uncounted = false;
    return ackclient_copy_counts(ack, counts, err);
}

int
copyreport_send(struct copying *c, struct ackconn *ack, struct err *err)
{
    struct copy_counts counts = {0};

    if (report_ranges(c, ack, &counts, err) != 0 || report_parts(c, ack, err) != 0 ||
        report_list(c, ack, err) != 0)
        return -1;
    return report_counts(c, ack, &counts, err);
}
