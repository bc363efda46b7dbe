/* copyparts.c: see copyparts.h. */
#include "lib/copyparts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for the tables that are copied");
}

/* ---- states ---- */

const char *
copyparts_state_name(enum copy_state state)
{
    return state == COPY_STREAMING ? "streaming"
           : state == COPY_RESYNC  ? "resync"
           : state == COPY_PARKED  ? "parked"
           : state == COPY_COPYING ? "copying"
                                   : "waiting";
}

static const char out_prefix[] = "out-";

const char *
copyparts_state_text(const struct copypart *part)
{
    if (!part->out)
        return copyparts_state_name(part->state);
    return part->state == COPY_STREAMING ? "out-streaming"
           : part->state == COPY_RESYNC  ? "out-resync"
           : part->state == COPY_COPYING ? "out-copying"
                                         : "out-waiting";
}

bool
copyparts_read_state(const char *text, struct copypart *part)
{
    static const enum copy_state states[] = {COPY_WAITING, COPY_COPYING, COPY_RESYNC,
                                             COPY_STREAMING};

    part->out = strncmp(text, out_prefix, sizeof out_prefix - 1) == 0;
    if (part->out)
        text += sizeof out_prefix - 1;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (strcmp(text, copyparts_state_name(states[i])) != 0)
            continue;
        part->state = states[i];
        return true;
    }
    return false;
}

/* ---- look-up ---- */

struct copypart *
copyparts_first(const struct copying *c, uint32_t relid)
{
    return relmap_get(&c->tables, relid);
}

struct copypart *
copyparts_find(const struct copying *c, uint32_t relid, uint32_t part)
{
    struct copypart *at = copyparts_first(c, relid);

    while (at != NULL && (at->part != part || at->gone))
        at = at->table_next;
    return at;
}

bool
copyparts_known(const struct copying *c, uint32_t relid)
{
    const struct copypart *at = copyparts_first(c, relid);

    while (at != NULL && at->gone)
        at = at->table_next;
    return at != NULL;
}

struct copypart *
copyparts_of_life(const struct copying *c, uint64_t life)
{
    struct copypart *at = c->parts;

    while (at != NULL && at->life != life)
        at = at->next;
    return life == 0 ? NULL : at;
}

static void
count_unfinished(struct copying *c)
{
    c->unfinished = 0;
    for (const struct copypart *at = c->parts; at != NULL; at = at->next)
        c->unfinished += !at->gone && at->state != COPY_STREAMING;
}

/* The table's changes are followed since the first of its lives. */
static uint64_t
followed_since(const struct copypart *first)
{
    uint64_t since = UINT64_MAX;

    for (const struct copypart *at = first; at != NULL; at = at->table_next)
        if (!at->gone && (at->state == COPY_COPYING || at->state == COPY_STREAMING) &&
            at->l0 < since)
            since = at->l0;
    return since == UINT64_MAX ? 0 : since;
}

/* Until the first life begins only the target has its changes, since ranges will bring them. */
static bool
look_at_resync(struct copypart *first)
{
    bool resyncs = false, staged = false, behind = false;

    for (const struct copypart *at = first; at != NULL; at = at->table_next) {
        if (at->gone || at->state != COPY_RESYNC)
            continue;
        resyncs = true;
        staged = staged || at->l0 != 0;
        behind = behind || at->behind || at->parked;
    }
    if (resyncs && behind)
        first->way = staged ? COPYING_STAGE : COPYING_PASS;
    else if (resyncs)
        first->way = staged ? COPYING_RESYNC : COPYING_APPLY;
    return resyncs;
}

static void
look_at(struct copying *c, uint32_t relid)
{
    struct copypart *first = copyparts_first(c, relid);
    bool all_wait = true, all_stream = true, keyless = false, holds = false, is_root = false;
    uint32_t in_lives = 0;

    for (const struct copypart *at = first; at != NULL; at = at->table_next) {
        in_lives += at->life != 0;
        if (at->gone)
            continue;
        is_root = is_root || (at->part != 0 && at->part != relid);
        keyless = keyless || (at->keyless && at->state == COPY_COPYING);
        holds = holds || (at->keyless && at->life != 0 && !at->spoiled);
        all_wait = all_wait && (at->state == COPY_NEW || at->state == COPY_WAITING);
        all_stream = all_stream && at->state == COPY_STREAMING;
    }
    if (first == NULL)
        return;
    first->lives = in_lives;
    first->is_root = is_root;
    first->followed = followed_since(first);
    if (first->followed > c->followed)
        c->followed = first->followed;
    if (look_at_resync(first))
        return;
    if (keyless)
        first->way = holds ? COPYING_HOLD : COPYING_PASS;
    else
        first->way = all_stream ? COPYING_APPLY : all_wait ? COPYING_PASS : COPYING_UPSERT;
}

