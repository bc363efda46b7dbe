/* pqconn.h: makes every connection to a PostgreSQL server. A notice never reaches stderr, not even
 * one that the server sends during the login. The server's SQLSTATE and the stage of the connection
 * decide whether a failure is temporary. The words of a message never do, because they depend on
 * the server's lc_messages.
 *
 * libpq tries several hosts in their order. It tries the next host if one cannot be reached, starts
 * up or shuts down, or is not of the kind that target_session_attrs requires. It stops at the first
 * that refuses us. So the last host that was tried decides the kind of the failure. The message has
 * the text of each host. */
#ifndef WALPIPE_PQCONN_H
#define WALPIPE_PQCONN_H

#include <libpq-fe.h>

#include "lib/base.h"

/* One keyword of a connection string that walpipe sets. It wins over conninfo's. */
struct pqconn_keyword {
    const char *keyword;
    const char *value;
};

/* A variable of the environment. The file that it names holds the password, and each attempt to
 * connect reads it, so that a program that runs gets a password that was changed. It wins over
 * PGPASSWORD, which counts while the file cannot be read. */
#define PQCONN_PASSWORD_FILE "WALPIPE_PASSWORD_FILE"

/* Connects. Defaults that conninfo may override are keepalives, tcp_user_timeout and
 * connect_timeout (per host), so that a dead peer is noticed in seconds. client_encoding is always
 * UTF8. Returns NULL with err, which is EXIT_PEER if another attempt may help. It is EXIT_REFUSED
 * if only a person can (a malformed conninfo, a wrong password, no such database or role, a
 * certificate that does not fit). */
PGconn *pqconn_open(const char *conninfo, const struct pqconn_keyword *forced, size_t forced_count,
                    struct err *err) MUST_CHECK;

/* The same with this application_name, and this password unless it is NULL. */
PGconn *pqconn_open_as(const char *conninfo, const char *application_name, const char *password,
                       struct err *err) MUST_CHECK;

/* The same for an event loop. The caller continues with PQconnectPoll and keeps its own deadline. A
 * connection that failed at once has CONNECTION_BAD. Returns NULL with err for a malformed
 * conninfo, or when memory is out. */
PGconn *pqconn_start(const char *conninfo, const struct pqconn_keyword *forced, size_t forced_count,
                     struct err *err) MUST_CHECK;

/* The SQLSTATE with which the server refused a connection of pqconn_start. Returns false if the
 * server sent none. */
bool pqconn_sqlstate(const PGconn *conn, char sqlstate[6]);

/* Sets everything that the text of values depends on, for writing and for reading. The session that
 * reads the source and the session that writes a target must agree, no matter which settings roles
 * and databases have. */
int pqconn_agree_on_text(PGconn *conn, struct err *err) MUST_CHECK;

/* The same as commands, for a query that contains them. */
#define PQCONN_TEXT_SETTINGS                                                                       \
    "SET datestyle = 'ISO, MDY';"                                                                  \
    "SET intervalstyle = 'postgres';"                                                              \
    "SET bytea_output = 'hex';"                                                                    \
    "SET extra_float_digits = 3;"                                                                  \
    "SET timezone = 'UTC';"                                                                        \
    "SET lc_monetary = 'C';"                                                                       \
    "SET xmlbinary = 'base64';"                                                                    \
    "SET xmloption = 'content';"                                                                   \
    "SET array_nulls = on;"                                                                        \
    "SET quote_all_identifiers = off;"                                                             \
    "SET search_path = ''"

#endif
