/* pqconn.c: see pqconn.h. */
#include "lib/pqconn.h"

#include <errno.h>
/* netinet/tcp.h lacks some fields of struct tcp_info. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/pqx.h"
#include "lib/secretfile.h"

#define KEYWORDS_MAX 64

/* libpq accepts no shorter timeout either, except 0 for none. */
#define TIMEOUT_LEAST 2

/* FAILED_BY_US: we ended the handshake of TLS, or did not begin it (NO_TLS). */
enum outcome { CONNECTED, FAILED, FAILED_BY_US, NO_TLS, MUTE };

struct keywords {
    const char *names[KEYWORDS_MAX + 1];
    const char *values[KEYWORDS_MAX + 1];
    size_t count;
};

/* ---- options for libpq ---- */

static void
drop_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

/* Later entries win in libpq, so the order is defaults, conninfo, forced. */
static void
add_keyword(struct keywords *k, const char *name, const char *value)
{
    if (k->count < KEYWORDS_MAX) {
        k->names[k->count] = name;
        k->values[k->count] = value;
        k->count++;
    }
}

static void
add_options(struct keywords *k, const PQconninfoOption *options)
{
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
        if (o->val != NULL)
            add_keyword(k, o->keyword, o->val);
}

/* libpq reports a failed login as text only. The text has the SQLSTATE if that is requested. */
static PGconn *
start(const struct keywords *k, struct err *err)
{
    PGconn *conn = PQconnectStartParams(k->names, k->values, 0);

    if (conn == NULL) {
        err_set(err, EXIT_PEER, "out of memory for a connection");
        return NULL;
    }
    PQsetNoticeReceiver(conn, drop_notice, NULL);
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    return conn;
}

/* A file that cannot be read is no reason to end what has worked so far. Whoever starts the program
 * has read the file before. */
static void
add_password(struct keywords *k, char *password, size_t size)
{
    const char *path = getenv(PQCONN_PASSWORD_FILE);
    struct err ignored = {0};

    if (path != NULL && secretfile_read("password", path, password, size, &ignored) == 0)
        add_keyword(k, "password", password);
}

PGconn *
pqconn_start(const char *conninfo, const struct pqconn_keyword *forced, size_t forced_count,
             struct err *err)
{
    struct keywords k = {0};
    char *message = NULL, password[SECRETFILE_MAX];
    PQconninfoOption *options = PQconninfoParse(conninfo, &message);
    PGconn *conn;

    if (options == NULL) {
        pqx_malformed(message, err);
        return NULL;
    }
    add_keyword(&k, "connect_timeout", "10");
    add_keyword(&k, "keepalives_idle", "10");
    add_keyword(&k, "keepalives_interval", "5");
    add_keyword(&k, "keepalives_count", "3");
    add_keyword(&k, "tcp_user_timeout", "30000");
    add_options(&k, options);
    add_password(&k, password, sizeof password);
    for (size_t i = 0; i < forced_count; i++)
        add_keyword(&k, forced[i].keyword, forced[i].value);
    add_keyword(&k, "client_encoding", "UTF8");
    conn = start(&k, err);
    explicit_bzero(password, sizeof password);
    PQconninfoFree(options);
    return conn;
}

/* ---- the kind of a failure ---- */

/* Takes it from an array that PQconninfo or PQconninfoParse made. NULL if it is not set. */
static char *
option(PQconninfoOption *options, const char *keyword)
{
    for (PQconninfoOption *o = options; o->keyword != NULL; o++)
        if (strcmp(o->keyword, keyword) == 0)
            return o->val == NULL || o->val[0] == '\0' ? NULL : o->val;
    return NULL;
}

/* Finds it in "FATAL:  28P01: ...", where the first word is translated. The last one is of the last
 * host. */
