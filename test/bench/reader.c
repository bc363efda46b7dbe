/* reader.c: the yardstick of the bench, which is a logical replication client that discards
 * everything.
 *
 *     reader CONNINFO SLOT PUBLICATION END
 *
 * It reads until the first COMMIT whose end LSN is above END, prints how many row changes it saw,
 * and exits. A low-water mark lets the socket gather 64 KiB or 3 ms of messages, which shows how
 * fast the walsender can send. It shares no code with walpipe, so that walpipe is not its own
 * measure. */
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static uint64_t rows;

static void
fail(PGconn *conn, const char *what)
{
    fprintf(stderr, "reader: %s: %s", what, PQerrorMessage(conn));
    exit(1);
}

static uint64_t
get64(const char *p)
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++)
        n = n << 8 | (unsigned char)p[i];
    return n;
}

static void
put64(char *p, uint64_t n)
{
    for (int i = 7; i >= 0; i--, n >>= 8)
        p[i] = (char)(n & 0xff);
}

static void
send_status(PGconn *conn, uint64_t received)
{
    char status[34] = {'r'};
    put64(status + 1, received);
    if (PQputCopyData(conn, status, sizeof status) != 1 || PQflush(conn) < 0)
        fail(conn, "could not send a status");
}

/* True when the message is the COMMIT that was waited for. */
static bool
look_at(PGconn *conn, const char *message, int len, uint64_t end)
{
    if (message[0] == 'k' && len >= 18 && message[17] == 1)
        send_status(conn, get64(message + 1));
    if (message[0] != 'w' || len < 26)
        return false;
    switch (message[25]) {
    case 'I':
    case 'U':
    case 'D':
        rows++;
        return false;
    case 'C':
        return len >= 25 + 26 && get64(message + 25 + 10) > end;
    default:
        return false;
    }
}

/* Takes everything that libpq holds. Returns true at the end. */
static bool
take_messages(PGconn *conn, uint64_t end)
{
    char *message = NULL;
    int len;
    while ((len = PQgetCopyData(conn, &message, 1)) > 0) {
        bool last = look_at(conn, message, len, end);
        PQfreemem(message);
        if (last)
            return true;
    }
    if (len < 0)
        fail(conn, "the stream ended");
    return false;
}

static void
read_stream(PGconn *conn, uint64_t end)
{
    struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
    time_t reported = time(NULL);
    int low_water = 64 * 1024;

    setsockopt(fd.fd, SOL_SOCKET, SO_RCVLOWAT, &low_water, sizeof low_water);
    for (;;) {
        if (take_messages(conn, end))
            return;
        poll(&fd, 1, 3);
        if (!PQconsumeInput(conn))
            fail(conn, "could not read");
        if (time(NULL) != reported) {
            reported = time(NULL);
            send_status(conn, 0);
        }
    }
}

int
main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: reader CONNINFO SLOT PUBLICATION END\n");
        return 100;
    }
    const char *const keys[] = {"dbname", "replication", "fallback_application_name", NULL};
    const char *const values[] = {argv[1], "database", "reader", NULL};
    PGconn *conn = PQconnectdbParams(keys, values, 1);
    if (PQstatus(conn) != CONNECTION_OK)
        fail(conn, "could not connect");

    unsigned high, low;
    if (sscanf(argv[4], "%X/%X", &high, &low) != 2)
        return 100;
    char command[1024];
    snprintf(command, sizeof command,
             "START_REPLICATION SLOT \"%s\" LOGICAL 0/0 "
             "(proto_version '1', publication_names '\"%s\"')",
             argv[2], argv[3]);
    PGresult *result = PQexec(conn, command);
    if (PQresultStatus(result) != PGRES_COPY_BOTH)
        fail(conn, "could not start");
    PQclear(result);
    read_stream(conn, (uint64_t)high << 32 | low);
    printf("%" PRIu64 "\n", rows);
    PQfinish(conn);
    return 0;
}
