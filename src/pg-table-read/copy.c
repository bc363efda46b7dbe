/* copy.c: see copy.h. */
#include "pg-table-read/copy.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "pg-table-read/horizon.h"
#include "pg-table-read/keyless.h"
#include "pg-table-read/limits.h"
#include "pg-table-read/ranges.h"
#include "pg-table-read/turns.h"

/* ---- the beginning ---- */

static int
put_hello(struct copy *copy, struct err *err)
{
    const struct options *o = copy->options;
    struct hello hello = {.version = STREAM_VERSION_COPY,
                          .stream = "event",
                          .program = "pg-table-read",
                          .run_id = copy->ack.run_id,
                          .system_identifier = copy->server.system_identifier,
                          .timeline = copy->server.timeline,
                          .publications_count = o->publications.count,
                          .server_version = (uint32_t)PQserverVersion(copy->conn)};

    snprintf(hello.database, sizeof hello.database, "%s", copy->server.database);
    snprintf(hello.slot, sizeof hello.slot, "%s", copy->source.slot);
    memcpy(hello.publications, o->publications.names, sizeof hello.publications);
    if (!state_has_ackd(copy) && run_id_new(&hello.run_id, err) != 0)
        return -1;
    return hello_encode(&copy->out, &hello) == 0 ? 0 : state_out_of_memory(err);
}

/* Rows must come from where the stream comes from. */
static int
check_source(const struct copy *copy, struct err *err)
{
    const struct session_server *server = &copy->server;
    const struct ack_source *source = &copy->source;

    if (server->system_identifier != source->system_identifier ||
        strcmp(server->database, source->database) != 0) {
        err_set(err, EXIT_REFUSED,
                "rows would come from database \"%s\" of system %" PRIu64
                ", the stream comes from database \"%s\" of system %" PRIu64,
                server->database, server->system_identifier, source->database,
                source->system_identifier);
        return err_hint(err, "give pg-table-read and pg-wal-read the same database in --conninfo");
    }
    if (source->standby) {
        err_set(err, EXIT_REFUSED, "the stream comes from a standby: no table can be copied");
        return err_hint(err, "the primary's rows may be ahead of what the standby will ever have; "
                             "let the stream come from the primary while tables are copied, or "
                             "set copy = no");
    }
    if (server->timeline == source->timeline)
        return 0;
    return err_set(err, server->timeline < source->timeline ? EXIT_PEER : EXIT_REFUSED,
                   "rows would come from timeline %" PRIu32 ", the stream comes from timeline "
                   "%" PRIu32,
                   server->timeline, source->timeline);
}

static int
put_end(struct copy *copy, const char *reason, struct err *err)
{
    copy->ended = true;
    return end_encode(&copy->out, reason) == 0 ? 0 : state_out_of_memory(err);
}

int
copy_begin(struct copy *copy, struct err *err)
{
    const struct options *o = copy->options;

    copy->publications =
        pgrelations_publications(o->publications.names, o->publications.count, err);
    if (copy->publications == NULL)
        return -1;
    copy->conn = session_open(o->conninfo, o->login_note, err);
    if (copy->conn == NULL || session_identify(copy->conn, &copy->server, err) != 0 ||
        (state_has_ackd(copy) && check_source(copy, err) != 0) ||
        session_snapshot(copy->conn, &copy->latest, err) != 0 || ranges_open(copy, err) != 0 ||
        put_hello(copy, err) != 0)
        return -1;
    copy->ask_again = copy->begun = true;
    return copy->told_to_stop ? put_end(copy, "drain", err) : 0;
}

int
copy_open(struct copy *copy, const struct options *options, const struct log *log, struct err *err)
{
    *copy = (struct copy){.options = options,
                          .log = log,
                          .ack = {.fd = -1},
                          .workers = options->workers,
                          .rate = options->rate};
    limits_read(copy);
    if (!state_has_ackd(copy))
        return copy_begin(copy, err);
    if (ackconn_open(&copy->ack, options->ackd, IO_CONNECT_PATIENCE_MILLIS, err) != 0)
        return -1;
    fcntl(copy->ack.fd, F_SETFL, O_NONBLOCK); /* the socket is ours alone */
    return ackcopy_hello(&copy->ack, "pg-table-read", err);
}

/* ---- the steps ---- */

/* Without a horizon the workers would track the changes of these tables for ever. */
static int
end_lives(struct copy *copy, struct err *err)
{
    for (const struct life *life = copy->lives.first; life != NULL; life = life->next)
        if (life_is_active(life) && table_end_encode(&copy->out, life->number, LIFE_AGAIN) != 0)
            return state_out_of_memory(err);
    return 0;
}

/* An empty stream would mean that this program has died, so it must write hello before the end. If
 * the run never begins, the next program or ackd ends, which ends this one, too. */
int
copy_stop(struct copy *copy, struct err *err)
{
    if (copy->ended)
        return 0;
    if (copy->begun)
        return end_lives(copy, err) == 0 ? put_end(copy, "drain", err) : -1;
    copy->told_to_stop = true;
    return 0;
}

/* With ackd tables may come any time. */
static bool
all_copied(const struct copy *copy)
{
    for (const struct life *life = copy->lives.first; life != NULL; life = life->next)
        if (life->state < LIFE_COPIED)
            return false;
    return !state_has_ackd(copy);
}

int
copy_step(struct copy *copy, uint64_t *deadline, struct err *err)
{
    uint64_t now = clock_micros();
    bool copied;

    if (copy->ended || !copy->begun)
        return 0;
    if (turns_take(copy, now, &copied, err) != 0 || ranges_start(copy, now, err) != 0 ||
        horizon_refresh(copy, now, err) != 0)
        return -1;
    *deadline = copy->look_at;
    return copied || all_copied(copy) ? put_end(copy, "copied", err) : 0;
}

void
copy_free(struct copy *copy)
{
    for (size_t i = 0; i < copy->readers_count; i++)
        rangeread_free(&copy->readers[i].range);
    flights_free(&copy->flights);
    keyless_free(copy);
    lives_free(&copy->lives);
    snapshot_free(&copy->latest);
    snapshot_free(&copy->horizon);
    free(copy->publications);
    PQfinish(copy->conn);
    ackconn_close(&copy->ack);
    buf_free(&copy->out);
}
