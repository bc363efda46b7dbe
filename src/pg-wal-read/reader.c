/* reader.c: see reader.h. */
#include "pg-wal-read/reader.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/backoff.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/lsn.h"
#include "lib/pqmark.h"
#include "lib/sig.h"
#include "lib/slotnote.h"
#include "pg-wal-read/definitions.h"
#include "pg-wal-read/published.h"
#include "pg-wal-read/stream.h"

/* The interval of looks at a slot that cannot be used yet. */
#define WAIT_MILLIS 500

/* The interval at which the log repeats why the creation of a slot waits. */
#define CREATION_PATIENCE_MICROS UINT64_C(5000000)

/* How often a source that is away is tried, as sinks do with their targets, and how often the log
 * reports it. */
#define RETRY_FIRST_MILLIS 100
#define RETRY_MOST_MILLIS  5000
#define STILL_AWAY_MICROS  UINT64_C(30000000)

struct reader {
    struct log *log;
    const struct options *options;
    struct run_id run_id;
    struct source source;
    struct acklink ack;
    struct slotwatch watch;
    struct err refused; /* the fault that the watch found */
    bool slot_seen;     /* the slot was there */
    struct stream stream;
    struct hello hello;
};

static int
tell_source(struct reader *r, struct err *err)
{
    struct ack_source s = {.system_identifier = r->source.system_identifier,
                           .timeline = r->source.timeline,
                           .previous_timeline = r->source.previous_timeline,
                           .switch_lsn = r->source.switch_lsn,
                           .server_version = r->source.server_version,
                           .confirmed_lsn =
                               r->source.slot.exists ? r->source.slot.confirmed_lsn : 0,
                           .wal_sender_timeout_ms = r->source.wal_sender_timeout_ms,
                           .standby = r->source.standby};

    if (r->options->no_ack)
        return 0;
    memcpy(s.database, r->source.database, sizeof s.database);
    snprintf(s.slot, sizeof s.slot, "%s", r->options->source.slot);
    return acklink_source(&r->ack, &s, err);
}

static int
tell_waiting(struct reader *r, const struct ack_waiting *waiting, struct err *err)
{
    return r->options->no_ack ? 0 : acklink_waiting(&r->ack, waiting, err);
}

/* Reports the condition that we wait for, to the log and to ackd. */
static int PRINTF_LIKE(4, 5)
    say_waiting(struct reader *r, bool standby, struct err *err, const char *fmt, ...)
{
    struct ack_waiting waiting = {.standby = standby};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(waiting.message, sizeof waiting.message, fmt, ap);
    va_end(ap);
    log_write(r->log, LOG_WARNING, "%s%s", standby ? "standby: " : "", waiting.message);
    return tell_waiting(r, &waiting, err);
}

static int
pause_for(struct reader *r, int millis, struct err *err)
{
    if (!r->options->no_ack)
        return acklink_pause(&r->ack, millis, err);
    poll(NULL, 0, millis);
    return 0;
}

/* The server waits for every open transaction, and one of them may be forgotten. */
static int
wait_for_creation(struct reader *r, struct err *err)
{
    const struct source_options *options = &r->options->source;
    uint64_t say_at = clock_micros() + CREATION_PATIENCE_MICROS;
    char blockers[160];
    int created;

    if (source_create_slot(&r->source, options, err) != 0)
        return -1;
    while ((created = source_slot_created(&r->source, options, WAIT_MILLIS, err)) == 0) {
        if (pause_for(r, 0, err) != 0)
            return -1;
        if (clock_micros() < say_at)
            continue;
        say_at = clock_micros() + CREATION_PATIENCE_MICROS;
        source_what_blocks(&r->source, options, blockers, sizeof blockers);
        if (say_waiting(r, false, err,
                        "the source makes slot \"%s\" when every transaction that was open has "
                        "ended; it waits for %s",
                        options->slot, blockers[0] == '\0' ? "one of them" : blockers) != 0)
            return -1;
    }
    return created < 0 ? -1 : 0;
}

/* ---- the note about a slot that is made ---- */

static struct slotnote
note_about(const struct reader *r, enum slotnote_state state)
{
    struct slotnote note = {.state = state, .system_identifier = r->source.system_identifier};

    snprintf(note.slot, sizeof note.slot, "%s", r->options->source.slot);
    return note;
}

