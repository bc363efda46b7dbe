/* pqx.c: see pqx.h. */
#include "lib/pqx.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum exit_code
pqx_exit_code(const char *sqlstate)
{
    /* Class 08 connection, 40 rollback, 53 resources, 57 intervention, then single codes. */
    static const char *const retry[] = {"08", "40", "53", "57", "55P03", "55006", "25006", "58"};

    if (sqlstate == NULL || sqlstate[0] == '\0')
        return EXIT_PEER;
    for (size_t i = 0; i < sizeof retry / sizeof *retry; i++)
        if (strncmp(sqlstate, retry[i], strlen(retry[i])) == 0)
            return EXIT_PEER;
    return EXIT_REFUSED;
}

/* The detail of a violated NOT NULL or CHECK is the whole row, which must not be logged. */
static bool
shows_row(const PGresult *result, const char *sqlstate)
{
    return sqlstate != NULL && (strcmp(sqlstate, "23502") == 0 ||
                                (strcmp(sqlstate, "23514") == 0 &&
                                 PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME) != NULL));
}

static void
copy_name(const PGresult *result, int field, char name[64])
{
    const char *text = PQresultErrorField(result, field);

    snprintf(name, 64, "%s", text == NULL ? "" : text);
}

int
pqx_error(PGconn *conn, const PGresult *result, const char *what, struct err *err)
{
    const char *primary =
        result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *sqlstate = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *hint = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    char text[700];

    if (shows_row(result, sqlstate))
        detail = NULL;
    if (primary == NULL) {
        snprintf(text, sizeof text, "%s", PQerrorMessage(conn));
        for (size_t n = strlen(text); n > 0 && text[n - 1] == '\n'; n--)
            text[n - 1] = '\0';
        for (char *p = text; *p != '\0'; p++)
            if (*p == '\n' || *p == '\t')
                *p = ' ';
        return err_set(err, EXIT_PEER, "could not %s: %s", what, text);
    }
    err_set(err, pqx_exit_code(sqlstate), "could not %s: %s%s%.300s%s (SQLSTATE %s)", what, primary,
            detail == NULL ? "" : " (", detail == NULL ? "" : detail, detail == NULL ? "" : ")",
            sqlstate == NULL ? "none" : sqlstate);
    snprintf(err->sqlstate, sizeof err->sqlstate, "%s", sqlstate == NULL ? "" : sqlstate);
    copy_name(result, PG_DIAG_SCHEMA_NAME, err->schema);
    copy_name(result, PG_DIAG_TABLE_NAME, err->table);
    copy_name(result, PG_DIAG_CONSTRAINT_NAME, err->constraint);
    /* The context describes the server's action. For a walsender these are slot, callback and
     * LSN. */
    if (hint == NULL)
        hint = PQresultErrorField(result, PG_DIAG_CONTEXT);
    if (hint == NULL && sqlstate != NULL && strcmp(sqlstate, "42501") == 0)
        hint = "grant it to the role; for a table it needs USAGE on the schema too";
    if (hint != NULL)
        err_hint(err, "%s", hint);
    return -1;
}

static PGresult *
checked(PGconn *conn, PGresult *result, const char *what, struct err *err)
{
    ExecStatusType status = PQresultStatus(result);

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return result;
    pqx_error(conn, result, what, err);
    PQclear(result);
    return NULL;
}

PGresult *
pqx_exec(PGconn *conn, const char *what, const char *sql, struct err *err)
{
    return checked(conn, PQexec(conn, sql), what, err);
}

PGresult *
pqx_exec_params(PGconn *conn, const char *what, const char *sql, int count,
                const char *const *params, struct err *err)
{
    return checked(conn, PQexecParams(conn, sql, count, NULL, params, NULL, NULL, 0), what, err);
}

PGresult *
pqx_prepare(PGconn *conn, const char *what, const char *name, const char *sql, struct err *err)
{
    return checked(conn, PQprepare(conn, name, sql, 0, NULL), what, err);
}

