/* kept.c: see kept.h. */
#include "ackd/kept.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/lsn.h"

/* Whoever has removed the checkpoint starts over. */
void
kept_begin(struct ackd *a)
{
    for (uint32_t i = 0; i < a->sinks_count; i++)
        a->sinks[i].kept =
            a->checkpoint_safe_seen == 0
                ? 0
                : reached_find_kept(a->reached, a->source.system_identifier, a->sinks[i].name);
}

void
kept_register(struct worker *w, const struct ack_register *r)
{
    w->is_new = r->position == ACK_POSITION_NEW || r->position == ACK_POSITION_NONE;
    w->kept = r->position == ACK_POSITION_FOUND ? r->durable_lsn : 0;
}

void
kept_report(struct worker *w, const struct ack_reached *r)
{
    if (r->kept)
        w->kept = r->lsn;
}

/* The lowest one of its workers. Until all of them have one, that of earlier runs counts, unless
 * the target is a new one. */
static uint64_t
kept_by(const struct ackd *a, const struct sink *s)
{
    uint64_t lowest = UINT64_MAX;
    bool is_new = false;

    for (uint32_t i = s->first_worker; i < s->first_worker + s->shards; i++) {
        const struct worker *w = &a->workers[i];

        if (!w->registered)
            return s->kept;
        is_new |= w->is_new;
        lowest = w->kept < lowest ? w->kept : lowest;
    }
    return lowest != 0 ? lowest : is_new ? 0 : s->kept;
}

/* The highest LSN that one of its workers has, or had when it was last seen. */
static uint64_t
reached_by(const struct ackd *a, const struct sink *s)
{
    uint64_t lsn = s->paused ? s->reached : 0;

    for (uint32_t i = s->first_worker; i < s->first_worker + s->shards; i++)
        if (a->workers[i].registered && a->ledger.workers[i].reached > lsn)
            lsn = a->ledger.workers[i].reached;
    return lsn != 0 ? lsn : reached_find(a->reached, a->source.system_identifier, s->name);
}

static void
put_line(const struct ackd *a, const struct sink *s, const char *prefix, uint64_t lsn, FILE *out)
{
    if (lsn != 0)
        fprintf(out, "%s%" PRIu64 " %s %s\n", prefix, a->source.system_identifier, s->name,
                lsn_format(lsn).text);
}

void
kept_note(struct ackd *a)
{
    struct err err = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return;
    for (uint32_t i = 0; i < a->sinks_count; i++) {
        put_line(a, &a->sinks[i], "", reached_by(a, &a->sinks[i]), out);
        put_line(a, &a->sinks[i], REACHED_KEPT, kept_by(a, &a->sinks[i]), out);
    }
    if (fclose(out) != 0)
        return;
    a->reached_at = clock_micros();
    if (a->reached == NULL || strcmp(a->reached, text) != 0) {
        if (reached_write(a->dir_path, text, &err) != 0)
            log_write(&a->log, LOG_WARNING, "%s", err.message);
        free(a->reached);
        a->reached = text;
    } else {
        free(text);
    }
}

void
kept_note_first(struct ackd *a)
{
    for (uint32_t i = 0; i < a->sinks_count; i++) {
        const struct sink *s = &a->sinks[i];
        uint64_t noted = reached_find_kept(a->reached, a->source.system_identifier, s->name);

        if ((noted == 0) != (kept_by(a, s) == 0)) {
            kept_note(a);
            return;
        }
    }
}