static int
write_note(const struct reader *r, enum slotnote_state state, const struct definitions *before,
           struct err *err)
{
    struct slotnote note = note_about(r, state);

    if (r->options->source.slot_note == NULL)
        return 0;
    snprintf(note.digest, sizeof note.digest, "%s", before->digest);
    return slotnote_write(r->options->source.slot_note, &note, err);
}

/* The server has refused to make the slot, so one of that name is somebody else's. Without its
 * answer the slot may be there, and the note stays. */
static void
take_note_back(const struct reader *r)
{
    const struct definitions none = {.digest = ""};
    struct err ignored = {0};

    if (PQtransactionStatus(r->source.conn) == PQTRANS_IDLE)
        (void)!write_note(r, SLOTNOTE_NONE, &none, &ignored);
}

/* It is not dropped: another walpipe may have taken it, or made it, and read from it since. */
static int
refuse_unfinished(const struct reader *r, struct err *err)
{
    const char *slot = r->options->source.slot;

    err_set(err, EXIT_REFUSED,
            "walpipe was ended while it made slot \"%s\", and tables or publications have changed "
            "since: the slot might decode with the old definitions",
            slot);
    return err_hint(err,
                    "if nothing was read from the slot yet, SELECT pg_drop_replication_slot('%s') "
                    "and start again; if another walpipe has read from it, remove %s",
                    slot, r->options->source.slot_note);
}

/* An earlier run was ended before it had compared the definitions. */
static int
finish_making(struct reader *r, struct err *err)
{
    struct slotnote note = note_about(r, SLOTNOTE_NONE);
    struct definitions before, now;

    if (r->options->source.slot_note == NULL || !r->source.slot.exists)
        return 0;
    if (slotnote_read(r->options->source.slot_note, &note, err) != 0)
        return -1;
    if (note.state != SLOTNOTE_MAKING)
        return 0;
    memcpy(before.digest, note.digest, sizeof before.digest);
    if (definitions_read(r->source.conn, r->source.server_version, &now, err) != 0)
        return -1;
    return definitions_equal(&before, &now) ? write_note(r, SLOTNOTE_MADE, &before, err)
                                            : refuse_unfinished(r, err);
}

/* ---- the slot ---- */

/* Makes the slot again until no definition changes meanwhile. Nothing was read from it yet, so it
 * can be dropped. */
static int
create_slot(struct reader *r, struct err *err)
{
    const struct source_options *options = &r->options->source;

    for (;;) {
        struct definitions before, after;

        if (definitions_read(r->source.conn, r->source.server_version, &before, err) != 0 ||
            write_note(r, SLOTNOTE_MAKING, &before, err) != 0)
            return -1;
        if (wait_for_creation(r, err) != 0) {
            take_note_back(r);
            return -1;
        }
        if (definitions_read(r->source.conn, r->source.server_version, &after, err) != 0)
            return -1;
        if (definitions_equal(&before, &after))
            return write_note(r, SLOTNOTE_MADE, &before, err);
        log_write(r->log, LOG_WARNING,
                  "tables or publications changed while the source made slot \"%s\": it might "
                  "decode with the old definitions, so it is made again",
                  options->slot);
        if (source_drop_slot(&r->source, options, err) != 0)
            return -1;
    }
}

/* ackd refuses a missing slot if its checkpoint has one. */
static int
create_missing_slot(struct reader *r, struct err *err)
{
    if (r->source.slot.exists)
        return 0;
    /* A new one would begin behind the changes that its user had still to get. */
    if (r->slot_seen)
        return err_set(err, EXIT_PEER,
                       "replication slot \"%s\" existed, and was dropped before it could be read",
                       r->options->source.slot);
    if (!r->options->source.create_slot) {
        err_set(err, EXIT_REFUSED, "replication slot \"%s\" does not exist",
                r->options->source.slot);
        return err_hint(err, "create it, or set create_slot = yes");
    }
    if (tell_source(r, err) != 0 || create_slot(r, err) != 0)
        return -1;
    log_write(r->log, LOG_INFO, "created replication slot \"%s\" at %s", r->options->source.slot,
              lsn_format(r->source.slot.confirmed_lsn).text);
    return 0;
}

