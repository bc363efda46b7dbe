/* decodestart.c: see decodestart.h. */
#include "pg-wal-read/decodestart.h"

#include <ctype.h>
#include <string.h>

#include "lib/lsn.h"
#include "lib/pqx.h"

/* The first LSN in a message. */
static bool
find_lsn(const char *text, uint64_t *lsn)
{
    for (const char *slash = strchr(text, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        const char *from = slash, *to = slash + 1;
        char copy[LSN_TEXT_SIZE];

        while (from > text && isxdigit((unsigned char)from[-1]))
            from--;
        while (isxdigit((unsigned char)*to))
            to++;
        if ((size_t)(to - from) >= sizeof copy)
            continue;
        memcpy(copy, from, (size_t)(to - from));
        copy[to - from] = '\0';
        if (lsn_parse(copy, lsn))
            return true;
    }
    return false;
}

static void
on_notice(void *arg, const PGresult *result)
{
    struct decodestart *d = arg;
    const char *file = PQresultErrorField(result, PG_DIAG_SOURCE_FILE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    uint64_t lsn;

    if (file == NULL || strcmp(file, "snapbuild.c") != 0 || message == NULL ||
        !find_lsn(message, &lsn))
        return;
    d->found = lsn;
    d->waits = detail != NULL && strpbrk(detail, "0123456789") != NULL;
}

int
decodestart_listen(struct decodestart *d, PGconn *conn, struct err *err)
{
    PGresult *result =
        pqx_exec(conn, "set client_min_messages", "SET client_min_messages = log", err);

    if (result == NULL)
        return -1;
    PQclear(result);
    *d = (struct decodestart){0};
    PQsetNoticeReceiver(conn, on_notice, d);
    return 0;
}

int
decodestart_check(const struct decodestart *d, uint64_t position, uint64_t start, struct err *err)
{
    if (d->waits ? position <= start : d->found <= start)
        return 0;
    err_set(err, EXIT_REFUSED,
            "the source cannot decode every transaction behind the slot's position %s: it decodes "
            "from %s on%s",
            lsn_format(start).text, lsn_format(d->found).text, d->waits ? ", or later" : "");
    return err_hint(
        err, "nothing was confirmed; the slot came to this server without the files in "
             "pg_logical/snapshots, and changes would be missing; run walpipe drop, empty the "
             "targets' tables, and start with copy = yes");
}
