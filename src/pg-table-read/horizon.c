/* horizon.c: see horizon.h. */
#include "pg-table-read/horizon.h"

#define HORIZON_MICROS UINT64_C(1000000)

/* The oldest snapshot that a range which is not sent yet may have. */
static const struct snapshot *
oldest(const struct copy *copy)
{
    const struct snapshot *found = &copy->latest;

    for (size_t i = 0; i < copy->readers_count; i++) {
        const struct rangeread *range = &copy->readers[i].range;

        if (range->state != RANGEREAD_IDLE && snapshot_within(&range->base, found))
            found = &range->base;
    }
    return found;
}

static int
put(struct copy *copy, struct err *err)
{
    const struct snapshot *now = oldest(copy);

    if (copy->horizon.running != NULL && snapshot_within(now, &copy->horizon))
        return 0;
    if (horizon_encode(&copy->out, now) != 0)
        return state_out_of_memory(err);
    return snapshot_copy(&copy->horizon, now, err);
}

int
horizon_note(struct copy *copy, const struct snapshot *snapshot, struct err *err)
{
    if (snapshot_within(&copy->latest, snapshot) &&
        snapshot_copy(&copy->latest, snapshot, err) != 0)
        return -1;
    return put(copy, err);
}

int
horizon_refresh(struct copy *copy, uint64_t now, struct err *err)
{
    struct snapshot fresh = {0};
    int rc;

    if (now < copy->horizon_at || lives_count_active(&copy->lives) == 0)
        return 0;
    copy->horizon_at = now + HORIZON_MICROS;
    rc = session_snapshot(copy->conn, &fresh, err);
    if (rc == 0)
        rc = horizon_note(copy, &fresh, err);
    snapshot_free(&fresh);
    return rc;
}