PGresult *
pqx_exec_prepared(PGconn *conn, const char *what, const char *name, int count,
                  const char *const *params, struct err *err)
{
    return checked(conn, PQexecPrepared(conn, name, count, params, NULL, NULL, 0), what, err);
}

static int
strange_answer(const char *what, struct err *err, const char *fmt, ...)
{
    char text[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(err, EXIT_PEER, "could not %s: the server's answer has %s", what, text);
    return err_hint(
        err, "let conninfo name PostgreSQL itself: a pooler or proxy may give other answers");
}

int
pqx_shape(const PGresult *result, const char *what, int least, int most, const char *columns,
          struct err *err)
{
    int rows = PQntuples(result), wanted = (int)strlen(columns);

    if (PQnfields(result) != wanted)
        return strange_answer(what, err, "%d columns instead of %d", PQnfields(result), wanted);
    if (rows < least || rows > most)
        return strange_answer(what, err, "%d rows instead of %d", rows,
                              rows < least ? least : most);
    for (int row = 0; row < rows; row++)
        for (int column = 0; column < wanted; column++)
            if (columns[column] == 'v' && PQgetisnull(result, row, column))
                return strange_answer(what, err, "NULL in column %d of row %d", column + 1,
                                      row + 1);
    return 0;
}

PGresult *
pqx_shaped(PGresult *result, const char *what, int least, int most, const char *columns,
           struct err *err)
{
    if (result == NULL || pqx_shape(result, what, least, most, columns, err) == 0)
        return result;
    PQclear(result);
    return NULL;
}

int
pqx_malformed(char *message, struct err *err)
{
    size_t n = message == NULL ? 0 : strcspn(message, "\n");

    err_set(err, EXIT_REFUSED, "malformed conninfo: %.*s", (int)n, message == NULL ? "" : message);
    PQfreemem(message);
    return err_hint(err, "expected libpq's form: host=... dbname=... user=...");
}

/* Appends "name='value' " with libpq's quoting. *at has room for it. */
static void
append_quoted(char **at, const char *name, const char *value)
{
    *at = stpcpy(stpcpy(*at, name), "='");
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            *(*at)++ = '\\';
        *(*at)++ = *value;
    }
    *(*at)++ = '\'';
    *(*at)++ = ' ';
    **at = '\0';
}

int
pqx_take_password(const char *conninfo, char **without, char **password, struct err *err)
{
    char *message = NULL, *at;
    PQconninfoOption *options = PQconninfoParse(conninfo, &message);
    const char *found = NULL;
    size_t size = 1;

    *without = *password = NULL;
    if (options == NULL)
        return pqx_malformed(message, err);
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
        if (o->val != NULL)
            size += strlen(o->keyword) + 2 * strlen(o->val) + 4;
    at = *without = malloc(size);
    if (at == NULL)
        goto no_memory;
    *at = '\0';
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (o->val != NULL && strcmp(o->keyword, "password") == 0)
            found = o->val;
        else if (o->val != NULL)
            append_quoted(&at, o->keyword, o->val);
    }
    if (found != NULL && (*password = strdup(found)) == NULL)
        goto no_memory;
    PQconninfoFree(options);
    return 0;

no_memory:
    free(*without);
    *without = NULL;
    PQconninfoFree(options);
    return err_set(err, EXIT_PEER, "out of memory for a conninfo");
}

int
pqx_refuse_password(const char *conninfo, struct err *err)
{
    char *without, *password;
    bool found;

    if (pqx_take_password(conninfo, &without, &password, err) != 0)
        return -1;
    found = password != NULL;
    free(without);
    free(password);
    if (!found)
        return 0;
    err_set(err, EXIT_REFUSED,
            "cannot take a password on the command line: every user can read it");
    return err_hint(err, "use PGPASSFILE, PGSERVICE or the environment variable PGPASSWORD");
}
