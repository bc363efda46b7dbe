/* truncate.c: TRUNCATE, once. Every other change may be applied again and again, because rows carry
 * versions. A repeated truncate would remove newer rows too, which may have been acknowledged long
 * ago. So the table's mark records how far it was truncated. Changes with a lower version are dead
 * and are not applied any more (rows.c), and a finished truncate is not repeated. */
#include "sink-ch/truncate.h"

#include "sink-ch/history.h"
#include "sink-ch/mark.h"
#include "sink-ch/rows.h"

/* Without the right to do so the truncate is done all the same. */
static int
write_mark(struct worker *worker, struct table *table, bool done, struct err *err)
{
    struct err why;

    table->mark.done = done;
    if (mark_write(&worker->server, worker->options, table, &why, err) != 0)
        return -1;
    if (why.message[0] != '\0')
        log_write(worker->log, LOG_WARNING, "%s; %s is truncated without a note", why.message,
                  table->target_sql);
    return 0;
}

static int
empty_table(struct worker *worker, const struct table *table, struct err *err)
{
    struct buf sql = {0};
    int rc;

    server_put_text(&sql, "TRUNCATE TABLE ");
    server_put_text(&sql, table->target_sql);
    rc = server_statement(&worker->server, "truncate a table", &sql, err);
    return rc == 0 ? 0 : table_error(table, worker->transaction.commit_lsn, err);
}

int
truncate_apply(struct worker *worker, struct table *table, uint64_t ordinal, struct err *err)
{
    struct mark *mark = &table->mark;
    struct version version = rows_version(worker, table, ordinal);
    int order;

    if (history_announce(worker, table, err) != 0)
        return table_place(table, worker->transaction.commit_lsn, err);
    if (!table->has_version)
        return empty_table(worker, table, err);
    if (rows_check_version(worker, table, err) != 0)
        return -1;
    /* Another walpipe may have taken over while this one was frozen, and may have truncated. */
    if (mark->writable && mark_read(&worker->server, worker->options, table, err) != 0)
        return table_error(table, worker->transaction.commit_lsn, err);
    order = version_compare(version, mark->at);
    /* Changes that share a truncate's version (version.h) can't be told from those behind it. */
    if (order < 0 ||
        (order == 0 && mark->done && !version_is_shared(table->version_width, version)))
        return 0;
    mark->at = version;
    if (write_mark(worker, table, false, err) != 0 || empty_table(worker, table, err) != 0)
        return -1;
    return write_mark(worker, table, true, err);
}
