/* freshness.c: see freshness.h. */
#include "ackd/freshness.h"

void
freshness_commit(struct mark *mark, uint64_t lsn, int64_t moment)
{
    if (moment != 0)
        *mark = (struct mark){.lsn = lsn, .moment = moment};
}

static void
thin_out(struct freshness *f)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < f->ends_count; i += 2)
        f->ends[kept++] = f->ends[i];
    f->ends_count = kept;
}

void
freshness_end(struct freshness *f, uint64_t lsn, int64_t moment)
{
    uint32_t last = f->ends_count - 1;

    /* The WAL has not grown. The later moment takes the place of the earlier one. */
    if (f->ends_count > 0 && f->ends[last].lsn >= lsn) {
        f->ends[last].moment = f->ends[last].lsn == lsn ? moment : f->ends[last].moment;
        return;
    }
    if (f->ends_count == FRESHNESS_ENDS_MAX)
        thin_out(f);
    f->ends[f->ends_count++] = (struct mark){.lsn = lsn, .moment = moment};
}

static int64_t
later(int64_t moment, const struct mark *mark, uint64_t lsn)
{
    return mark->moment != 0 && mark->lsn <= lsn && (moment == 0 || mark->moment > moment)
               ? mark->moment
               : moment;
}

int64_t
freshness_moment(const struct freshness *f, uint32_t workers, uint64_t lsn)
{
    int64_t moment = 0;

    for (uint32_t i = 0; i < workers; i++)
        moment = later(moment, &f->commits[i], lsn);
    for (uint32_t i = 0; i < f->ends_count; i++)
        moment = later(moment, &f->ends[i], lsn);
    return moment;
}
