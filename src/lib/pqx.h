/* pqx.h: what walpipe adds to libpq: results as struct err, and SQLSTATE as "retry" or "stop". */
#ifndef WALPIPE_PQX_H
#define WALPIPE_PQX_H

#include <libpq-fe.h>
#include <limits.h>

#include "lib/base.h"

/* Runs one command and requires its result to be PGRES_TUPLES_OK or PGRES_COMMAND_OK. NULL with
 * err otherwise. The caller clears the result. what names the command in the error: "could not
 * WHAT: ..." */
PGresult *pqx_exec(PGconn *conn, const char *what, const char *sql, struct err *err);

/* The same with text parameters. */
PGresult *pqx_exec_params(PGconn *conn, const char *what, const char *sql, int count,
                          const char *const *params, struct err *err);

/* The same in two steps, for a command that comes often. */
PGresult *pqx_prepare(PGconn *conn, const char *what, const char *name, const char *sql,
                      struct err *err);
PGresult *pqx_exec_prepared(PGconn *conn, const char *what, const char *name, int count,
                            const char *const *params, struct err *err);

enum { PQX_ROWS = INT_MAX }; /* any number */

/* Requires an answer to have least to most rows and exactly the columns that the letters stand for:
 * 'v' for one that is never NULL, '?' for one that may be. Whatever stands between us and
 * PostgreSQL may answer otherwise, and PQgetvalue is NULL for what is not there. EXIT_PEER with
 * err. */
int pqx_shape(const PGresult *result, const char *what, int least, int most, const char *columns,
              struct err *err) MUST_CHECK;

/* The same around pqx_exec: hands result on; NULL, and result cleared, where it is not so. */
PGresult *pqx_shaped(PGresult *result, const char *what, int least, int most, const char *columns,
                     struct err *err) MUST_CHECK;

/* Fills err from a failed result (or, for NULL, from the connection): its primary message, detail
 * and SQLSTATE. Always -1. */
int pqx_error(PGconn *conn, const PGresult *result, const char *what, struct err *err);

/* EXIT_PEER for the SQLSTATE classes that heal by waiting, else EXIT_REFUSED; "" or NULL (the
 * connection broke) is EXIT_PEER. Source: appendix "PostgreSQL Error Codes". */
enum exit_code pqx_exit_code(const char *sqlstate);

/* Sets err for a message of PQconninfoParse, and frees that. Always -1. */
int pqx_malformed(char *message, struct err *err);

/* A password in a connection string would stand in the process list. Moves it from conninfo to
 * *password (both malloc'd; *password NULL when there is none). -1 with err for a malformed
 * conninfo. */
int pqx_take_password(const char *conninfo, char **without, char **password,
                      struct err *err) MUST_CHECK;

/* Refuses a conninfo from the command line that holds a password. */
int pqx_refuse_password(const char *conninfo, struct err *err) MUST_CHECK;

#endif