bool
pqconn_sqlstate(const PGconn *conn, char sqlstate[6])
{
    static const char allowed[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    bool found = false;

    for (const char *p = PQerrorMessage(conn); (p = strstr(p, ":  ")) != NULL; p++)
        if (strspn(p + 3, allowed) == 5 && p[8] == ':') {
            memcpy(sqlstate, p + 3, 5);
            sqlstate[5] = '\0';
            found = true;
        }
    return found;
}

/* Writes libpq's message in one line, without the place in the server's source that comes with
 * SQLSTATEs. */
static void
flatten(const char *message, char *out, size_t size)
{
    size_t len = 0;

    while (*message != '\0' && len + 1 < size) {
        size_t n = strcspn(message, "\n"), skip = strspn(message, "\t ");

        if (n > skip && strncmp(message, "LOCATION:", strlen("LOCATION:")) != 0)
            len += (size_t)snprintf(out + len, size - len, "%s%.*s", len == 0 ? "" : " ",
                                    (int)(n - skip), message + skip);
        message += n + (message[n] == '\n');
    }
}

/* The remedy for a login that was refused. */
static const char *
login_hint(const char *sqlstate)
{
    static const struct {
        const char *sqlstate, *hint;
    } hints[] = {
        {"28P01",
         "correct the password: in conninfo, password_file or passfile, or the role's own by "
         "ALTER ROLE"},
        {"28000", "the role must exist and have LOGIN, and the server's pg_hba.conf must let it "
                  "into this database from this host; for the source, too, the database's name "
                  "counts there, not the word replication"},
        {"3D000", "correct dbname, or create the database"},
        {"42501", "the role needs CONNECT on the database, and for the source also ALTER ROLE ... "
                  "REPLICATION"},
    };

    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (strcmp(hints[i].sqlstate, sqlstate) == 0)
            return hints[i].hint;
    return "";
}

/* The remedy for a handshake of TLS that was not ended by the server, "" for another failure. */
static const char *
handshake_hint(enum outcome outcome)
{
    if (outcome == FAILED_BY_US)
        return "sslrootcert must name a file with the certificate of the authority that signed the "
               "server's, and with sslmode=verify-full the server's certificate must name the "
               "host; check also whether it has expired";
    if (outcome == NO_TLS)
        return "the server needs ssl = on, and the files of sslrootcert, sslcert and sslkey must "
               "be readable, which libpq looks for below $HOME if conninfo does not name them";
    return "";
}

/* libpq silently ignores a passfile that it cannot read. It ignores a passfile that others can read
 * too, with a line on stderr. */
static void
judge_passfile(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) != 0 || access(path, R_OK) != 0)
        err_hint(err, "libpq found no password: passfile \"%s\" cannot be read: %s", path,
                 strerror(errno));
    else if ((st.st_mode & 077) != 0)
        err_hint(err,
                 "passfile \"%s\" is open to other users (mode %04o), and libpq ignores it: chmod "
                 "0600 it, or use password_file, which may also be a file of root with mode 0440",
                 path, (unsigned)(st.st_mode & 07777));
    else
        err_hint(err,
                 "the server asks for a password: set it in conninfo, or add a line for this "
                 "host, port, database and user to passfile \"%s\"",
                 path);
}

/* The server asked for a password and got none. */
static void
explain_no_password(PGconn *conn, struct err *err)
{
    PQconninfoOption *options = PQconninfo(conn);
    const char *path = options == NULL ? NULL : option(options, "passfile");

    if (path != NULL)
        judge_passfile(path, err);
    else
        err_hint(err, "the server asks for a password: set it in conninfo or in a passfile");
    PQconninfoFree(options);
}

