/* resync.c: see resync.h. */
#include "pg-table-read/resync.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- answers to the command ---- */

static int
accept(struct copy *copy, uint64_t number, struct err *err)
{
    struct copy_controlled yes = {.number = number, .accepted = true};

    return ackcopy_controlled(&copy->ack, &yes, err);
}

PRINTF_LIKE(5, 6)
static int
refuse(struct copy *copy, uint64_t number, struct err *err, const char *hint, const char *fmt, ...)
{
    struct copy_controlled no = {.number = number};
    va_list args;

    va_start(args, fmt);
    vsnprintf(no.message, sizeof no.message, fmt, args);
    va_end(args);
    snprintf(no.hint, sizeof no.hint, "%s", hint);
    return ackcopy_controlled(&copy->ack, &no, err);
}

/* ---- the request ---- */

static bool
is_of(const struct life *life, const struct copy_control *control)
{
    return life->listed && strcmp(life->relation->schema, control->schema) == 0 &&
           strcmp(life->relation->name, control->name) == 0;
}

static struct life *
first_part(const struct copy *copy, const struct copy_control *control)
{
    struct life *life = copy->lives.first;

    while (life != NULL && !is_of(life, control))
        life = life->next;
    return life;
}

static bool
is_part_of(const struct life *life, const struct life *of)
{
    return life->listed && life->part->relid == of->part->relid;
}

/* Every part of the table is copied, in all sinks. */
static bool
is_idle(const struct copy *copy, const struct life *of)
{
    for (const struct life *life = copy->lives.first; life != NULL; life = life->next)
        if (is_part_of(life, of) && life->state != LIFE_COPIED)
            return false;
    return true;
}

/* The workers that take the table, of one sink or of all. */
static struct crewset
takers(const struct copy *copy, const struct life *life, const char *sink)
{
    struct crewset set = {0};

    for (uint32_t i = 0; i < copy->crew.count; i++)
        if (crewset_has(&life->takers, (int)i) &&
            (sink[0] == '\0' || strcmp(copy->crew.workers[i].sink, sink) == 0))
            (void)crewset_add(&set, (int)i);
    return set;
}

static int
begin(struct copy *copy, struct life *life, const struct crewset *wants, uint64_t number)
{
    life->wants = *wants;
    life->resync = true;
    life->control = number;
    life->state = LIFE_WANTED;
    copy->look_at = 0;
    return 0;
}

/* Whether workers still have to report their notes about it. */
static bool
is_early(const struct copy *copy, const struct life *of)
{
    if (!copy->listed)
        return true;
    if (of == NULL || !(copy->asking || copy->ask_again))
        return false;
    for (const struct life *life = copy->lives.first; life != NULL; life = life->next)
        if (is_part_of(life, of) && (life->state == LIFE_NEW || life->state == LIFE_ASKED))
            return true;
    return false;
}

static int
keep_request(struct copy *copy, const struct copy_control *c, struct err *err)
{
    if (copy->requests_count == REQUESTS_MAX)
        return refuse(copy, c->number, err, "try again", "too many requests wait for an answer");
    copy->requests[copy->requests_count++] = *c;
    return 0;
}

int
resync_kept_requests(struct copy *copy, struct err *err)
{
    struct copy_control requests[REQUESTS_MAX];
    size_t count = copy->requests_count;

    memcpy(requests, copy->requests, count * sizeof *requests);
    copy->requests_count = 0;
    for (size_t i = 0; i < count; i++)
        if (resync_request(copy, &requests[i], err) != 0)
            return -1;
    return 0;
}

