/* comparemetrics.c: see comparemetrics.h. walpipe compare writes a file when it ends, since it may
 * run while ackd does not. */
#include "ackd/comparemetrics.h"

#include <inttypes.h>
#include <stddef.h>

#include "ackd/promtext.h"
#include "lib/comparenote.h"

struct family {
    const char *name;
    const char *help;
    size_t offset;
};

static const struct family families[] = {
    {"replicator_compare_time_seconds", "When walpipe compare ended last, in Unix time.",
     offsetof(struct comparenote, time)},
    {"replicator_compare_lsn_bytes", "The source's position when it began.",
     offsetof(struct comparenote, lsn)},
    {"replicator_compare_tables", "Tables that it looked at.",
     offsetof(struct comparenote, tables)},
    {"replicator_compare_rows", "Rows of the source that it compared.",
     offsetof(struct comparenote, rows)},
    {"replicator_compare_differences", "Rows that differ.",
     offsetof(struct comparenote, differences)},
    {"replicator_compare_not_compared", "Tables, columns and rows that it could not compare.",
     offsetof(struct comparenote, not_compared)},
};

void
comparemetrics_render(const struct ackd *a, struct buf *page)
{
    struct comparenote notes[WORKERS_MAX];
    bool known[WORKERS_MAX], any = false;

    for (uint32_t i = 0; i < a->sinks_count; i++) {
        known[i] = comparenote_read(a->dir_path, a->sinks[i].name, &notes[i]);
        any = any || known[i];
    }
    for (size_t f = 0; any && f < sizeof families / sizeof *families; f++) {
        promtext_family(page, families[f].name, "gauge", families[f].help);
        for (uint32_t i = 0; i < a->sinks_count; i++)
            if (known[i])
                promtext_add(page, "%s{sink=\"%s\"} %" PRIu64 "\n", families[f].name,
                             a->sinks[i].name,
                             *(const uint64_t *)(const void *)((const char *)&notes[i] +
                                                               families[f].offset));
    }
}