/* Waits for a slot that is in use. A second walpipe is the first one's hot standby. */
static int
wait_for_slot(struct reader *r, struct err *err)
{
    int said_pid = 0;

    for (;;) {
        if (source_read_slot(&r->source, &r->options->source, err) != 0)
            return -1;
        r->slot_seen = r->slot_seen || r->options->slot_seen || r->source.slot.exists;
        if (!r->source.slot.exists || r->source.slot.active_pid == 0)
            return 0;
        if (said_pid != r->source.slot.active_pid &&
            say_waiting(r, true, err,
                        "slot \"%s\" is in use by the source's process %d%s%s%s: waiting until it "
                        "is free",
                        r->options->source.slot, r->source.slot.active_pid,
                        r->source.slot.user[0] == '\0' ? "" : " (", r->source.slot.user,
                        r->source.slot.user[0] == '\0' ? "" : ")") != 0)
            return -1;
        said_pid = r->source.slot.active_pid;
        if (pause_for(r, WAIT_MILLIS, err) != 0)
            return -1;
    }
}

static int
check_published(struct reader *r, struct err *err)
{
    struct err why = {0};

    switch (published_check(&r->options->source, &why)) {
    case PUBLISHED_OK:
        return 0;
    case PUBLISHED_UNKNOWN:
        log_write(r->log, LOG_WARNING, "could not look at the published tables: %s", why.message);
        return 0;
    case PUBLISHED_REFUSED:
        break;
    }
    *err = why;
    return -1;
}

/* ---- a source that is away ---- */

struct absence {
    struct backoff backoff;
    uint64_t began_at; /* clock_micros(), 0 while the source is not away */
    uint64_t said_at;
};

static unsigned long long
seconds_of(const struct absence *a)
{
    return (unsigned long long)((clock_micros() - a->began_at) / 1000000);
}

/* ackd hears each reason. The log gets the first one, and then one per STILL_AWAY_MICROS. */
static int
note_absence(struct reader *r, struct absence *a, const struct err *why, struct err *err)
{
    struct ack_waiting waiting = {0};
    uint64_t now = clock_micros();

    snprintf(waiting.message, sizeof waiting.message, "%.*s", (int)sizeof waiting.message - 1,
             why->message);
    if (a->began_at == 0) {
        a->began_at = a->said_at = now;
        log_write(r->log, LOG_ERROR, "waiting for the source: %s", why->message);
    } else if (now - a->said_at >= STILL_AWAY_MICROS) {
        a->said_at = now;
        log_write(r->log, LOG_ERROR,
                  "still waiting for the source, after %llu s and %u attempts: %s", seconds_of(a),
                  (unsigned)a->backoff.failures, why->message);
    }
    return tell_waiting(r, &waiting, err);
}

static int
note_return(struct reader *r, const struct absence *a, struct err *err)
{
    const struct ack_waiting nothing = {0};

    if (a->began_at == 0)
        return 0;
    log_write(r->log, LOG_INFO, "connected to the source after %llu s and %u failed attempts",
              seconds_of(a), (unsigned)a->backoff.failures);
    return tell_waiting(r, &nothing, err);
}

/* Waits for a source that is away, so that ackd stays and reports it. Without ackd a person is
 * there, who gets the error at once. */
static int
connect_source(struct reader *r, struct err *err)
{
    struct absence a = {
        .backoff = {.first_millis = RETRY_FIRST_MILLIS, .most_millis = RETRY_MOST_MILLIS}};
    struct err why = {0};

    while (source_connect(&r->source, &r->options->source, &why) != 0) {
        source_close(&r->source);
        if (why.code != EXIT_PEER || r->options->no_ack) {
            *err = why;
            return -1;
        }
        if (note_absence(r, &a, &why, err) != 0 ||
            pause_for(r, (int)backoff_next(&a.backoff, backoff_random()), err) != 0)
            return -1;
        why = (struct err){0};
    }
    return note_return(r, &a, err);
}

