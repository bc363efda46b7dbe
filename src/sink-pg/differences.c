/* differences.c: see differences.h. */
#include "sink-pg/differences.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"

#define SAY_MICROS (UINT64_C(10) * 1000 * 1000)

struct kept_differences {
    struct ack_differences unsent;
    struct found unsaid;
    uint64_t said_at; /* 0 if never */
};

/* Returns NULL when memory is out. */
static struct kept_differences *
find_or_make(struct differences *all, const char *label)
{
    struct kept_differences *tables;

    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->tables[i].unsent.relation, label) == 0)
            return &all->tables[i];
    tables = realloc(all->tables, (all->count + 1) * sizeof *tables);
    if (tables == NULL)
        return NULL;
    all->tables = tables;
    tables[all->count] = (struct kept_differences){0};
    memcpy(tables[all->count].unsent.relation, label, strlen(label) + 1);
    return &tables[all->count++];
}

bool
differences_found(const struct found *f)
{
    return f->missing_updates + f->skipped_updates + f->missing_deletes + f->overwriting_inserts >
           0;
}

int
differences_note(struct differences *all, const char *label, const struct found *found,
                 struct err *err)
{
    struct kept_differences *t = find_or_make(all, label);

    if (t == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a table's differences");
    t->unsent.updates_missing += found->missing_updates + found->skipped_updates;
    t->unsent.deletes_missing += found->missing_deletes;
    t->unsent.inserts_existing += found->overwriting_inserts;
    t->unsaid.missing_updates += found->missing_updates;
    t->unsaid.skipped_updates += found->skipped_updates;
    t->unsaid.missing_deletes += found->missing_deletes;
    t->unsaid.overwriting_inserts += found->overwriting_inserts;
    t->unsaid.rules |= found->rules;
    return 0;
}

static void
say(struct kept_differences *t, uint64_t now, const struct log *log)
{
    struct found *f = &t->unsaid;

    if (!differences_found(f))
        return;
    log_write(log, LOG_WARNING,
              "%s: %" PRIu64 " updates found no row in the target and %s, %" PRIu64
              " deletes found none%s, %" PRIu64 " inserts overwrote another row",
              t->unsent.relation, f->missing_updates + f->skipped_updates,
              f->skipped_updates > 0 ? "did nothing" : "inserted it", f->missing_deletes,
              f->rules ? ", or a rule cancelled them" : "", f->overwriting_inserts);
    *f = (struct found){0};
    t->said_at = now;
}

static int
report(struct kept_differences *t, struct ackconn *ack, struct err *err)
{
    struct ack_differences *d = &t->unsent;

    if (d->updates_missing + d->deletes_missing + d->inserts_existing == 0)
        return 0;
    if (ackclient_differences(ack, d, err) != 0)
        return -1;
    d->updates_missing = d->deletes_missing = d->inserts_existing = 0;
    return 0;
}

int
differences_report(struct differences *all, struct ackconn *ack, const struct log *log,
                   struct err *err)
{
    uint64_t now = all->count == 0 ? 0 : clock_micros();

    for (size_t i = 0; i < all->count; i++) {
        struct kept_differences *t = &all->tables[i];

        if (report(t, ack, err) != 0)
            return -1;
        if (t->said_at == 0 || now - t->said_at >= SAY_MICROS)
            say(t, now, log);
    }
    return 0;
}

void
differences_end(struct differences *all, const struct log *log)
{
    for (size_t i = 0; i < all->count; i++)
        say(&all->tables[i], 0, log);
}

void
differences_free(struct differences *all)
{
    free(all->tables);
    *all = (struct differences){0};
}
