/* keylessplace.c: see keylessplace.h. */
#include "lib/keylessplace.h"

#include <stdio.h>

#include "lib/keyhash.h"

/* Without a key the hash of a row is that of its table. */
static int
hash_of_rows(const struct relation *relation, uint64_t *hash, struct err *err)
{
    struct keyhash keyhash = {0};
    const struct tuple nothing = {0};

    if (keyhash_init(&keyhash, relation->relid, 'n', NULL, 0) != 0)
        return err_set(err, EXIT_PEER, "out of memory for a table");
    (void)!keyhash_row(&keyhash, &nothing, NULL, hash);
    keyhash_free(&keyhash);
    return 0;
}

int
keylessplace_look(const struct hello *hello, const struct layout *layout,
                  const struct relation *relation, bool *mine, struct err *err)
{
    const struct tuple nothing = {0};
    struct placement placement;
    uint64_t hash = 0;
    uint32_t shard;

    *mine = true;
    if (hello->shards < 2)
        return 0;
    if (layout_place(layout, relation, &placement, err) != 0 ||
        hash_of_rows(relation, &hash, err) != 0)
        return -1;
    if (!layout_shard_of_row(layout, &placement, hash, &nothing, &shard)) {
        snprintf(err->relation, sizeof err->relation, "%s.%s", relation->schema, relation->name);
        err_set(err, EXIT_REFUSED,
                "%s.%s cannot be copied: it has no key, and its rows go to several workers",
                relation->schema, relation->name);
        return err_hint(err, "set shard_key = key or table in the sink, or shards = 1");
    }
    *mine = shard == hello->shard;
    return 0;
}
