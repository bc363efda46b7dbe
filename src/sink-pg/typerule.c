/* typerule.c: see typerule.h. */
#include "sink-pg/typerule.h"

#include <string.h>

#include "lib/pgtype.h"
#include "sink-pg/fits.h"

/* In the typmod of varchar(n). */
#define VARHDRSZ 4

static bool
is_announced(const struct relation_column *from)
{
    return from->type_oid >= PGTYPE_ANNOUNCED_FIRST;
}

/* The known facts about the source's type. A domain comes with its base type's name, and nothing
 * tells the typmod. */
static struct fits_type
source_type(const struct relation_column *from)
{
    struct fits_type type = {.oid = from->type_oid, .typmod = from->typmod};

    if (!is_announced(from))
        return type;
    type.typmod = FITS_TYPMOD_UNKNOWN;
    type.oid = from->type_schema[0] == '\0' ? pgtype_oid(from->type_name) : 0;
    return type;
}

static bool
is_leaf(const struct catalog_part *part)
{
    return !part->container && strchr("dcrm", part->kind) == NULL;
}

/* A leaf whose input function could lose something of any source type. */
static bool
any_part_may_lose(const struct catalog_column *to)
{
    const char *at = to->parts;
    struct catalog_part part;

    while (catalog_part(&at, &part))
        if (is_leaf(&part) && fits_may_lose((struct fits_type){part.oid, part.typmod}))
            return true;
    return false;
}

static bool
has_oids(const struct catalog_column *to)
{
    const char *at = to->parts;
    struct catalog_part part;

    while (catalog_part(&at, &part))
        if (pgtype_names_object(part.oid))
            return true;
    return false;
}

static bool
is_unproven(struct fits_type from, const struct catalog_column *to)
{
    struct fits_type type = {.oid = to->base_type_oid, .typmod = to->base_typmod};

    if (to->base_type_oid < PGTYPE_ANNOUNCED_FIRST)
        return fits_unproven(from, type);
    return any_part_may_lose(to);
}

/* Whether two types of one name, which users created on both sides, surely read each other's binary
 * values. The server compares the oids of elements and attributes that are built in. It knows
 * nothing of others, and of typmods. */
static bool
is_same_made_type(const struct relation_column *from, const struct catalog_column *to)
{
    const char *at = to->parts;
    struct catalog_part part;

    if (strcmp(from->type_name, to->base_name) != 0 || strchr("rm", to->base_kind) != NULL)
        return false;
    while (catalog_part(&at, &part)) {
        bool made = part.oid >= PGTYPE_ANNOUNCED_FIRST && !part.outermost;

        if (made && (to->base_kind == 'c' || strchr("dcrm", part.kind) != NULL))
            return false;
        if (is_leaf(&part) && part.typmod != -1 &&
            fits_may_lose((struct fits_type){part.oid, part.typmod}))
            return false;
    }
    return true;
}

static enum typerule_binary
binary_of(const struct relation_column *from, struct fits_type source,
          const struct catalog_column *to, bool verified)
{
    if (source.oid != 0)
        return source.oid == to->base_type_oid && !verified ? BINARY_TAKEN : BINARY_BY_TEXT;
    return is_announced(from) && is_same_made_type(from, to) ? BINARY_TAKEN : BINARY_REFUSED;
}

struct typerule
typerule_of(const struct relation_column *from, const struct catalog_column *to)
{
    struct fits_type source = source_type(from);
    struct fits_type target = {.oid = to->base_type_oid, .typmod = to->base_typmod};
    struct typerule rule = {.source_oid = source.oid,
                            .verified = is_unproven(source, to),
                            .scalar = pgtype_names_object(from->type_oid)};

    if (target.oid == PG_VARCHAR && target.typmod > VARHDRSZ &&
        (source.oid != PG_VARCHAR || source.typmod != target.typmod))
        rule.cut = target.typmod - VARHDRSZ;
    rule.oids = rule.scalar || pgtype_names_objects(from->type_oid) || has_oids(to);
    rule.binary = binary_of(from, source, to, rule.verified);
    if (to->base_type_oid < PGTYPE_ANNOUNCED_FIRST)
        rule.loss = fits_loss(source, target);
    return rule;
}
