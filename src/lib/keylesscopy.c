/* keylesscopy.c: see keylesscopy.h. */
#include "lib/keylesscopy.h"

#include <inttypes.h>
#include <stdio.h>

struct copypart *
keylesscopy_of(const struct copying *c, uint32_t relid)
{
    struct copypart *at = relmap_get(&c->tables, relid);

    while (at != NULL && (at->life == 0 || !at->keyless))
        at = at->table_next;
    return at;
}

bool
keylesscopy_lacks(const struct copypart *part, uint32_t xid)
{
    return !part->snapshot_known || !snapshot_contains(&part->snapshot, xid);
}

void
keylesscopy_spoil(struct copying *c, struct copypart *part)
{
    if (part->spoiled)
        return;
    part->spoiled = true;
    copyparts_changed(c, part);
}

/* The rows of a table go to other workers with a key than without one. If one worker empties the
 * table, it may remove rows that another one has just written. */
static int
refuse_other_kind(const struct copying *c, const struct copypart *part, struct err *err)
{
    snprintf(err->relation, sizeof err->relation, "%s.%s", part->schema, part->name);
    err_set(err, EXIT_REFUSED,
            "%s.%s cannot be copied further: it has %s, unlike when its copy began", part->schema,
            part->name, part->keyless ? "a key" : "no key");
    return err_hint(err, "%s", c->kind_hint);
}

int
keylesscopy_begin(struct copying *c, struct copypart *part, bool has_key, struct err *err)
{
    bool lived = part->state == COPY_COPYING || part->state == COPY_STREAMING;

    if (lived && part->keyless == has_key)
        return refuse_other_kind(c, part, err);
    part->keyless = part->begins = !has_key;
    part->clears = part->begins && lived;
    part->spoiled = part->snapshot_known = false;
    part->held_count = part->held_bytes = part->sent = 0;
    if (has_key)
        return 0;
    c->urgent = true;
    part->done.count = 0;
    part->file = 0;
    part->rows = 0;
    return 0;
}

int
keylesscopy_range(struct copypart *part, const struct range_event *range, struct err *err)
{
    if (!part->snapshot_known) {
        part->snapshot_known = true;
        return snapshot_copy(&part->snapshot, &range->snapshot, err);
    }
    if (snapshot_within(&part->snapshot, &range->snapshot) &&
        snapshot_within(&range->snapshot, &part->snapshot))
        return 0;
    return err_set(err, EXIT_BUG,
                   "range %" PRIu64 ".%" PRIu64
                   " of %s.%s, which has no key, was read under a snapshot of its own",
                   range->life, range->number, part->schema, part->name);
}

/* The life failed after its ranges had been written. A missing key without values makes
 * pg-table-read begin another life. */
void
keylesscopy_end(struct copying *c, struct copypart *part)
{
    static const uint8_t none[] = {0x90}; /* an array without elements */

    c->urgent = true;
    buf_reset(&part->missing, 0);
    if (!part->spoiled)
        return;
    part->state = COPY_COPYING;
    part->done.count = 0;
    buf_append(&part->missing, none, sizeof none);
}

void
keylesscopy_committed(struct copypart *part)
{
    part->begins = part->clears = false;
    if (part->state == COPY_STREAMING)
        part->spoiled = false;
}