static int
failed(PGconn *conn, enum outcome outcome, struct err *err)
{
    char text[700] = "", sqlstate[6] = "";
    enum exit_code code = EXIT_PEER;
    bool no_password;

    flatten(PQerrorMessage(conn), text, sizeof text);
    if (outcome == MUTE)
        return err_set(err, EXIT_PEER, "could not connect: %s timeout expired", text);
    no_password = !pqconn_sqlstate(conn, sqlstate) && PQconnectionNeedsPassword(conn);
    if (sqlstate[0] != '\0')
        code = pqx_exit_code(sqlstate);
    else if (outcome == FAILED_BY_US || outcome == NO_TLS || no_password)
        code = EXIT_REFUSED;
    err_set(err, code, "could not connect: %s", text);
    err_hint(err, "%s", sqlstate[0] != '\0' ? login_hint(sqlstate) : handshake_hint(outcome));
    if (no_password)
        explain_no_password(conn, err);
    return -1;
}

/* ---- the side that ended a TLS handshake ----
 *
 * A certificate that does not fit stays wrong, and a connection that broke may heal. libpq tells
 * these two apart by words only. But we end the handshake in the first case. Then the connection is
 * still open when libpq gives up, or the server closed it because of our last message, an alert. */

struct handshake {
    int fd; /* another descriptor of the socket, which libpq closes, -1 outside a handshake */
    bool closed;
    uint32_t sent;
};

static bool
is_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

static uint32_t
segments_sent(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_data_segs_out : 0;
}

static struct handshake
before_step(const PGconn *conn)
{
    struct handshake h = {.fd = -1};

    if (PQstatus(conn) == CONNECTION_SSL_STARTUP)
        h.fd = dup(PQsocket(conn));
    if (h.fd >= 0) {
        h.closed = is_closed(h.fd);
        h.sent = segments_sent(h.fd);
    }
    return h;
}

/* After a step that failed. Ends h. */
static enum outcome
after_failure(struct handshake h)
{
    enum outcome outcome = FAILED;

    if (h.fd < 0)
        return FAILED;
    if (!h.closed && segments_sent(h.fd) != h.sent)
        outcome = FAILED_BY_US;
    else if (!h.closed && !is_closed(h.fd))
        outcome = NO_TLS;
    close(h.fd);
    return outcome;
}

/* ---- waiting ---- */

/* Microseconds for each address, or 0 without a limit. */
static uint64_t
timeout_of(PGconn *conn)
{
    PQconninfoOption *options = PQconninfo(conn);
    const char *value = options == NULL ? NULL : option(options, "connect_timeout");
    long seconds = value == NULL ? 0 : strtol(value, NULL, 10);

    PQconninfoFree(options);
    if (seconds <= 0)
        return 0;
    return (uint64_t)(seconds < TIMEOUT_LEAST ? TIMEOUT_LEAST : seconds) * 1000000;
}

/* The address that is being tried. Each address has its own deadline. */
struct place {
    char host[256], address[64], port[16];
};

static struct place
place_of(const PGconn *conn)
{
    struct place p = {0};
    const char *address = PQhostaddr(conn);

    snprintf(p.host, sizeof p.host, "%s", PQhost(conn));
    snprintf(p.address, sizeof p.address, "%s", address == NULL ? "" : address);
    snprintf(p.port, sizeof p.port, "%s", PQport(conn));
    return p;
}

/* Returns false if nothing came in time. */
static bool
wait_for(const PGconn *conn, PostgresPollingStatusType what, uint64_t deadline)
{
    struct pollfd fd = {.fd = PQsocket(conn),
                        .events = what == PGRES_POLLING_READING ? POLLIN : POLLOUT};
    int n;

    do
        n = poll(&fd, 1, clock_poll_timeout(deadline));
    while (n < 0 && errno == EINTR);
    return n != 0;
}

