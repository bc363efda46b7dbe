/* partmetrics.c: see partmetrics.h. */
#include "ackd/partmetrics.h"

#include <inttypes.h>
#include <string.h>

#include "ackd/programs.h"
#include "ackd/promtext.h"
#include "ackd/waits.h"

/* The states that a program can be in, each as one value that is 0 or 1. */
static const enum waits of_reader[] = {WAITS_START, WAITS_TIMER, WAITS_SLOT, WAITS_UPSTREAM,
                                       WAITS_DOWNSTREAM};
static const enum waits of_worker[] = {WAITS_START, WAITS_UPSTREAM, WAITS_TARGET, WAITS_BARRIER};

static void
add_worker_labels(const struct ackd *a, uint32_t index, struct buf *page)
{
    const struct worker *w = &a->workers[index];

    promtext_add(page, "sink=\"%s\",shard=\"%" PRIu32 "\",", a->sinks[w->sink].name, w->shard);
}

static void
waiting_family(const struct ackd *a, struct buf *page)
{
    static const char name[] = "replicator_waiting";
    enum waits reader = waits_reader(a);

    promtext_family(page, name, "gauge", "1 for the reason why the program waits.");
    for (size_t i = 0; i < sizeof of_reader / sizeof *of_reader; i++)
        promtext_add(page, "%s{program=\"pg-wal-read\",for=\"%s\"} %d\n", name,
                     waits_word(of_reader[i]), of_reader[i] == reader);
    for (uint32_t w = 0; w < a->workers_count; w++) {
        enum waits worker = waits_worker(a, w);

        for (size_t i = 0; i < sizeof of_worker / sizeof *of_worker; i++) {
            promtext_add(page, "%s{", name);
            add_worker_labels(a, w, page);
            promtext_add(page, "for=\"%s\"} %d\n", waits_word(of_worker[i]),
                         of_worker[i] == worker);
        }
    }
}

static void
add_program(const struct ackd *a, const struct program *p, const char *name, struct buf *page)
{
    promtext_add(page, "%s{", name);
    if (p->is_worker)
        add_worker_labels(a, p->worker, page);
    promtext_add(page, "program=\"");
    promtext_label(page, p->name);
    promtext_add(page, "\"} ");
}

static void
program_families(const struct ackd *a, struct buf *page)
{
    static const char cpu[] = "replicator_program_cpu_seconds_total",
                      memory[] = "replicator_program_resident_memory_bytes";
    struct program programs[PROGRAMS_MAX];
    size_t count = programs_look(a, programs);

    if (count == 0)
        return;
    promtext_family(page, cpu, "counter", "CPU time of the program, user and system.");
    for (size_t i = 0; i < count; i++) {
        add_program(a, &programs[i], cpu, page);
        promtext_add(page, "%.3f\n", (double)programs[i].cpu_millis / 1000);
    }
    promtext_family(page, memory, "gauge", "Resident memory of the program.");
    for (size_t i = 0; i < count; i++) {
        add_program(a, &programs[i], memory, page);
        promtext_add(page, "%" PRIu64 "\n", programs[i].resident_bytes);
    }
}

static void
add_changes(const struct ackd *a, const struct tablestat *t, const char *kind, uint64_t n,
            struct buf *page)
{
    if (n == 0)
        return;
    promtext_add(page, "replicator_table_changes_total{sink=\"%s\",table=\"",
                 a->sinks[t->sink].name);
    promtext_label(page, t->counts.table);
    promtext_add(page, "\",kind=\"%s\"} %" PRIu64 "\n", kind, n);
}

static void
table_family(const struct ackd *a, struct buf *page)
{
    promtext_family(page, "replicator_table_changes_total", "counter",
                    "Changes of the table made durable in this run; table \"\": those beyond the "
                    "first 500 tables.");
    for (uint32_t i = 0; i < a->tablestats.count; i++) {
        const struct tablestat *t = &a->tablestats.tables[i];

        add_changes(a, t, "insert", t->counts.inserts, page);
        add_changes(a, t, "update", t->counts.updates, page);
        add_changes(a, t, "delete", t->counts.deletes, page);
        add_changes(a, t, "truncate", t->counts.truncates, page);
    }
}

void
partmetrics_render(const struct ackd *a, struct buf *page)
{
    table_family(a, page);
    waiting_family(a, page);
    program_families(a, page);
}
