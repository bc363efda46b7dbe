/* neighbours.c: see neighbours.h. */
#include "sink-pg/neighbours.h"

#include <string.h>

#include "sink-pg/mapping.h"

int
neighbours_refuse_loop(const struct tablemap *mapping, const struct relation *relation,
                       struct err *err)
{
    const char *schema = relation->schema, *name = relation->name;

    /* A way through the map that has not come back after as many steps as it has entries never
     * does. */
    for (size_t step = 0; step <= mapping->count; step++) {
        mapping_target(mapping, schema, name, &schema, &name);
        if (strcmp(schema, relation->schema) != 0 || strcmp(name, relation->name) != 0)
            continue;
        err_set(err, EXIT_REFUSED,
                "cannot replicate %s.%s: the target is the source's own database, and each change "
                "would come back as a new one for ever",
                relation->schema, relation->name);
        return err_hint(err, "name another database in the sink's conninfo, leave the table out "
                             "with tables, or map it to a table that is not published");
    }
    return 0;
}

static const char publications_sql[] =
    "SELECT pubname FROM pg_catalog.pg_publication WHERE puballtables OR pubname IN "
    "(SELECT pubname FROM pg_catalog.pg_publication_tables WHERE schemaname = '" WALPIPE_SCHEMA
    "') ORDER BY 1";

void
neighbours_check(struct session *s, struct verdicts *verdicts)
{
    static const char what[] = "look for publications of the target";
    struct err err = {0};
    PGresult *r =
        pqx_shaped(pqx_exec(s->conn, what, publications_sql, &err), what, 0, PQX_ROWS, "v", &err);

    if (r == NULL) {
        verdict_fail(verdicts, NULL, &err);
        return;
    }
    for (int i = 0; i < PQntuples(r); i++)
        verdict_say(verdicts, VERDICT_WARN,
                    "target: publication \"%s\" of this database publishes walpipe.progress too: "
                    "another walpipe leaves it out, but a subscription stops at it until its "
                    "database has a table like this (see sink-pg(1)); or let the publication name "
                    "its tables",
                    PQgetvalue(r, i, 0));
    PQclear(r);
}