void
copyparts_look(struct copying *c)
{
    count_unfinished(c);
    for (const struct copypart *at = c->parts; at != NULL; at = at->next)
        if (at == copyparts_first(c, at->relid))
            look_at(c, at->relid);
}

void
copyparts_changed(struct copying *c, struct copypart *part)
{
    part->changed = c->pending = c->uncounted = true;
    count_unfinished(c);
    look_at(c, part->relid);
}

static bool
has_name(const struct copypart *part, const struct relation *relation)
{
    return strcmp(part->schema, relation->schema) == 0 && strcmp(part->name, relation->name) == 0;
}

static void
set_name(struct copypart *part, const struct relation *relation)
{
    snprintf(part->schema, sizeof part->schema, "%s", relation->schema);
    snprintf(part->name, sizeof part->name, "%s", relation->name);
}

/* A table may get another name. */
void
copyparts_rename(struct copying *c, const struct relation *relation, bool listed)
{
    for (struct copypart *at = copyparts_first(c, relation->relid); at != NULL;
         at = at->table_next) {
        if (at->gone || (has_name(at, relation) && !(at->renamed && !listed)))
            continue;
        set_name(at, relation);
        at->renamed = at->noted && c->renamed_hint != NULL;
        if (!listed || at->state != COPY_STREAMING || !at->renamed)
            copyparts_changed(c, at);
    }
}

bool
copyparts_is_renamed(const struct copying *c, const struct relation *relation)
{
    const struct copypart *at = copyparts_first(c, relation->relid);

    while (at != NULL && (at->gone || (!at->renamed && has_name(at, relation))))
        at = at->table_next;
    return at != NULL;
}

bool
copyparts_lives(const struct copying *c, uint32_t relid)
{
    const struct copypart *first = copyparts_first(c, relid);

    return first != NULL && first->lives > 0;
}

/* ---- a table that is copied again ---- */

bool
copyparts_stages(const struct copying *c, uint32_t relid)
{
    const struct copypart *first = copyparts_first(c, relid);

    return c->unfinished > 0 && first != NULL &&
           (first->way == COPYING_RESYNC || first->way == COPYING_STAGE);
}

bool
copyparts_resyncs(const struct copying *c, uint32_t relid)
{
    const struct copypart *at = c->unfinished == 0 ? NULL : copyparts_first(c, relid);

    while (at != NULL && (at->gone || at->state != COPY_RESYNC))
        at = at->table_next;
    return at != NULL;
}

bool
copyparts_is_behind(const struct copying *c, uint32_t relid)
{
    const struct copypart *at = copyparts_first(c, relid);

    while (at != NULL && (at->gone || !at->behind))
        at = at->table_next;
    return at != NULL;
}

const struct copypart *
copyparts_published(const struct copying *c, uint32_t relid)
{
    const struct copypart *at = copyparts_first(c, relid);

    while (at != NULL && (at->gone || at->out))
        at = at->table_next;
    return at;
}

bool
copyparts_is_parked(const struct copying *c, uint32_t relid)
{
    const struct copypart *at = copyparts_first(c, relid);

    while (at != NULL && (at->gone || !at->parked))
        at = at->table_next;
    return at != NULL;
}

int
copyparts_unstage(struct copying *c, const struct copypart *part, const char *why, struct err *err)
{
    c->unstage = part->relid;
    snprintf(err->relation, sizeof err->relation, "%s.%s", part->schema, part->name);
    return err_set(err, EXIT_PEER, "the resync of %s.%s begins again: %s", part->schema, part->name,
                   why);
}

