/* skips.c: see skips.h. */
#include "lib/skips.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lsn.h"

int
skips_add(struct skips *s, const struct skip *skip, struct err *err)
{
    struct skip *list = realloc(s->list, (s->count + 1) * sizeof *list);

    if (list == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a skip");
    s->list = list;
    s->list[s->count++] = *skip;
    return 0;
}

void
skips_forget(struct skips *s, uint64_t lsn)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].lsn >= lsn)
            s->list[kept++] = s->list[i];
    s->count = kept;
}

uint64_t
skips_lowest(const struct skips *s)
{
    uint64_t lowest = 0;

    for (size_t i = 0; i < s->count; i++)
        if (lowest == 0 || s->list[i].lsn < lowest)
            lowest = s->list[i].lsn;
    return lowest;
}

void
skips_begin(struct skips *s, uint64_t commit_lsn)
{
    s->open = false;
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].lsn == commit_lsn)
            s->open = s->list[i].met = true;
}

bool
skips_take(const struct skips *s, uint64_t commit_lsn, const struct relation *relation)
{
    if (!s->open)
        return false;
    for (size_t i = 0; i < s->count; i++) {
        const struct skip *skip = &s->list[i];

        if (skip->lsn == commit_lsn &&
            (skip->table.schema[0] == '\0' || (strcmp(skip->table.schema, relation->schema) == 0 &&
                                               strcmp(skip->table.table, relation->name) == 0)))
            return true;
    }
    return false;
}

/* ---- what was skipped ---- */

static int
count_change(struct skips *s, uint64_t commit_lsn, const struct relation *relation, struct err *err)
{
    struct lack *lacks = s->lacks;
    size_t i = 0;

    while (i < s->lacks_count && (lacks[i].lsn != commit_lsn || lacks[i].relid != relation->relid))
        i++;
    if (i == s->lacks_count) {
        lacks = realloc(s->lacks, (i + 1) * sizeof *lacks);
        if (lacks == NULL)
            return err_set(err, EXIT_PEER, "out of memory for a skip");
        s->lacks = lacks;
        s->lacks_count++;
        lacks[i] = (struct lack){.lsn = commit_lsn, .relid = relation->relid};
        snprintf(lacks[i].table.schema, sizeof lacks[i].table.schema, "%s", relation->schema);
        snprintf(lacks[i].table.table, sizeof lacks[i].table.table, "%s", relation->name);
    }
    lacks[i].changes++;
    return 0;
}

int
skips_row(struct skips *s, const struct begin_event *begin, const struct intake_item *item,
          const struct relation *relation, struct err *err)
{
    if (deadletter_describe(&s->letter, begin, item->header.ordinal, relation, err) != 0 ||
        deadletter_change(&s->letter, item->frame.raw, err) != 0)
        return -1;
    return count_change(s, begin->commit_lsn, relation, err);
}

/* skipped has room for all of the truncate's tables. */
static int
describe_tables(struct skips *s, const struct begin_event *begin,
                const struct truncate_event *truncate, const struct relation *const *relations,
                struct truncate_event *skipped, struct err *err)
{
    for (uint32_t i = 0; i < truncate->count; i++) {
        if (relations[i] == NULL)
            continue;
        skipped->relids[skipped->count++] = truncate->relids[i];
        if (deadletter_describe(&s->letter, begin, truncate->ordinal, relations[i], err) != 0 ||
            count_change(s, begin->commit_lsn, relations[i], err) != 0)
            return -1;
    }
    return 0;
}

int
skips_truncate(struct skips *s, const struct begin_event *begin,
               const struct truncate_event *truncate, const struct relation *const *relations,
               struct err *err)
{
    struct truncate_event skipped = {.ordinal = truncate->ordinal,
                                     .flags = truncate->flags,
                                     .relids = calloc(truncate->count + 1, sizeof(uint32_t))};
    struct buf frame = {0};
    int rc = -1;

    if (skipped.relids == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a truncate");
    if (describe_tables(s, begin, truncate, relations, &skipped, err) == 0)
        rc = skipped.count == 0 || truncate_encode(&frame, &skipped) == 0
                 ? 0
                 : err_set(err, EXIT_PEER, "out of memory for a truncate");
    if (rc == 0 && skipped.count > 0)
        rc = deadletter_change(
            &s->letter, (struct bytes){.data = frame.data + frame.start, .len = buf_len(&frame)},
            err);
    free(skipped.relids);
    buf_free(&frame);
    return rc;
}

/* ---- notes ---- */

bool
skips_passes(uint64_t commit_lsn, uint64_t lsn, uint64_t partial)
{
    return commit_lsn < lsn || commit_lsn == partial;
}

int
skips_finish(struct skips *s, uint64_t lsn, uint64_t partial, struct err *err)
{
    if (!s->letter.open || !skips_passes(s->letter.begin.commit_lsn, lsn, partial))
        return 0;
    return deadletter_finish(&s->letter, err);
}

void
skips_noted(struct skips *s, uint64_t lsn, uint64_t partial)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->lacks_count; i++)
        if (!skips_passes(s->lacks[i].lsn, lsn, partial))
            s->lacks[kept++] = s->lacks[i];
    s->lacks_count = kept;
}

void
skips_hint(const char *sink, struct err *err)
{
    size_t len = strlen(err->hint);

    snprintf(err->hint + len, sizeof err->hint - len,
             "%sto go on without this transaction: walpipe skip -c FILE --sink %s --lsn %s",
             len == 0 ? "" : "; ", sink, lsn_format(err->lsn).text);
}

void
skips_free(struct skips *s)
{
    deadletter_free(&s->letter);
    free(s->list);
    free(s->lacks);
    *s = (struct skips){0};
}
