/* slotlook.c: see slotlook.h. */
#include "walpipe/slotlook.h"

#include <stdio.h>

#include "lib/pqconn.h"
#include "lib/pqx.h"
#include "lib/slotnote.h"

const char *
slotlook_note_path(const struct config *config, struct pool *pool)
{
    return pool_print(pool, "%s/slot", config->state_dir);
}

/* A note that cannot be read is pg-wal-read's to report. */
static bool
is_ours(const struct config *config, struct pool *pool)
{
    struct slotnote note = {.state = SLOTNOTE_NONE};
    struct err ignored = {0};

    snprintf(note.slot, sizeof note.slot, "%s", config->source.slot);
    return slotnote_read(slotlook_note_path(config, pool), &note, &ignored) == 0 &&
           note.state != SLOTNOTE_NONE;
}

enum evidence_slot
slotlook_judge(const struct config *config, struct pool *pool, bool exists, bool active)
{
    if (!exists)
        return config->source.create_slot ? EVIDENCE_SLOT_MISSING : EVIDENCE_SLOT_THEIRS;
    if (is_ours(config, pool))
        return EVIDENCE_SLOT_OURS;
    return active ? EVIDENCE_SLOT_IN_USE : EVIDENCE_SLOT_THEIRS;
}

static int
ask(const struct source_config *source, bool *exists, bool *active, struct err *err)
{
    static const char what[] = "look for the slot";
    const char *params[] = {source->slot};
    PGconn *conn = pqconn_open_as(source->conninfo, "walpipe", source->password, err);
    PGresult *rows;

    if (conn == NULL)
        return -1;
    rows = pqx_exec_params(
        conn, what, "SELECT active FROM pg_catalog.pg_replication_slots WHERE slot_name = $1", 1,
        params, err);
    rows = pqx_shaped(rows, what, 0, 1, "v", err);
    if (rows != NULL) {
        *exists = PQntuples(rows) == 1;
        *active = *exists && PQgetvalue(rows, 0, 0)[0] == 't';
    }
    PQclear(rows);
    PQfinish(conn);
    return rows == NULL ? -1 : 0;
}

enum evidence_slot
slotlook_ask(const struct config *config, struct pool *pool, bool *exists, struct err *err)
{
    bool active;

    *exists = false;
    return ask(&config->source, exists, &active, err) == 0
               ? slotlook_judge(config, pool, *exists, active)
               : EVIDENCE_SLOT_UNKNOWN;
}
