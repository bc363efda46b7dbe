/* pqconn.h: every connection to a PostgreSQL server begins here. A notice never reaches stderr,
 * also not one that the server sends while it lets us in; and whether a failure heals by waiting is
 * read from the server's SQLSTATE and from how far the connection came, never from words, which
 * depend on the server's lc_messages.
 *
 * Several hosts: libpq tries them in their order. It goes on where one cannot be reached, starts up
 * or shuts down, or is not of the kind that target_session_attrs asks for, and stops at the first
 * that refuses us. So the last host that was tried decides what the failure is; the message has
 * what each of them said. */
#ifndef WALPIPE_PQCONN_H
#define WALPIPE_PQCONN_H

#include <libpq-fe.h>

#include "lib/base.h"

/* One keyword of a connection string that walpipe sets; it wins over conninfo's. */
struct pqconn_keyword {
    const char *keyword;
    const char *value;
};

/* Connects. Defaults that conninfo may override: keepalives, tcp_user_timeout and connect_timeout
 * (per host), so that a dead peer is noticed in seconds; client_encoding is always UTF8. NULL with
 * err: EXIT_PEER when trying again may help, EXIT_REFUSED when only a person can (a malformed
 * conninfo, a wrong password, no such database or role, a certificate that does not fit). */
PGconn *pqconn_open(const char *conninfo, const struct pqconn_keyword *forced, size_t forced_count,
                    struct err *err) MUST_CHECK;

/* The same for an event loop: the caller goes on by PQconnectPoll and keeps its own deadline. A
 * connection that failed at once has CONNECTION_BAD. NULL with err: a malformed conninfo, or out of
 * memory. */
PGconn *pqconn_start(const char *conninfo, const struct pqconn_keyword *forced, size_t forced_count,
                     struct err *err) MUST_CHECK;

/* The SQLSTATE with which the server refused a connection of pqconn_start. False: it said none. */
bool pqconn_sqlstate(const PGconn *conn, char sqlstate[6]);

/* Sets what the text of values depends on, for writing and for reading: the session that reads the
 * source and the one that writes a target must agree, whatever roles and databases have set. */
int pqconn_agree_on_text(PGconn *conn, struct err *err) MUST_CHECK;

/* The same as commands, for a question that brings them along. */
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
