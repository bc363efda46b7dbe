/* tablefilter.c: see tablefilter.h. */
#include "lib/tablefilter.h"

#include <stdlib.h>

int
tablefilter_add(struct tablefilter *filter, const char *list, struct err *err)
{
    const char *at = list;

    while (at != NULL) {
        struct table_pattern *grown =
            realloc(filter->patterns, (filter->count + 1) * sizeof *grown);

        if (grown == NULL)
            return err_set(err, EXIT_PEER, "out of memory for table patterns");
        filter->patterns = grown;
        if (names_next_pattern(&at, &grown[filter->count], err) != 0)
            return -1;
        filter->count++;
    }
    return 0;
}

bool
tablefilter_takes(const struct tablefilter *filter, const char *schema, const char *table)
{
    bool any_positive = false, taken = false;

    for (size_t i = 0; i < filter->count; i++) {
        const struct table_pattern *p = &filter->patterns[i];
        bool match = names_match(&p->schema, schema) && names_match(&p->table, table);

        if (p->exclude && match)
            return false;
        any_positive = any_positive || !p->exclude;
        taken = taken || (match && !p->exclude);
    }
    return taken || !any_positive;
}

void
tablefilter_free(struct tablefilter *filter)
{
    free(filter->patterns);
    *filter = (struct tablefilter){0};
}
