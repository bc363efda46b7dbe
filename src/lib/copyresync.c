/* copyresync.c: see copyresync.h. */
#include "lib/copyresync.h"

#include <stdio.h>
#include <string.h>

/* ---- whether it can be copied again ---- */

int
copyresync_refuse(const char *label, const char *why, const char *hint, struct err *err)
{
    snprintf(err->relation, sizeof err->relation, "%s", label);
    err_set(err, EXIT_REFUSED, "%s cannot be copied again: %s", label, why);
    return err_hint(err, "%s", hint);
}

int
copyresync_require_key(const char *label, const struct relation *relation, struct err *err)
{
    return copyparts_has_key(relation)
               ? 0
               : copyresync_refuse(label, "the source's table has no key that identifies its rows",
                                   "give it a primary key that is not DEFERRABLE and REPLICA "
                                   "IDENTITY DEFAULT, or a "
                                   "unique index by REPLICA IDENTITY USING INDEX",
                                   err);
}

int
copyresync_refuse_shared(const char *label, struct err *err)
{
    return copyresync_refuse(label, "several source tables share its rows",
                             "empty and copy all of them by hand, or give each a target of its own "
                             "with map",
                             err);
}

int
copyresync_refuse_unfinished(const char *schema, const char *name, struct err *err)
{
    if (strcmp(name, "*") == 0)
        err_set(err, EXIT_REFUSED,
                "all tables are to be copied after walpipe resume of the detached sink, and the "
                "sink does not copy any more");
    else
        err_set(err, EXIT_REFUSED,
                "the copy of %s.%s has not ended, and the sink does not copy any more", schema,
                name);
    return err_hint(err, "set copy = yes in the sink: the copy continues where it stopped");
}

/* ---- the end ---- */

const struct copypart *
copyresync_last_ended(const struct copypart *first)
{
    const struct copypart *ended = NULL;

    for (const struct copypart *at = first; at != NULL; at = at->table_next) {
        if (at->gone || at->out)
            continue;
        if (!at->all_read)
            return NULL;
        if (at->ended_life != 0)
            ended = at;
    }
    return ended;
}

void
copyresync_set(struct copypart *first, bool done)
{
    for (struct copypart *at = first; at != NULL; at = at->table_next) {
        if (at->gone || (at->out && !done))
            continue;
        at->gone = at->out; /* its rows were surplus */
        at->state = done ? COPY_STREAMING : COPY_RESYNC;
        at->behind = at->behind && !done;
        buf_reset(&at->missing, 1u << 16);
    }
}

/* ---- a pipeline that does not run ---- */

static int
take(struct copying *c, struct relation *relation, const struct table_name *table,
     struct relation *asked, struct err *err)
{
    bool is_asked =
        strcmp(relation->schema, table->schema) == 0 && strcmp(relation->name, table->table) == 0;
    int rc = copyparts_new(c, relation, 0, err) == NULL ? -1 : 0;

    if (is_asked && rc == 0)
        *asked = *relation;
    else
        relation_free(relation);
    return rc;
}

int
copyresync_read(struct copying *c, struct relation *relation, struct intake *in, const char *sink,
                const struct table_name *table, struct err *err)
{
    struct relation next;
    int rc = 0;

    *relation = (struct relation){0};
    while (rc == 0) {
        rc = intake_next_relation(in, &next, err);
        if (rc == 0)
            rc = take(c, &next, table, relation, err);
    }
    if (rc < 0)
        return -1;
    if (relation->relid != 0)
        return 0;
    err_set(err, EXIT_REFUSED, "sink \"%s\" does not take %s.%s", sink, table->schema,
            table->table);
    return err_hint(err, "the table must be published, and in the sink's tables");
}

int
copyresync_refuse_new(const char *sink, struct err *err)
{
    err_set(err, EXIT_REFUSED, "sink \"%s\" has copied nothing yet", sink);
    return err_hint(err, "its first start with copy = yes copies all tables");
}
