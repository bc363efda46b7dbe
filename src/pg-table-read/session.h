/* session.h: a connection to the source that reads tables, with the settings that its answers
 * depend on. */
#ifndef WALPIPE_PGTABLEREAD_SESSION_H
#define WALPIPE_PGTABLEREAD_SESSION_H

#include <libpq-fe.h>

#include "lib/limits.h"
#include "lib/snapshot.h"

/* Connects. login_note is loginnote.h's path, or NULL. NULL with err. */
PGconn *session_open(const char *conninfo, const char *login_note, struct err *err) MUST_CHECK;

/* The server whose tables are read. */
struct session_server {
    uint64_t system_identifier;
    uint32_t timeline;
    char database[NAME_MAX_BYTES + 1];
    uint64_t wal_block_bytes;
    uint64_t wal_segment_bytes;
};

/* Asks for it, and refuses a standby, because its snapshots do not list the transactions that run
 * on the primary. */
int session_identify(PGconn *conn, struct session_server *server, struct err *err) MUST_CHECK;

/* Another connection to the server that was identified. NULL with err; EXIT_PEER when it leads to
 * another server, or the server has been promoted: its blocks are not ours. */
PGconn *session_open_same(const char *conninfo, const char *login_note,
                          const struct session_server *server, struct err *err) MUST_CHECK;

/* SQL for the snapshot's text, by version. */
const char *session_snapshot_sql(const PGconn *conn);

/* Takes a new snapshot. Ownership as in snapshot_parse. */
int session_snapshot(PGconn *conn, struct snapshot *snapshot, struct err *err) MUST_CHECK;

/* An insert LSN as a mark. At the start of a page it lies behind the page's header. On an idle
 * server nothing may follow there, so the mark is then the start of the page. The source is
 * XLogBytePosToRecPtr(). */
uint64_t session_mark(const struct session_server *server, uint64_t insert_lsn);

/* Returns the current insert LSN as a mark. Positions and marks that are read later are not below
 * it. */
int session_position(PGconn *conn, const struct session_server *server, uint64_t *lsn,
                     struct err *err) MUST_CHECK;

#endif
