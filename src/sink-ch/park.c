/* park.c: see park.h.
 *
 * The row is written before anything else happens, and the run ends behind it. So no worker has
 * passed over a change of the table before the row is durable, and behind the restart all workers
 * find it. */
#include "sink-ch/park.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/copynote.h"
#include "lib/lsn.h"
#include "lib/utctime.h"
#include "lib/utf8.h"
#include "sink-ch/errorcode.h"
#include "sink-ch/resyncnotes.h"

#define MINUTE_MICROS UINT64_C(60000000)

static const char columns[] = "relid, schema, name, since, lsn, reason, hint, state, version";
static const char types[] = "relid UInt32, schema String, name String, since UInt64, lsn UInt64, "
                            "reason String, hint String, state String";

/* A row. The texts are as long as those of struct err. */
struct row {
    uint32_t relid;
    char schema[NAME_MAX_BYTES + 1];
    char name[NAME_MAX_BYTES + 1];
    uint64_t since; /* microseconds since 1970 */
    uint64_t lsn;
    char reason[1024];
    char hint[512];
    char state[16];
    uint64_t version;
};

static uint64_t
now_micros(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct notetable
table_of(struct worker *w)
{
    return (struct notetable){&w->server, w->options->database, w->options->pipeline,
                              &w->intake.hello};
}

/* ---- rows ---- */

static int
take_row(struct cursor *c, struct row *r, struct err *err)
{
    if (notetable_take_uint32(c, &r->relid) &&
        notetable_take_text(c, r->schema, sizeof r->schema) &&
        notetable_take_text(c, r->name, sizeof r->name) && notetable_take_number(c, 8, &r->since) &&
        notetable_take_number(c, 8, &r->lsn) &&
        notetable_take_text(c, r->reason, sizeof r->reason) &&
        notetable_take_text(c, r->hint, sizeof r->hint) &&
        notetable_take_text(c, r->state, sizeof r->state) &&
        notetable_take_number(c, 8, &r->version))
        return 0;
    return err_set(err, EXIT_REFUSED, "cannot read the rows of " NOTETABLE_PARKED);
}

static int
ask(const struct notetable *t, struct cursor *c, struct err *err)
{
    const struct buf *body = &t->server->answer.body;
    struct buf sql = {0};

    server_put_text(&sql, "SELECT ");
    server_put_text(&sql, columns);
    notetable_put_from(t, NOTETABLE_PARKED, &sql);
    server_put_text(&sql, " ORDER BY since, relid FORMAT RowBinary");
    if (server_query(t->server, "read " NOTETABLE_PARKED, &sql, err) != 0)
        return -1;
    *c = cursor_over(body->data + body->start, buf_len(body));
    return 0;
}

/* The later of two writers counts, also where a clock was set back. */
static int
write_row(const struct notetable *t, const struct row *r, const char *state, struct err *err)
{
    uint64_t now = now_micros();
    struct buf rows = {0};
    int rc;

    notetable_begin_row(t, &rows);
    notetable_add_number(&rows, r->relid, 4);
    notetable_add_cstr(&rows, r->schema);
    notetable_add_cstr(&rows, r->name);
    notetable_add_number(&rows, r->since, 8);
    notetable_add_number(&rows, r->lsn, 8);
    notetable_add_cstr(&rows, r->reason);
    notetable_add_cstr(&rows, r->hint);
    notetable_add_cstr(&rows, state);
    notetable_add_number(&rows, now > r->version ? now : r->version + 1, 8);
    rc = notetable_insert(t, NOTETABLE_PARKED, columns, &rows, err);
    buf_free(&rows);
    return rc;
}

static bool
is_parked(const struct row *r)
{
    return strcmp(r->state, "parked") == 0;
}

/* *found: the table has a row, which is *r then. recent: rows of the last minute. */
static int
find_row(const struct notetable *t, uint32_t relid, struct row *r, bool *found, uint64_t *recent,
         struct err *err)
{
    uint64_t from = now_micros() - MINUTE_MICROS;
    struct cursor c;
    struct row at;

    *found = false;
    *recent = 0;
    if (ask(t, &c, err) != 0)
        return -1;
    while (c.left > 0) {
        if (take_row(&c, &at, err) != 0)
            return -1;
        *recent += at.since > from;
        if (at.relid != relid)
            continue;
        *found = true;
        *r = at;
    }
    return 0;
}

/* ---- the start ---- */

static int
add(struct copynotes *n, uint32_t relid, struct err *err)
{
    uint32_t *more = realloc(n->parked.relids, (n->parked.count + 1) * sizeof *more);

    if (more == NULL)
        return err_set(err, EXIT_PEER, "out of memory for parked tables");
    n->parked.relids = more;
    n->parked.relids[n->parked.count++] = relid;
    return 0;
}

/* Nobody must act on a table that is not published any more. Its name may be another one since. */
static void
log_parked(const struct worker *w, const struct row *r)
{
    const struct copypart *part = copyparts_published(&w->copies.copying, r->relid);
    const struct log_field hint = {
        .name = "hint",
        .text = "its changes are passed over; when the cause is mended, run walpipe resume "
                "--table for it, and it is copied again"};

    if (part != NULL && part->parked)
        log_write_fields(w->log, LOG_WARNING, &hint, 1, "%s.%s is parked since %s, at %s: %s",
                         part->schema, part->name, utctime_of((int64_t)(r->since / 1000)).text,
                         lsn_format(r->lsn).text, r->reason);
}

static int
refuse_without_copies(const struct row *r, struct err *err)
{
    err_set(err, EXIT_REFUSED, "%s.%s is parked, and this stream brings no copies", r->schema,
            r->name);
    return err_hint(err, "set copy = yes in the sink, and bring the table back with walpipe resume "
                         "--table");
}

static int
read_parked(struct worker *w, const struct notetable *t, bool copies, struct err *err)
{
    struct cursor c;
    struct row r;

    if (ask(t, &c, err) != 0)
        return -1;
    while (c.left > 0) {
        if (take_row(&c, &r, err) != 0)
            return -1;
        if (!is_parked(&r))
            continue;
        if (!copies)
            return refuse_without_copies(&r, err);
        if (add(&w->copies.notes, r.relid, err) != 0)
            return -1;
    }
    return 0;
}

static int
make_table(const struct notetable *t, struct err *err)
{
    if (notetable_make(t, NOTETABLE_PARKED, types, "relid", err) == 0)
        return 0;
    if (err->code == EXIT_REFUSED)
        err_hint(err, "grant the sink's user CREATE TABLE, SELECT and INSERT in its database, "
                      "since parked tables are noted there; or set on_error = stop");
    return -1;
}

int
park_load(struct worker *w, struct err *err)
{
    const struct notetable t = table_of(w);
    bool copies = w->intake.hello.version == STREAM_VERSION_COPY, exists;

    if (w->options->park && !copies) {
        err_set(err, EXIT_REFUSED,
                "on_error = park needs copies: a parked table comes back by a copy, and this "
                "stream brings none");
        return err_hint(err, "set copy = yes in the sink, which copies no table that it has "
                             "followed until now; or set on_error = stop");
    }
    if (w->options->park && make_table(&t, err) != 0)
        return -1;
    if (notetable_exists(&t, NOTETABLE_PARKED, &exists, err) != 0)
        return -1;
    return exists ? read_parked(w, &t, copies, err) : 0;
}

/* ---- the resync that ends it ---- */

static int
set_state(const struct notetable *t, uint32_t relid, bool parked, struct err *err)
{
    struct row r;
    uint64_t recent;
    bool found;

    if (find_row(t, relid, &r, &found, &recent, err) != 0)
        return -1;
    return found && is_parked(&r) != parked ? write_row(t, &r, parked ? "parked" : "resumed", err)
                                            : 0;
}

int
park_write(struct worker *w, struct err *err)
{
    const struct copying *c = &w->copies.copying;
    const struct notetable t = table_of(w);

    for (const struct copypart *part = c->parts; part != NULL; part = part->next)
        if (part->parked != part->parked_noted && part == copyparts_first(c, part->relid) &&
            set_state(&t, part->relid, part->parked, err) != 0)
            return -1;
    return 0;
}

int
park_resume(const struct notetable *t, uint32_t relid, struct err *err)
{
    bool exists;

    if (notetable_exists(t, NOTETABLE_PARKED, &exists, err) != 0)
        return -1;
    return exists ? set_state(t, relid, false, err) : 0;
}

/* A table whose notes somebody has removed, or set to waiting, is copied as a new one. */
static int
forget(struct worker *w, const struct notetable *t, struct err *err)
{
    const struct copynotes *n = &w->copies.notes;

    for (size_t i = 0; i < n->parked.count; i++)
        if (!copyparts_is_parked(&w->copies.copying, n->parked.relids[i]) &&
            set_state(t, n->parked.relids[i], false, err) != 0)
            return -1;
    return 0;
}

int
park_begin(struct worker *w, struct err *err)
{
    const struct notetable t = table_of(w);
    struct cursor c;
    struct row r;

    if (w->copies.notes.parked.count == 0)
        return 0;
    if (forget(w, &t, err) != 0 || ask(&t, &c, err) != 0)
        return -1;
    while (c.left > 0) {
        if (take_row(&c, &r, err) != 0)
            return -1;
        if (w->intake.hello.shard == 0)
            log_parked(w, &r);
    }
    return 0;
}

/* ---- a failure ---- */

/* A reason that the server gave may be one of its own, or of the user's. */
static bool
may_park(const struct err *err)
{
    return err->culprit != 0 &&
           (err->sqlstate[0] == '\0' || errorcode_is_of_table(strtoull(err->sqlstate, NULL, 10)));
}

static bool
find_name(const struct copying *c, const struct err *err, struct copypart *table)
{
    const struct copypart *part = copyparts_first(c, table->relid);
    const char *dot = strchr(err->relation, '.');

    if (part != NULL) {
        memcpy(table->schema, part->schema, sizeof table->schema);
        memcpy(table->name, part->name, sizeof table->name);
        return true;
    }
    if (dot == NULL || strchr(dot + 1, '.') != NULL)
        return false;
    snprintf(table->schema, sizeof table->schema, "%.*s", (int)(dot - err->relation),
             err->relation);
    snprintf(table->name, sizeof table->name, "%s", dot + 1);
    return true;
}

/* The notes first: without the row they say that a resync begins by itself, which is right as
 * well. The row decides. */
static int
write_notes(struct worker *w, const struct notetable *t, const struct copypart *table,
            const struct row *old, const struct err *why, struct err *err)
{
    struct row r = {.relid = table->relid, .since = now_micros(), .version = old->version};

    r.lsn = why->lsn != 0 ? why->lsn : state_position(w);
    memcpy(r.schema, table->schema, sizeof r.schema);
    memcpy(r.name, table->name, sizeof r.name);
    snprintf(r.reason, sizeof r.reason, "%s", why->message);
    snprintf(r.hint, sizeof r.hint, "%s", why->hint);
    utf8_make_valid(r.reason); /* a value may be cut within a character */
    utf8_make_valid(r.hint);
    buf_free(&w->copies.notes.rows.rows); /* of a write that failed */
    return resyncnotes_ask(&w->copies.notes, table, err) == 0 ? write_row(t, &r, "parked", err)
                                                              : -1;
}

static int
refuse_more(const struct worker *w, struct err *err)
{
    char hint[sizeof err->hint];

    memcpy(hint, err->hint, sizeof hint);
    return err_hint(err,
                    "the sink stops, because park_limit = %" PRIu64 " tables were parked within a "
                    "minute, so the cause may be a common one; mend it and start again%s%.250s",
                    w->options->park_limit, hint[0] == '\0' ? "" : "; ", hint);
}

static int
say_parked(const struct copypart *table, struct err *err)
{
    char why[sizeof err->message];

    memcpy(why, err->message, sizeof why);
    err_set(err, EXIT_PEER, "%s.%s is parked: %.800s", table->schema, table->name, why);
    return err_hint(err, "after the restart its changes are passed over, and the other tables go "
                         "on; when the cause is mended, run walpipe resume --table for it");
}

/* A target that cannot take the note must not hide the error that is to be mended. */
static int
keep_error(struct err *err, const struct err *why)
{
    char hint[sizeof err->hint];

    if (why->code != EXIT_REFUSED) {
        *err = *why;
        return -1;
    }
    memcpy(hint, err->hint, sizeof hint);
    return err_hint(err, "the table cannot be parked: %.200s%s%.250s", why->message,
                    hint[0] == '\0' ? "" : "; ", hint);
}

static int
note(struct worker *w, const struct copypart *table, const struct err *why, bool *allowed,
     struct err *err)
{
    const struct notetable t = table_of(w);
    struct row old = {0};
    uint64_t recent;
    bool found, parked;

    if (find_row(&t, table->relid, &old, &found, &recent, err) != 0)
        return -1;
    parked = found && is_parked(&old); /* by another worker */
    *allowed = parked || recent < w->options->park_limit;
    return parked || !*allowed ? 0 : write_notes(w, &t, table, &old, why, err);
}

int
park_table(struct worker *w, struct err *err)
{
    const struct copying *c = &w->copies.copying;
    struct copypart table = {.relid = err->culprit, .state = COPY_RESYNC};
    struct err why = {0};
    bool allowed = false;

    if (!w->options->park || err->code != EXIT_REFUSED || !may_park(err) ||
        copyparts_is_parked(c, err->culprit) || !find_name(c, err, &table))
        return -1;
    if (note(w, &table, err, &allowed, &why) != 0)
        return keep_error(err, &why);
    return allowed ? say_parked(&table, err) : refuse_more(w, err);
}

/* ---- lists ---- */

int
park_list(const struct notetable *t, struct buf *lines, struct err *err)
{
    struct cursor c;
    struct row r;
    bool exists;

    if (notetable_exists(t, NOTETABLE_PARKED, &exists, err) != 0)
        return -1;
    if (!exists)
        return 0;
    if (ask(t, &c, err) != 0)
        return -1;
    while (c.left > 0) {
        if (take_row(&c, &r, err) != 0)
            return -1;
        if (is_parked(&r))
            copynote_print(&(struct copynote){.kind = COPYNOTE_PARKED,
                                              .relid = r.relid,
                                              .updated = r.since,
                                              .lsn = r.lsn,
                                              .message = r.reason,
                                              .hint = r.hint},
                           lines);
    }
    return 0;
}