static int
start(struct reader *r, struct err *err)
{
    const struct source_options *options = &r->options->source;

    if (connect_source(r, err) != 0 || source_check_server(&r->source, options, err) != 0 ||
        check_published(r, err) != 0 || pqmark_set(r->source.conn, &r->run_id, err) != 0)
        return -1;
    for (;;) {
        if (wait_for_slot(r, err) != 0 || finish_making(r, err) != 0 ||
            create_missing_slot(r, err) != 0 || source_check_slot(&r->source, options, err) != 0 ||
            tell_source(r, err) != 0)
            return -1;
        switch (source_start(&r->source, options, err)) {
        case SOURCE_STREAMING:
            return 0;
        case SOURCE_SLOT_ACTIVE:
            if (pause_for(r, WAIT_MILLIS, err) != 0)
                return -1;
            break;
        case SOURCE_FAILED:
            return -1;
        }
    }
}

/* For --until-free. */
static int
wait_until_free(struct reader *r, struct err *err)
{
    if (connect_source(r, err) != 0 ||
        source_check_server(&r->source, &r->options->source, err) != 0)
        return -1;
    return wait_for_slot(r, err);
}

static void
fill_hello(struct reader *r)
{
    struct hello *h = &r->hello;

    snprintf(h->stream, sizeof h->stream, "wal");
    snprintf(h->program, sizeof h->program, "pg-wal-read");
    h->run_id = r->run_id;
    h->system_identifier = r->source.system_identifier;
    h->timeline = r->source.timeline;
    memcpy(h->database, r->source.database, sizeof h->database);
    snprintf(h->slot, sizeof h->slot, "%s", r->options->source.slot);
    h->publications_count = r->options->source.publications.count;
    memcpy(h->publications, r->options->source.publications.names, sizeof h->publications);
    h->server_version = r->source.server_version;
    h->proto_version = r->source.proto_version;
    h->start_lsn = r->source.slot.confirmed_lsn;
    h->previous_timeline = r->source.previous_timeline;
    h->switch_lsn = r->source.switch_lsn;
}

static int
run(struct reader *r, struct err *err)
{
    struct stream *s = &r->stream;
    bool acks = !r->options->no_ack;

    s->out_fd = io_open_output(r->options->out, err);
    if (s->out_fd < 0)
        return -1;
    io_enlarge_pipe(s->out_fd, 4 * IO_CHUNK);
    s->out_fd = io_make_nonblocking(s->out_fd, err);
    if (s->out_fd < 0 || run_id_new(&r->run_id, err) != 0)
        return -1;
    if (acks && acklink_connect(&r->ack, r->options->ackd, &r->run_id, err) != 0)
        return -1;
    if (r->options->until_free)
        return wait_until_free(r, err);
    if (start(r, err) != 0)
        return -1;
    /* Until here SIGTERM simply ends the program, because there is nothing to drain. */
    s->signal_fd = sig_open(0, err);
    if (s->signal_fd < 0)
        return -1;
    slotwatch_init(&r->watch, &r->options->source, &r->refused);
    s->log = r->log;
    s->source = &r->source;
    s->ack = acks ? &r->ack : NULL;
    s->watch = acks ? &r->watch : NULL;
    tableask_init(&s->ask, &r->options->source, r->log,
                  r->options->source.table_info ? &s->out : NULL);
    fill_hello(r);
    log_write(r->log, LOG_INFO, "streaming from slot \"%s\" at %s, run %s", r->hello.slot,
              lsn_format(r->hello.start_lsn).text, run_id_format(&r->run_id).text);
    return stream_run(s, &r->hello, err);
}

int
reader_run(struct log *log, const struct options *options)
{
    struct reader *r = calloc(1, sizeof *r);
    struct err err = {0};
    int code = EXIT_DONE;

    if (r == NULL) {
        err_set(&err, EXIT_PEER, "out of memory at the start");
        return log_failure(log, &err);
    }
    r->log = log;
    r->options = options;
    r->source.login.path = options->source.login_note;
    r->ack.conn.fd = -1;
    if (run(r, &err) != 0)
        code = log_failure(log, &err);
    slotwatch_free(&r->watch);
    tableask_free(&r->stream.ask);
    source_close(&r->source);
    acklink_close(&r->ack);
    buf_free(&r->stream.out);
    free(r);
    return code;
}
