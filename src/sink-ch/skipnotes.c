/* skipnotes.c: see skipnotes.h. */
#include "sink-ch/skipnotes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/copynote.h"
#include "lib/lsn.h"
#include "sink-ch/positions.h"

static const char gone[] = "gone", asked[] = "asked";

/* The transaction is skipped again at each start until the slot has passed it. A table that was
 * repaired since does not lack it again. */
#define LACK_VERSION 1

static const char skips_columns[] = "lsn, schema, name, state, version";
static const char skips_types[] = "lsn UInt64, schema String, name String, state String";
static const char skips_key[] = "lsn, schema, name";

static const char lacks_columns[] = "relid, lsn, shard, schema, name, changes, state, version";
static const char lacks_types[] = "relid UInt32, lsn UInt64, shard UInt32, schema String, "
                                  "name String, changes UInt64, state String";
static const char lacks_key[] = "relid, lsn, shard";

/* A later row counts more than an earlier one. */
static uint64_t
next_version(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- rows ---- */

static void
put_skip(const struct notetable *t, const struct skip *skip, const char *state, struct buf *rows)
{
    notetable_begin_row(t, rows);
    notetable_add_number(rows, skip->lsn, 8);
    notetable_add_cstr(rows, skip->table.schema);
    notetable_add_cstr(rows, skip->table.table);
    notetable_add_cstr(rows, state);
    notetable_add_number(rows, next_version(), 8);
}

static void
put_lack(const struct notetable *t, const struct lack *lack, uint32_t shard, const char *state,
         struct buf *rows)
{
    notetable_begin_row(t, rows);
    notetable_add_number(rows, lack->relid, 4);
    notetable_add_number(rows, lack->lsn, 8);
    notetable_add_number(rows, shard, 4);
    notetable_add_cstr(rows, lack->table.schema);
    notetable_add_cstr(rows, lack->table.table);
    notetable_add_number(rows, lack->changes, 8);
    notetable_add_cstr(rows, state);
    notetable_add_number(rows, strcmp(state, gone) == 0 ? next_version() : LACK_VERSION, 8);
}

static int
write_skips(const struct notetable *t, struct buf *rows, struct err *err)
{
    int rc = notetable_insert(t, NOTETABLE_SKIPS, skips_columns, rows, err);

    buf_free(rows);
    return rc;
}

static int
write_lacks(const struct notetable *t, struct buf *rows, struct err *err)
{
    int rc = notetable_insert(t, NOTETABLE_LACKS, lacks_columns, rows, err);

    buf_free(rows);
    return rc;
}

/* Sends "SELECT columns FROM table ... more". */
static int
ask(const struct notetable *t, const char *columns, const char *table, const char *more,
    struct cursor *answer, struct err *err)
{
    const struct buf *body = &t->server->answer.body;
    struct buf sql = {0};

    server_put_text(&sql, "SELECT ");
    server_put_text(&sql, columns);
    notetable_put_from(t, table, &sql);
    server_put_text(&sql, " AND state <> 'gone'");
    server_put_text(&sql, more);
    server_put_text(&sql, " FORMAT RowBinary");
    if (server_query(t->server, "read walpipe's notes", &sql, err) != 0)
        return -1;
    *answer = cursor_over(body->data + body->start, buf_len(body));
    return 0;
}

static int
read_skips(const struct notetable *t, struct skips *skips, struct err *err)
{
    struct cursor c;
    int rc = ask(t, "lsn, schema, name", NOTETABLE_SKIPS, " ORDER BY lsn", &c, err);

    while (rc == 0 && c.left > 0) {
        struct skip skip = {0};

        if (!notetable_take_number(&c, 8, &skip.lsn) ||
            !notetable_take_text(&c, skip.table.schema, sizeof skip.table.schema) ||
            !notetable_take_text(&c, skip.table.table, sizeof skip.table.table))
            return err_set(err, EXIT_REFUSED, "cannot read the rows of " NOTETABLE_SKIPS);
        rc = skips_add(skips, &skip, err);
    }
    return rc;
}

struct lacks {
    struct lack *list; /* by table and LSN, of each worker */
    uint32_t *shards;
    size_t count;
};

static void
lacks_free(struct lacks *lacks)
{
    free(lacks->list);
    free(lacks->shards);
}

static bool
take_lack(struct cursor *c, struct lack *lack, uint32_t *shard)
{
    *lack = (struct lack){0};
    return notetable_take_uint32(c, &lack->relid) && notetable_take_number(c, 8, &lack->lsn) &&
           notetable_take_uint32(c, shard) &&
           notetable_take_text(c, lack->table.schema, sizeof lack->table.schema) &&
           notetable_take_text(c, lack->table.table, sizeof lack->table.table) &&
           notetable_take_number(c, 8, &lack->changes);
}

static int
read_lacks(const struct notetable *t, struct lacks *lacks, struct err *err)
{
    struct cursor c;
    int rc = ask(t, "relid, lsn, shard, schema, name, changes", NOTETABLE_LACKS,
                 " ORDER BY schema, name, relid, lsn, shard", &c, err);

    while (rc == 0 && c.left > 0) {
        size_t n = lacks->count;
        struct lack *list = realloc(lacks->list, (n + 1) * sizeof *list);
        uint32_t *shards = realloc(lacks->shards, (n + 1) * sizeof *shards);

        lacks->list = list != NULL ? list : lacks->list;
        lacks->shards = shards != NULL ? shards : lacks->shards;
        if (list == NULL || shards == NULL)
            return err_set(err, EXIT_PEER, "out of memory for " NOTETABLE_LACKS);
        if (!take_lack(&c, &list[n], &shards[n]))
            return err_set(err, EXIT_REFUSED, "cannot read the rows of " NOTETABLE_LACKS);
        lacks->count++;
    }
    return rc;
}

static int
exist(const struct notetable *t, bool *there, struct err *err)
{
    return notetable_exists(t, NOTETABLE_LACKS, there, err);
}

/* ---- tables that were copied again ---- */

/* In all parts and workers, from a position behind the transaction on. */
static bool
is_copied_since(const struct notes *notes, const struct lack *lack)
{
    bool any = false;

    for (size_t i = 0; i < notes->count; i++) {
        const struct copypart *part = &notes->list[i].part;

        if (part->relid != lack->relid)
            continue;
        any = true;
        if (part->state != COPY_STREAMING || part->l0 <= lack->lsn)
            return false;
    }
    return any;
}

/* Takes those out that are repaired, and appends rows for that. */
static int
drop_repaired(const struct notetable *t, struct lacks *lacks, struct buf *rows, struct err *err)
{
    struct noterows reader = {.table = *t};
    struct notes notes = {0};
    size_t kept = 0;
    bool copies;
    int rc = notetable_exists(t, NOTETABLE_TABLES, &copies, err);

    if (rc == 0 && copies)
        rc = noterows_read(&reader, &notes, err);
    for (size_t i = 0; rc == 0 && i < lacks->count; i++) {
        if (is_copied_since(&notes, &lacks->list[i])) {
            put_lack(t, &lacks->list[i], lacks->shards[i], gone, rows);
            continue;
        }
        lacks->list[kept] = lacks->list[i];
        lacks->shards[kept++] = lacks->shards[i];
    }
    if (rc == 0)
        lacks->count = kept;
    notes_free(&notes);
    buf_free(&reader.rows);
    return rc;
}

static bool
is_same(const struct lack *a, const struct lack *b)
{
    return a->relid == b->relid && a->lsn == b->lsn;
}

/* One for all workers of each table and transaction. */
static void
sum_up(struct lacks *lacks)
{
    size_t kept = 0;

    for (size_t i = 0; i < lacks->count; i++)
        if (kept > 0 && is_same(&lacks->list[kept - 1], &lacks->list[i]))
            lacks->list[kept - 1].changes += lacks->list[i].changes;
        else
            lacks->list[kept++] = lacks->list[i];
    lacks->count = kept;
}

/* ---- a worker ---- */

static struct notetable
table_of(struct worker *w)
{
    return (struct notetable){&w->server, w->options->database, w->options->pipeline,
                              &w->intake.hello};
}

static bool
any_of(const struct lacks *lacks, const struct skip *skip)
{
    for (size_t i = 0; i < lacks->count; i++)
        if (lacks->list[i].lsn == skip->lsn &&
            (skip->table.schema[0] == '\0' ||
             (strcmp(skip->table.schema, lacks->list[i].table.schema) == 0 &&
              strcmp(skip->table.table, lacks->list[i].table.table) == 0)))
            return true;
    return false;
}

/* The slot has passed it, so no worker meets it again. */
static void
tell_end(const struct worker *w, const struct skip *skip, bool any)
{
    const char *schema = skip->table.schema;

    if (any)
        log_write(w->log, LOG_INFO, "the slot has passed the transaction at %s that is skipped",
                  lsn_format(skip->lsn).text);
    else
        log_write(w->log, LOG_WARNING,
                  "nothing was skipped for %s: no transaction has committed there with a change of "
                  "%s%s%s that this sink had to apply",
                  lsn_format(skip->lsn).text, schema[0] == '\0' ? "a table" : schema,
                  schema[0] == '\0' ? "" : ".", skip->table.table);
}

static int
settle(struct worker *w, const struct notetable *t, const struct lacks *lacks, struct err *err)
{
    uint64_t start = w->intake.hello.start_lsn;
    struct buf rows = {0};

    for (size_t i = 0; i < w->skips.count; i++) {
        const struct skip *skip = &w->skips.list[i];

        if (skip->lsn >= start)
            continue;
        put_skip(t, skip, gone, &rows);
        tell_end(w, skip, any_of(lacks, skip));
    }
    return write_skips(t, &rows, err);
}

static void
warn_of_lacks(const struct worker *w, struct lacks *lacks)
{
    sum_up(lacks);
    for (size_t i = 0; i < lacks->count; i++)
        log_write(w->log, LOG_WARNING,
                  "the target lacks %" PRIu64 " changes of %s.%s, of the transaction at %s that "
                  "was skipped; walpipe resync copies the table again",
                  lacks->list[i].changes, lacks->list[i].table.schema, lacks->list[i].table.table,
                  lsn_format(lacks->list[i].lsn).text);
}

static int
clean_up(struct worker *w, const struct notetable *t, struct err *err)
{
    struct lacks lacks = {0};
    struct buf rows = {0};
    int rc = read_lacks(t, &lacks, err);

    if (rc == 0)
        rc = settle(w, t, &lacks, err);
    if (rc == 0)
        rc = drop_repaired(t, &lacks, &rows, err);
    if (rc == 0)
        rc = write_lacks(t, &rows, err);
    if (rc == 0)
        warn_of_lacks(w, &lacks);
    buf_free(&rows);
    lacks_free(&lacks);
    return rc;
}

int
skipnotes_load(struct worker *w, struct err *err)
{
    const struct notetable t = table_of(w);
    bool there;

    w->skips.letter.hello = &w->intake.hello;
    w->skips.letter.directory = w->skips_directory;
    if (deadletter_directory(w->options->ackd, w->skips_directory, err) != 0 ||
        exist(&t, &there, err) != 0)
        return -1;
    if (!there)
        return 0;
    if (read_skips(&t, &w->skips, err) != 0 ||
        (w->intake.hello.shard == 0 && clean_up(w, &t, err) != 0))
        return -1;
    skips_forget(&w->skips, w->intake.hello.start_lsn);
    return 0;
}

int
skipnotes_write(struct worker *w, uint64_t commit_lsn, struct err *err)
{
    const struct notetable t = table_of(w);
    char names[DEADLETTER_PATH_SIZE];
    struct buf rows = {0};

    for (size_t i = 0; i < w->skips.lacks_count; i++)
        put_lack(&t, &w->skips.lacks[i], w->intake.hello.shard, "lacks", &rows);
    if (write_lacks(&t, &rows, err) != 0)
        return -1;
    deadletter_names(&w->skips.letter, commit_lsn, names);
    for (size_t i = 0; i < w->skips.lacks_count; i++)
        log_write(w->log, LOG_WARNING,
                  "skipped %" PRIu64 " changes of %s.%s of the transaction at %s, which the target "
                  "lacks now; they are in %s",
                  w->skips.lacks[i].changes, w->skips.lacks[i].table.schema,
                  w->skips.lacks[i].table.table, lsn_format(commit_lsn).text, names);
    return 0;
}

int
skipnotes_count(struct worker *w, struct ack_lacks *counts, struct err *err)
{
    const struct notetable t = table_of(w);
    struct lacks lacks = {0};
    struct buf rows = {0};
    bool there;
    int rc = exist(&t, &there, err);

    *counts = (struct ack_lacks){0};
    if (rc == 0 && there)
        rc = read_lacks(&t, &lacks, err);
    if (rc == 0 && lacks.count > 0)
        rc = drop_repaired(&t, &lacks, &rows, err);
    for (size_t i = 0; rc == 0 && i < lacks.count; i++) {
        counts->changes += lacks.list[i].changes;
        counts->tables += i == 0 || lacks.list[i].relid != lacks.list[i - 1].relid;
    }
    buf_free(&rows);
    lacks_free(&lacks);
    return rc;
}

/* ---- a person ---- */

static int
require_open(struct worker *w, const struct skip *skip, struct err *err)
{
    struct positions_summary progress;

    if (positions_sum_up(&w->journal, &progress, err) != 0)
        return -1;
    if (progress.system_identifier != w->intake.hello.system_identifier ||
        skip->lsn >= progress.durable)
        return 0;
    err_set(err, EXIT_REFUSED,
            "the transaction at %s cannot be skipped: sink \"%s\" has passed it, and is at %s",
            lsn_format(skip->lsn).text, w->intake.hello.sink, lsn_format(progress.durable).text);
    return err_hint(err, "give the lsn that the sink's last error has");
}

static int
note_skip(struct worker *w, const struct notetable *t, const struct skip *skip, struct err *err)
{
    const char *schema = skip->table.schema;
    struct buf rows = {0};

    put_skip(t, skip, asked, &rows);
    if (require_open(w, skip, err) != 0 ||
        notetable_make(t, NOTETABLE_SKIPS, skips_types, skips_key, err) != 0 ||
        notetable_make(t, NOTETABLE_LACKS, lacks_types, lacks_key, err) != 0) {
        buf_free(&rows);
        return -1;
    }
    if (write_skips(t, &rows, err) != 0)
        return -1;
    printf("noted in the target: the transaction at %s is skipped%s%s%s%s in sink %s\n",
           lsn_format(skip->lsn).text, schema[0] == '\0' ? "" : ", of ", schema,
           schema[0] == '\0' ? "" : ".", skip->table.table, w->intake.hello.sink);
    return 0;
}

static int
note_repaired(struct worker *w, const struct notetable *t, const struct skip *skip, struct err *err)
{
    struct lacks lacks = {0};
    struct buf rows = {0};
    bool there, any = false;
    int rc = exist(t, &there, err);

    if (rc == 0 && there)
        rc = read_lacks(t, &lacks, err);
    for (size_t i = 0; rc == 0 && i < lacks.count; i++) {
        const struct lacks one = {.list = &lacks.list[i], .count = 1};

        if (!any_of(&one, skip))
            continue;
        any = true;
        put_lack(t, &lacks.list[i], lacks.shards[i], gone, &rows);
    }
    lacks_free(&lacks);
    if (rc == 0 && any)
        return write_lacks(t, &rows, err);
    buf_free(&rows);
    if (rc != 0)
        return -1;
    err_set(err, EXIT_REFUSED, "no table of sink \"%s\" lacks changes of a transaction at %s",
            w->intake.hello.sink, lsn_format(skip->lsn).text);
    return err_hint(err, "walpipe tables lists the tables that do");
}

int
skipnotes_ask(struct worker *w, struct err *err)
{
    const struct notetable t = table_of(w);
    struct skip skip = {0};

    if (!lsn_parse(w->options->skip, &skip.lsn))
        return err_set(err, EXIT_REFUSED, "--skip: \"%s\" is not an LSN", w->options->skip);
    if ((w->options->skip_table != NULL &&
         names_option_table(w->options->skip_table, &skip.table, err) != 0) ||
        server_probe(&w->server, w->options->database, err) != 0)
        return -1;
    if (w->intake.hello.system_identifier == 0)
        return err_set(err, EXIT_PEER, "the source has not told which cluster it is");
    return w->options->repaired ? note_repaired(w, &t, &skip, err) : note_skip(w, &t, &skip, err);
}

/* ---- lists ---- */

int
skipnotes_list(const struct notetable *t, struct buf *lines, struct err *err)
{
    struct skips skips = {0};
    struct lacks lacks = {0};
    struct buf rows = {0};
    bool there;
    int rc = exist(t, &there, err);

    if (rc != 0 || !there)
        return rc;
    rc = read_lacks(t, &lacks, err);
    if (rc == 0)
        rc = drop_repaired(t, &lacks, &rows, err);
    if (rc == 0)
        rc = read_skips(t, &skips, err);
    sum_up(&lacks);
    for (size_t i = 0; rc == 0 && i < lacks.count; i++)
        copynote_print(&(struct copynote){.kind = COPYNOTE_LACKS,
                                          .relid = lacks.list[i].relid,
                                          .lsn = lacks.list[i].lsn,
                                          .count = lacks.list[i].changes,
                                          .schema = lacks.list[i].table.schema,
                                          .name = lacks.list[i].table.table},
                       lines);
    for (size_t i = 0; rc == 0 && i < skips.count; i++)
        copynote_print(&(struct copynote){.kind = COPYNOTE_SKIP,
                                          .lsn = skips.list[i].lsn,
                                          .schema = skips.list[i].table.schema,
                                          .name = skips.list[i].table.table},
                       lines);
    skips_free(&skips);
    lacks_free(&lacks);
    buf_free(&rows);
    return rc;
}
