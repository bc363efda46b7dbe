/* copydoubt.c: see copydoubt.h. */
#include "sink-ch/copydoubt.h"

#include "lib/keylesscopy.h"

void
copydoubt_spoil(struct worker *w, struct copypart *part, const char *why)
{
    keylesscopy_spoil(&w->copies.copying, part);
    copyheld_drop(&w->copies.held, part->relid);
    log_write(w->log, LOG_WARNING, "%s.%s: %s; it has no key, so its copy begins again",
              part->schema, part->name, why);
}

/* The end of a life may not be noted yet. */
void
copydoubt_lost(struct worker *w, const struct table *table)
{
    static const char why[] = "an answer of ClickHouse was lost, so rows may be there twice";
    struct copying *c = &w->copies.copying;
    struct copypart *part = copyparts_first(c, table->relation.relid);

    for (; part != NULL; part = part->table_next) {
        if (!part->keyless || part->spoiled || (part->life == 0 && part->ended_life == 0))
            continue;
        copydoubt_spoil(w, part, why);
        if (part->ended_life != 0)
            keylesscopy_end(c, part);
    }
}
