/* pqx.h: additions to libpq. Turns results into struct err, and SQLSTATE into "retry" or "stop". */
#ifndef WALPIPE_PQX_H
#define WALPIPE_PQX_H

#include <libpq-fe.h>
#include <limits.h>

#include "lib/base.h"

/* Runs one command and requires its result to be PGRES_TUPLES_OK or PGRES_COMMAND_OK. Returns NULL
 * with err otherwise. The caller clears the result. The error names the command as in "could not
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

/* Requires an answer to have least to most rows and exactly the columns that the letters stand for.
 * 'v' is a column that is never NULL, '?' one that may be. A proxy between us and PostgreSQL may
 * answer otherwise, and PQgetvalue returns NULL for a missing field. EXIT_PEER with err. */
int pqx_shape(const PGresult *result, const char *what, int least, int most, const char *columns,
              struct err *err) MUST_CHECK;

/* The same around pqx_exec. Returns result, or clears it and returns NULL if the shape is wrong. */
PGresult *pqx_shaped(PGresult *result, const char *what, int least, int most, const char *columns,
                     struct err *err) MUST_CHECK;

/* Fills err from a failed result, or from the connection if result is NULL, with its primary
 * message, detail and SQLSTATE. Always -1. */
int pqx_error(PGconn *conn, const PGresult *result, const char *what, struct err *err);

/* EXIT_PEER for the SQLSTATE classes of temporary errors, otherwise EXIT_REFUSED. "" or NULL (the
 * connection broke) is EXIT_PEER. The source is the appendix "PostgreSQL Error Codes". */
enum exit_code pqx_exit_code(const char *sqlstate);

/* Sets err for a message of PQconninfoParse, and frees that. Always -1. */
int pqx_malformed(char *message, struct err *err);

/* A password in a connection string would appear in the process list. Moves it from conninfo to
 * *password. Both are malloc'd, and *password is NULL without a password. Returns -1 with err for a
 * malformed conninfo. */
int pqx_take_password(const char *conninfo, char **without, char **password,
                      struct err *err) MUST_CHECK;

/* Refuses a conninfo from the command line that holds a password. */
int pqx_refuse_password(const char *conninfo, struct err *err) MUST_CHECK;

#endif