static enum outcome
finish(PGconn *conn)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    uint64_t timeout = timeout_of(conn), deadline = 0;
    struct place place = {0};

    while (PQstatus(conn) != CONNECTION_BAD) {
        struct place now = place_of(conn);
        struct handshake h;

        if (timeout != 0 && memcmp(&now, &place, sizeof now) != 0)
            deadline = clock_micros() + timeout;
        place = now;
        if (!wait_for(conn, status, deadline)) {
            if (PQstatus(conn) != CONNECTION_STARTED)
                return MUTE;
            /* libpq takes it for a failed connect, and tries the next address */
            shutdown(PQsocket(conn), SHUT_RDWR);
        }
        h = before_step(conn);
        status = PQconnectPoll(conn);
        if (status == PGRES_POLLING_FAILED)
            return after_failure(h);
        if (h.fd >= 0)
            close(h.fd);
        if (status == PGRES_POLLING_OK)
            return CONNECTED;
    }
    return FAILED;
}

/* ---- a host that accepts connections and answers none ----
 *
 * libpq itself would try the next one, but an event loop cannot tell it to do so. */

static size_t
entries(const char *list)
{
    size_t n = list != NULL;

    for (; list != NULL && *list != '\0'; list++)
        n += *list == ',';
    return n;
}

/* The beginning of entry i, which is there. */
static char *
entry(char *list, size_t i)
{
    while (i > 0)
        i -= *list++ == ',';
    return list;
}

static bool
entry_is(char *list, size_t i, const char *value)
{
    const char *at = list == NULL ? "" : entry(list, i);

    return strcspn(at, ",") == strlen(value) && strncmp(at, value, strlen(value)) == 0;
}

static void
remove_entry(char *list, size_t i)
{
    char *at, *next;

    if (entries(list) < 2)
        return;
    at = entry(list, i);
    next = strchr(at, ',');
    if (next != NULL)
        memmove(at, next + 1, strlen(next + 1) + 1);
    else
        at[-1] = '\0';
}

/* Starts again with all hosts except the one that conn tries. Returns NULL if there is no other, or
 * with err. */
static PGconn *
start_without(PGconn *conn, struct err *err)
{
    PQconninfoOption *options = PQconninfo(conn);
    char *hosts, *addresses, *ports;
    struct keywords k = {0};
    PGconn *next = NULL;
    size_t count;

    if (options == NULL)
        return NULL;
    hosts = option(options, "host");
    addresses = option(options, "hostaddr");
    ports = option(options, "port");
    count = entries(hosts != NULL ? hosts : addresses);
    for (size_t i = 0; i < count && count > 1; i++)
        if (entry_is(hosts != NULL ? hosts : addresses, i, PQhost(conn)) &&
            (ports == NULL || entry_is(ports, entries(ports) > 1 ? i : 0, PQport(conn)))) {
            remove_entry(hosts, i);
            remove_entry(addresses, i);
            remove_entry(ports, i);
            add_options(&k, options);
            next = start(&k, err);
            break;
        }
    PQconninfoFree(options);
    return next;
}

PGconn *
pqconn_open(const char *conninfo, const struct pqconn_keyword *forced, size_t forced_count,
            struct err *err)
{
    PGconn *conn = pqconn_start(conninfo, forced, forced_count, err), *next;
    enum outcome outcome = FAILED;

    while (conn != NULL && (outcome = finish(conn)) == MUTE) {
        failed(conn, outcome, err);
        next = start_without(conn, err);
        PQfinish(conn);
        conn = next;
    }
    if (conn == NULL)
        return NULL;
    if (outcome == CONNECTED) {
        PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
        return conn;
    }
    failed(conn, outcome, err);
    PQfinish(conn);
    return NULL;
}

PGconn *
pqconn_open_as(const char *conninfo, const char *application_name, const char *password,
               struct err *err)
{
    const struct pqconn_keyword forced[] = {{"application_name", application_name},
                                            {"password", password}};

    return pqconn_open(conninfo, forced, password == NULL ? 1 : 2, err);
}

/* ---- the session ---- */

int
pqconn_agree_on_text(PGconn *conn, struct err *err)
{
    PGresult *result =
        pqx_exec(conn, "set how the session writes and reads values", PQCONN_TEXT_SETTINGS, err);

    PQclear(result);
    return result == NULL ? -1 : 0;
}
