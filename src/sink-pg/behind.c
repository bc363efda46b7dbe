/* behind.c: see behind.h.
 *
 * The note has a transaction of its own, and the run ends behind it. So no worker knows less of it
 * than another one, whatever dies, and the batch that met the rows need not be taken apart. A
 * worker that was frozen and has lost its epoch may still write the note. That is harmless, because
 * the merge sets right whatever the target lacks. */
#include "sink-pg/behind.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/names.h"

static const char set_behind[] =
    "UPDATE walpipe.tables SET behind = true WHERE pipeline = $1 AND sink = $2 "
    "AND relid = $3::oid AND state IN ('resync', 'out-resync')";

/* *found: the target has a note of its resync. */
static int
note(const char *pipeline, const char *sink, struct session *s, uint32_t relid, bool *found,
     struct err *err)
{
    char oid[16];
    const char *params[] = {pipeline, sink, oid};
    PGresult *result;

    snprintf(oid, sizeof oid, "%" PRIu32, relid);
    result = pqx_exec_params(s->conn, "write walpipe.tables", set_behind, 3, params, err);
    if (result == NULL)
        return -1;
    *found = *found || strcmp(PQcmdTuples(result), "0") != 0;
    PQclear(result);
    return 0;
}

/* If a COMMIT was refused it is not known which of the tables has the rows. */
static int
note_all(const char *pipeline, struct session *s, const struct copying *c, uint32_t relid,
         bool *found, struct err *err)
{
    for (const struct copypart *part = c->parts; part != NULL; part = part->next)
        if (part == copyparts_first(c, part->relid) && (relid == 0 || relid == part->relid) &&
            copyparts_resyncs(c, part->relid) && !copyparts_is_behind(c, part->relid) &&
            note(pipeline, c->sink, s, part->relid, found, err) != 0)
            return -1;
    return 0;
}

int
behind_note(const char *pipeline, struct session *s, const struct copying *c, uint32_t relid,
            struct err *err)
{
    char why[sizeof err->message];
    struct err failure = {0};
    bool found = false;

    session_rollback(s);
    if (s->conn == NULL)
        return err_set(err, EXIT_PEER, "the connection to the target is lost");
    if (note_all(pipeline, s, c, relid, &found, &failure) != 0) {
        *err = failure;
        return -1;
    }
    if (!found)
        return -1;
    memcpy(why, err->message, sizeof why);
    err_set(err, EXIT_PEER, "a row of the target is in the way while its table is copied again: %s",
            why);
    return err_hint(err, "nothing is lost: from the restart on the table's changes go to the "
                         "staged rows alone, and its readers see no change until its resync ends");
}

int
behind_require_resync(const struct copypart *part, struct err *err)
{
    if (!part->behind || part->state == COPY_RESYNC)
        return 0;
    snprintf(err->relation, sizeof err->relation, "%s.%s", part->schema, part->name);
    err_set(err, EXIT_REFUSED, "the target lacks changes of %s.%s, since its resync has not ended",
            part->schema, part->name);
    return err_hint(err, "run walpipe resync --table '%s'",
                    names_show_table(part->schema, part->name).text);
}