struct copypart *
copyparts_add(struct copying *c, const struct copypart *part)
{
    struct copypart *new = malloc(sizeof *new), *first = copyparts_first(c, part->relid);
    void *replaced;

    if (new == NULL)
        return NULL;
    *new = *part;
    new->table_next = first;
    if (relmap_put(&c->tables, part->relid, new, &replaced) != 0) {
        free(new);
        return NULL;
    }
    new->next = c->parts;
    c->parts = new;
    c->uncounted = true;
    count_unfinished(c);
    look_at(c, part->relid);
    return new;
}

/* ---- its target ---- */

static int
look_at_target(struct copypart *part, const char *noted, const char *target, const char *hint,
               struct err *err)
{
    if (part->out || strcmp(noted, target) == 0)
        return 0;
    part->changed = true;
    if (noted[0] == '\0' || part->parked)
        return 0;
    if (part->state == COPY_WAITING) {
        part->state = COPY_NEW;
        return 0;
    }
    snprintf(err->relation, sizeof err->relation, "%s.%s", part->schema, part->name);
    err_set(err, EXIT_REFUSED, "the rows of %s.%s are in %s, and its changes go to %s now",
            part->schema, part->name, noted, target);
    return err_hint(err, "%s", hint);
}

int
copyparts_target(const struct copying *c, struct copypart *part, const char *noted,
                 const char *target, struct err *err)
{
    return look_at_target(part, noted, target, c->moved_hint, err);
}

int
copyparts_renamed(const struct copying *c, struct copypart *part, bool same, const char *noted,
                  const char *target, struct err *err)
{
    if (!same && look_at_target(part, noted, target, c->renamed_hint, err) != 0)
        return -1;
    part->renamed = false;
    return 0;
}

/* ---- tables that cannot be copied ---- */

int
copyparts_refuse(const struct relation *relation, const char *why, const char *hint,
                 struct err *err)
{
    snprintf(err->relation, sizeof err->relation, "%s.%s", relation->schema, relation->name);
    err_set(err, EXIT_REFUSED, "%s.%s cannot be copied: %s", relation->schema, relation->name, why);
    err->culprit = relation->relid;
    return err_hint(err, "%s", hint);
}

bool
copyparts_has_key(const struct relation *relation)
{
    for (uint32_t i = 0; i < relation->columns_count; i++)
        if (relation->columns[i].key)
            return relation->replica_identity != 'f' && relation->replica_identity != 'n';
    return false;
}

/* Another table under the name of one that has a note. Not while all are taken as streaming: the
 * stream brings all that the new table has. */
static const struct copypart *
namesake(const struct copying *c, const struct relation *relation)
{
    for (const struct copypart *at = c->parts; at != NULL; at = at->next)
        if (at->relid != relation->relid && !at->gone && has_name(at, relation))
            return at;
    return NULL;
}

static int
check_new(const struct copying *c, const struct relation *relation, struct err *err)
{
    if (!c->carried_over && !copyparts_known(c, relation->relid) && namesake(c, relation) != NULL)
        return copyparts_refuse(
            relation,
            "the source's table was dropped and made again, or a new one has the "
            "name of one that was renamed",
            c->remade_hint, err);
    return 0;
}

/* A part that the target has no note of. */
struct copypart *
copyparts_new(struct copying *c, const struct relation *relation, uint32_t oid, struct err *err)
{
    struct copypart part = {.relid = relation->relid, .part = oid, .state = COPY_NEW};
    const struct copypart *first = copyparts_first(c, relation->relid);
    struct copypart *added;

    if (check_new(c, relation, err) != 0)
        return NULL;
    c->taken += c->carried_over && !copyparts_known(c, relation->relid);
    part.behind = copyparts_is_behind(c, relation->relid);
    part.parked = copyparts_is_parked(c, relation->relid);
    part.parked_noted = first != NULL && first->parked_noted;
    if (copyparts_resyncs(c, relation->relid))
        part.state = COPY_RESYNC;
    else if (c->carried_over)
        part.state = COPY_STREAMING;
    else if (copyparts_known(c, relation->relid))
        part.state = COPY_WAITING;
    set_name(&part, relation);
    added = copyparts_add(c, &part);
    if (added == NULL) {
        out_of_memory(err);
        return NULL;
    }
    copyparts_changed(c, added);
    return added;
}