int
resync_request(struct copy *copy, const struct copy_control *c, struct err *err)
{
    struct life *life = first_part(copy, c);
    struct crewset wants;

    if (strcmp(c->verb, "resync") != 0)
        return refuse(copy, c->number, err,
                      "walpipe and the running programs must be of one release",
                      "unknown request \"%s\"", c->verb);
    if (copy->draining || copy->ended)
        return refuse(copy, c->number, err, "try again when it runs", "the pipeline is ending");
    if (is_early(copy, life))
        return keep_request(copy, c, err);
    if (life == NULL)
        return refuse(copy, c->number, err,
                      "walpipe tables lists the published tables; a table that was just published "
                      "is noticed within 10 seconds, and copied if copy = yes",
                      "no table %s.%s is published", c->schema, c->name);
    wants = takers(copy, life, c->sink);
    if (!copy->asking && !copy->ask_again && crewset_is_empty(&wants))
        return refuse(copy, c->number, err,
                      "the sink needs copy = yes, and the table in its tables; then start again",
                      "%s%s%s has no copy of %s.%s", c->sink[0] == '\0' ? "no sink" : "sink \"",
                      c->sink, c->sink[0] == '\0' ? "" : "\"", c->schema, c->name);
    if (crewset_is_empty(&wants))
        return refuse(copy, c->number, err, "try again in a moment",
                      "no worker has reported yet whether %s.%s is to be copied", c->schema,
                      c->name);
    if (!is_idle(copy, life))
        return refuse(copy, c->number, err, "walpipe tables shows how far it is",
                      "%s.%s is being copied already, or waits for that", c->schema, c->name);
    if (life_is_keyless(life))
        return refuse(
            copy, c->number, err,
            "give it a primary key that is not DEFERRABLE and REPLICA IDENTITY DEFAULT, or a "
            "unique index by REPLICA IDENTITY USING INDEX, and try again; or stop walpipe, "
            "in one transaction of the target empty the table and delete its rows from "
            "walpipe.tables and walpipe.held (in ClickHouse TRUNCATE it, then ALTER TABLE "
            "walpipe_tables DELETE WHERE ..., until system.mutations shows that as done), and "
            "start again: it is copied",
            "%s.%s has no key that identifies its rows", c->schema, c->name);
    return begin(copy, life, &wants, c->number);
}

/* ---- the outcome ---- */

int
resync_kept(struct life *life, struct bytes detail, const char *sink, struct err *err)
{
    free(life->kept);
    life->kept = malloc(sizeof *life->kept);
    if (life->kept == NULL)
        return state_out_of_memory(err);
    if (copydetail_refusal_decode(detail, life->kept))
        return 0;
    return err_set(err, EXIT_BUG, "sink \"%s\" keeps a table with malformed words", sink);
}

static void
forget(struct life *life)
{
    free(life->kept);
    life->kept = NULL;
    life->control = 0;
}

/* The workers that accepted the resync restore their earlier notes. */
static int
end_kept(struct copy *copy, struct life *life, struct err *err)
{
    int rc = refuse(copy, life->control, err, life->kept->hint, "%.500s", life->kept->message);

    forget(life);
    if (table_end_encode(&copy->out, life->number, LIFE_KEPT) != 0)
        return state_out_of_memory(err);
    life_end(life, LIFE_COPIED);
    life->wants = (struct crewset){0};
    life->resync = false;
    return rc;
}

/* No worker was asked about these parts, but each worker has them in state resync as well. */
static void
begin_others(struct copy *copy, const struct life *first)
{
    for (struct life *life = copy->lives.first; life != NULL; life = life->next)
        if (life != first && is_part_of(life, first) && life->state == LIFE_COPIED)
            (void)begin(copy, life, &first->wants, 0);
}

int
resync_answered(struct copy *copy, struct life *life, bool *goes, struct err *err)
{
    int rc = 0;

    *goes = life->kept == NULL;
    if (!*goes)
        return end_kept(copy, life, err);
    if (life->control != 0) {
        begin_others(copy, life);
        log_write(copy->log, LOG_INFO, "%s.%s is copied again", life->relation->schema,
                  life->relation->name);
        rc = accept(copy, life->control, err);
    }
    life->control = 0;
    return rc;
}

int
resync_gone(struct copy *copy, struct life *life, struct err *err)
{
    uint64_t number = life->control;

    forget(life);
    life->resync = false;
    return number == 0 ? 0
                       : refuse(copy, number, err, "publish it again, and it is copied",
                                "%s is no longer published", life->part->name);
}

void
resync_wanted_by(const struct copy *copy, struct life *life, const char *sink)
{
    struct crewset wants = takers(copy, life, sink);

    if (!life->resync)
        return;
    if (life->state == LIFE_COPIED)
        life->wants = (struct crewset){0};
    for (uint32_t i = 0; i < copy->crew.count; i++)
        if (crewset_has(&wants, (int)i))
            (void)crewset_add(&life->wants, (int)i);
}
