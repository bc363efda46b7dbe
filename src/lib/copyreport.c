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
    struct copydetail_state state = {.file = part->file};
    struct buf done = {0};

    spans_print(&part->done, &done);
    snprintf(state.definition, sizeof state.definition, "%s", part->definition);
    if (!done.failed && buf_len(&done) < COPYMSG_OPAQUE_MAX - 1024)
        state.done = (struct bytes){.data = done.data + done.start, .len = buf_len(&done)};
    copydetail_state_encode(detail, &state);
    buf_free(&done);
}

static int
answer(const struct copypart *part, struct ackconn *ack, struct err *err)
{
    struct table_state state = {.life = part->asked_life,
                                .relid = part->relid,
                                .part = part->part,
                                .want = part->state == COPY_STREAMING ? TABLE_HAVE : TABLE_WANT,
                                .last = part->asked_life != 0};
    struct buf detail = {0};
    int rc;

    add_detail(&detail, part);
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

static int
report_ranges(struct copying *c, struct ackconn *ack, struct err *err)
{
    for (struct heldrange *range = c->held.first, *next; range != NULL; range = next) {
        next = range->next;
        if (range->fate == HELDRANGE_WAITS)
            continue;
        if (report_range(range, ack, err) != 0)
            return -1;
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
        if (part->asked && answer(part, ack, err) != 0)
            return -1;
        part->asked = false;
    }
    return 0;
}

static int
report_list(struct copying *c, struct ackconn *ack, struct err *err)
{
    const struct table_state state = {.want = TABLE_HAVE, .last = true};

    if (!c->listed)
        return 0;
    c->listed = c->carried_over = false;
    return ackclient_table_state(ack, &state, err);
}

int
copyreport_send(struct copying *c, struct ackconn *ack, struct err *err)
{
    if (report_ranges(c, ack, err) != 0 || report_parts(c, ack, err) != 0)
        return -1;
    return report_list(c, ack, err);
}
