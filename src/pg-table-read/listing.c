/* listing.c: see listing.h. */
#include "pg-table-read/listing.h"

#include <stdlib.h>
#include <string.h>

#include "lib/copydefinition.h"

/* A life without a key that came to nothing has cost the whole copy. */
#define AGAIN_FIRST_MILLIS 1000
#define AGAIN_MOST_MILLIS  600000

/* The partition belongs to another table now, or to none. No worker has it for that table. */
static void
move(struct life *life)
{
    life_leave(life);
    life->changed = false;
    life->moved = life->state == LIFE_COPIED;
    life->state = LIFE_NEW;
}

/* Its changes of the time between were not sent. */
static bool
was_detached(const struct catalog_part *before, const struct catalog_part *now)
{
    return before->relid == now->relid && before->attached[0] != '\0' && now->attached[0] != '\0' &&
           strcmp(before->attached, now->attached) != 0;
}

static void
look_at_members(struct life *life, const struct catalog_part *part)
{
    if (life->state != LIFE_UNPUBLISHED &&
        (!copydefinition_published(life->part->digest, part->digest) ||
         was_detached(life->part, part)))
        life->was_out = true;
}

/* Gives it the description of the catalog's part. */
static int
describe(struct life *life, struct catalog *catalog, const struct catalog_part *part,
         struct err *err)
{
    const struct relation *relation = catalog_relation(catalog, part->relid);
    struct keyhash hash;

    if (relation == NULL)
        return err_set(err, EXIT_PEER, "the published tables changed while they were read: %s",
                       part->name);
    if (keyhash_init(&hash, relation->relid, relation->replica_identity, relation->columns,
                     relation->columns_count) != 0)
        return err_set(err, EXIT_PEER, "out of memory for the key of %s", part->name);
    if (life->part != NULL && !copydefinition_same(life->part->digest, part->digest)) {
        life->changed |= life->state == LIFE_COPIED && !life->was_out;
        life_unsettle(life);
    }
    if (life->part != NULL && life->part->relid != part->relid)
        move(life);
    keyhash_free(&life->hash);
    catalog_drop(life->catalog);
    life->catalog = catalog_keep(catalog);
    life->relation = relation;
    life->part = part;
    life->hash = hash;
    life->stale = false;
    return 0;
}

static int
add(struct lives *lives, struct catalog *catalog, const struct catalog_part *part, struct err *err)
{
    struct life *life = calloc(1, sizeof *life), **at = &lives->first;
    void *replaced;

    err_set(err, EXIT_PEER, "out of memory for the published tables");
    if (life == NULL)
        return -1;
    life->again =
        (struct backoff){.first_millis = AGAIN_FIRST_MILLIS, .most_millis = AGAIN_MOST_MILLIS};
    if (describe(life, catalog, part, err) != 0 ||
        relmap_put(&lives->parts, part->oid, life, &replaced) != 0) {
        keyhash_free(&life->hash);
        catalog_drop(life->catalog);
        free(life);
        return -1;
    }
    *err = (struct err){0};
    life->listed = true;
    while (*at != NULL)
        at = &(*at)->next;
    *at = life;
    return 0;
}

/* ---- partitions that were truncated ---- */

/* PostgreSQL sends no TRUNCATE of a partition that is published as a part of its root. The file has
 * another number then, as it has when the partition is rewritten. New columns rewrite it, too. */
static bool
has_other_file(const struct life *life, const struct catalog_part *part)
{
    return life->listed_file != part->file && strcmp(life->part->shape, part->shape) == 0;
}

static const struct life *
known(const struct lives *lives, const struct catalog_part *part)
{
    const struct life *life = relmap_get(&lives->parts, part->oid);

    return life != NULL && life->listed_file != 0 && life->listed_file != FILE_UNANSWERED &&
                   life->part->relid == part->relid
               ? life
               : NULL;
}

static void
mark(struct life *life, const struct catalog_part *part, bool sure)
{
    if (sure && part->blocks == 0 && part->rows == 0)
        life->was_out = true;
    else
        life->rewritten = true;
}

/* A TRUNCATE of the root, which is sent, gives all of them another file. A server that has counted
 * rows of the new file has rewritten it, or rows came after the TRUNCATE. */
static void
look_at_files(const struct lives *lives, const struct catalog_part *parts, size_t count)
{
    size_t all = 0, changed = 0;

    for (size_t i = 0; i < count; i++) {
        const struct life *life = known(lives, &parts[i]);

        all += life != NULL;
        changed += life != NULL && has_other_file(life, &parts[i]);
    }
    for (size_t i = 0; i < count && (changed < all || all == 1); i++)
        if (known(lives, &parts[i]) != NULL && has_other_file(known(lives, &parts[i]), &parts[i]))
            mark(relmap_get(&lives->parts, parts[i].oid), &parts[i], all > 1);
}

static void
look_at_partitions(const struct lives *lives, const struct catalog *catalog)
{
    const struct catalog_part *parts = catalog->parts;

    for (size_t i = 0, end; i < catalog->parts_count; i = end) {
        for (end = i + 1; end < catalog->parts_count && parts[end].relid == parts[i].relid;)
            end++;
        if (parts[i].whole)
            look_at_files(lives, &parts[i], end - i);
    }
}

/* ---- a list ---- */

/* The workers note which entries publish a table, from their last question. A table that is read
 * keeps its description until then. */
static bool
is_republished(const struct life *life)
{
    const char *asked = copydefinition_publishers(life->asked);

    return asked != NULL && strcmp(asked, copydefinition_publishers(life->part->digest)) != 0;
}

int
listing_take(struct lives *lives, struct catalog *catalog, struct err *err)
{
    for (struct life *life = lives->first; life != NULL; life = life->next)
        life->listed = false;
    look_at_partitions(lives, catalog);
    for (size_t i = 0; i < catalog->parts_count; i++) {
        const struct catalog_part *part = &catalog->parts[i];
        struct life *life = relmap_get(&lives->parts, part->oid);

        if (life == NULL) {
            if (add(lives, catalog, part, err) != 0)
                return -1;
            continue;
        }
        life->listed = true;
        look_at_members(life, part);
        if (life->listed_file != FILE_UNANSWERED)
            life->listed_file = part->file;
        if (life_is_active(life) && life->part->relid != part->relid)
            life->state = LIFE_CHANGED;
        else if (!life_is_active(life) && life->in_flight == 0 &&
                 describe(life, catalog, part, err) != 0)
            return -1;
        lives->republished = lives->republished || is_republished(life);
    }
    return 0;
}
