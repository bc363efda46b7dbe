/* lib_relmap.c: a map from a relation's oid.
 * links: lib/relmap */
#include "lib/relmap.h"

#include "check.h"

static void
test_relmap(void)
{
    struct relmap map = {0};
    static int values[3000];
    void *replaced;
    size_t at = 0, seen = 0;
    bool good = true;

    check(relmap_get(&map, 1) == NULL, "an empty map holds nothing");
    /* oids of one cluster are close together, or a power of two apart */
    for (uint32_t i = 0; i < 3000; i++)
        good = good && relmap_put(&map, i * 1024, &values[i], &replaced) == 0 && replaced == NULL;
    check(good, "3,000 relations are put");
    for (uint32_t i = 0; i < 3000; i++)
        good = good && relmap_get(&map, i * 1024) == &values[i];
    check(good && relmap_get(&map, 1) == NULL, "and found, and no other");
    check(relmap_put(&map, 1024, &values[0], &replaced) == 0 && replaced == &values[1] &&
              relmap_get(&map, 1024) == &values[0],
          "putting again replaces");
    while (relmap_next(&map, &at) != NULL)
        seen++;
    check(seen == 3000, "all are visited once");
    relmap_free(&map);
}

int
main(void)
{
    test_relmap();
    return check_done();
}
