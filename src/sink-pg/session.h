/* session.h: the connection to the target database, with the settings that applying needs. */
#ifndef SINK_PG_SESSION_H
#define SINK_PG_SESSION_H

#include "lib/log.h"
#include "lib/loginnote.h"
#include "lib/pqx.h"

/* catalog.c's queries, and signature.c's. */
enum { SESSION_SIGNATURE = 3, SESSION_PREPARED };

/* Zero-initialise, then set conninfo, application_name, log and login's path. */
struct session {
    const char *conninfo;
    char application_name[64];
    const struct log *log;
    struct loginnote login;
    bool refused; /* it worked before and is refused now, which was logged */
    PGconn *conn;
    uint64_t generation; /* grows whenever prepared statements, temporary tables and our copy of the
                            target's catalog are void */
    uint64_t prepared[SESSION_PREPARED]; /* in which generation */
    uint64_t names;                      /* for unique names of statements and temporary tables */
    bool replica;                        /* session_replication_role = replica was permitted */
    bool tx_open;                        /* inside BEGIN ... COMMIT */
    uint64_t tx;                         /* counts transactions */
    bool no_temp;                        /* the role may not create temporary tables */
    bool warned;                         /* that replica is not permitted */
};

/* Connects (once) and sets the session. -1 with err. */
int session_open(struct session *s, struct err *err) MUST_CHECK;
void session_close(struct session *s);

/* Drops everything that was derived from the target's catalog, which is then read anew. Only
 * outside of a transaction. */
int session_forget(struct session *s, struct err *err) MUST_CHECK;

/* Runs sql, one or more commands. Returns -1 with err. */
int session_exec(struct session *s, const char *what, const char *sql, struct err *err) MUST_CHECK;

/* Runs one command with count text parameters, and ignores its rows. Returns -1 with err. */
int session_run(struct session *s, const char *what, const char *sql, int count,
                const char *const *params, struct err *err) MUST_CHECK;

/* The same, and returns its rows, of the columns that pqx_shape describes. The caller clears them.
 * NULL with err. */
PGresult *session_ask(struct session *s, const char *what, const char *sql, int count,
                      const char *const *params, const char *columns, struct err *err);

/* Rolls back an open transaction, ignoring failures. */
void session_rollback(struct session *s);

#endif
