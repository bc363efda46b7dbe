/* stated.c: see stated.h. */
#include "sink-ch/stated.h"

#include <stdlib.h>

static int
keep_table(struct stated *stated, struct table *table, struct err *err)
{
    struct table **more = realloc(stated->tables, (stated->count + 1) * sizeof(struct table *));

    if (more == NULL) {
        table_free(table);
        return err_set(err, EXIT_PEER, "out of memory for a table");
    }
    stated->tables = more;
    stated->tables[stated->count++] = table;
    return 0;
}

/* Takes a table, or the source's catalog data of the last one. */
static int
take_table(struct worker *w, struct stated *stated, struct intake_item *item, struct err *err)
{
    struct relation relation;
    struct tableinfo info;
    struct table *table;

    if (item->kind == INTAKE_RELATION) {
        if (relation_decode(&item->body, item->elements, &relation, err) != 0)
            return -1;
        table = table_new(&relation, 0, w->options, err);
        return table == NULL ? -1 : keep_table(stated, table, err);
    }
    if (tableinfo_decode(&item->body, item->elements, &info, err) != 0)
        return -1;
    if (stated->count > 0)
        table_inform(stated->tables[stated->count - 1], &info);
    tableinfo_free(&info);
    return 0;
}

int
stated_read(struct stated *stated, struct worker *w, struct err *err)
{
    struct intake_item item;
    int rc;

    while ((rc = intake_next(&w->intake, 0, &item, err)) == 0) {
        if (item.kind == INTAKE_IDLE || item.kind == INTAKE_END)
            continue;
        if (item.kind != INTAKE_RELATION && item.kind != INTAKE_TABLEINFO)
            return err_set(err, EXIT_REFUSED, "frame type %u: --check reads relation events only",
                           item.type);
        if (take_table(w, stated, &item, err) != 0)
            return -1;
    }
    return rc < 0 ? -1 : 0;
}

void
stated_free(struct stated *stated)
{
    for (uint32_t i = 0; i < stated->count; i++)
        table_free(stated->tables[i]);
    free(stated->tables);
    *stated = (struct stated){0};
}
