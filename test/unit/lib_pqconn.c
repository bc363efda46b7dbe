/* lib_pqconn.c: connections to servers of the test itself, which send one message and hang up.
 * links: lib/pqconn lib/secretfile lib/pqx lib/err lib/clock
 * libs: -lpq */
#include "lib/pqconn.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

struct server {
    int port, fd;
    pid_t pid;
};

/* A server that accepts connections and sends nothing. */
static struct server
mute_server(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    struct server s = {.fd = socket(AF_INET, SOCK_STREAM, 0)};

    if (s.fd < 0 || bind(s.fd, (struct sockaddr *)&at, size) != 0 || listen(s.fd, 5) != 0 ||
        getsockname(s.fd, (struct sockaddr *)&at, &size) != 0) {
        perror("listen");
        exit(1);
    }
    s.port = ntohs(at.sin_port);
    return s;
}

/* A server that answers a connection's first packet with these bytes and hangs up. */
static struct server
server_new(const char *answer, size_t len)
{
    struct server s = mute_server();
    char packet[1024];

    fflush(stdout);
    s.pid = fork();
    if (s.pid != 0)
        return s;
    for (;;) {
        int conn = accept(s.fd, NULL, NULL);

        /* With MSG_MORE the answer and the end arrive together. */
        if (read(conn, packet, sizeof packet) < 0 || send(conn, answer, len, MSG_MORE) < 0)
            _exit(1);
        close(conn);
    }
}

static void
server_end(struct server s)
{
    if (s.pid > 0) {
        kill(s.pid, SIGKILL);
        waitpid(s.pid, NULL, 0);
    }
    close(s.fd);
}

static size_t
add_field(char *at, char field, const char *text)
{
    *at = field;
    memcpy(at + 1, text, strlen(text) + 1);
    return strlen(text) + 2;
}

/* A server that refuses with this SQLSTATE, and with the words of another language. */
static struct server
refusing_server(const char *sqlstate)
{
    char message[160] = "E";
    size_t n = 5;

    n += add_field(message + n, 'S', "SCHWERWIEGEND");
    n += add_field(message + n, 'V', "FATAL");
    n += add_field(message + n, 'C', sqlstate);
    n += add_field(message + n, 'M', "Passwort falsch: so geht es nicht");
    n += add_field(message + n, 'F', "auth.c");
    n += add_field(message + n, 'L', "1");
    n += add_field(message + n, 'R', "auth_failed");
    message[n++] = '\0';
    message[4] = (char)(n - 1);
    return server_new(message, n);
}

/* Whether connecting to these ports, one after another, fails with this code and this text. */
static void
check_failure(const struct server *servers, size_t count, enum exit_code code, const char *text,
              const char *what)
{
    char conninfo[256] = "user=u dbname=d sslmode=disable connect_timeout=2 host=";
    struct err err = {0};
    PGconn *conn;

    for (size_t i = 0; i < count; i++)
        snprintf(conninfo + strlen(conninfo), 32, "%s127.0.0.1", i == 0 ? "" : ",");
    for (size_t i = 0; i < count; i++)
        snprintf(conninfo + strlen(conninfo), 32, "%s%d", i == 0 ? " port=" : ",", servers[i].port);
    conn = pqconn_open(conninfo, NULL, 0, &err);
    check(conn == NULL && err.code == code && strstr(err.message, text) != NULL &&
              strpbrk(err.message, "\n\t") == NULL,
          "%s: %d: %s", what, err.code, err.message);
}

static void
test_no_server(void)
{
    static const struct pqconn_keyword forced[] = {{"dbname", "y"}};
    struct err err = {0};

    check(pqconn_open("nosuch=1", NULL, 0, &err) == NULL && err.code == EXIT_REFUSED,
          "an unknown keyword: %s", err.message);
    check(pqconn_open("host=/nonexistent dbname=x", forced, 1, &err) == NULL &&
              err.code == EXIT_PEER && strchr(err.message, '\n') == NULL,
          "no server: %s", err.message);
}

/* The bug was that the words decided, and that only English ones were known. */
static void
test_sqlstates(void)
{
    static const struct {
        const char *sqlstate;
        enum exit_code code;
    } cases[] = {{"28P01", EXIT_REFUSED},
                 {"28000", EXIT_REFUSED},
                 {"3D000", EXIT_REFUSED},
                 {"57P03", EXIT_PEER},
                 {"53300", EXIT_PEER}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct server s = refusing_server(cases[i].sqlstate);

        check_failure(&s, 1, cases[i].code, "Passwort falsch: so geht es nicht", cases[i].sqlstate);
        server_end(s);
    }
}

static void
test_several_hosts(void)
{
    struct server refusing = refusing_server("28P01"), starting = refusing_server("57P03");
    struct server mute = mute_server(), other = mute_server(), gone = mute_server();

    /* Not earlier, because another server would get its port, and a child would still listen
     * there. */
    server_end(gone);
    check_failure(&mute, 1, EXIT_PEER, "timeout expired", "a mute server");
    check_failure((struct server[]){mute, other}, 2, EXIT_PEER, "timeout expired", "two of them");
    check_failure((struct server[]){mute, refusing}, 2, EXIT_REFUSED, "28P01",
                  "the host behind a mute one");
    check_failure((struct server[]){gone, refusing}, 2, EXIT_REFUSED, "28P01",
                  "the host behind one that is gone");
    check_failure((struct server[]){starting, refusing}, 2, EXIT_REFUSED, "28P01",
                  "the host behind one that starts up");
    check_failure((struct server[]){refusing, mute}, 2, EXIT_REFUSED, "28P01",
                  "a host that refuses is the last one");
    check_failure((struct server[]){starting, gone}, 2, EXIT_PEER, "57P03", "none that refuses");
    server_end(mute);
    server_end(other);
    server_end(refusing);
    server_end(starting);
}

/* The server is no PostgreSQL, and sslmode=require. */
static void
test_no_tls(void)
{
    struct server plain = server_new("N", 1);
    char conninfo[128];
    struct err err = {0};
    PGconn *conn;

    snprintf(conninfo, sizeof conninfo, "host=127.0.0.1 port=%d user=u dbname=d sslmode=require",
             plain.port);
    conn = pqconn_open(conninfo, NULL, 0, &err);
    check(conn == NULL && err.code == EXIT_PEER,
          "a server that hung up by itself may speak TLS the next time: %s", err.message);
    server_end(plain);
}

int
main(void)
{
    test_no_server();
    test_sqlstates();
    test_several_hosts();
    test_no_tls();
    return check_done();
}
