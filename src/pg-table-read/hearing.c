/* hearing.c: see hearing.h. */
#include "pg-table-read/hearing.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "lib/clock.h"
#include "lib/copydefinition.h"
#include "pg-table-read/resync.h"
#include "pg-table-read/turns.h"

/* The time within which ackd must learn that the stream has ended, after the next program has
 * ended. */
#define PATIENCE_MICROS UINT64_C(10000000)

/* ---- workers ---- */

static int
contradicts(const struct ackcopy_report *report, const char *what, uint64_t life, struct err *err)
{
    return err_set(err, EXIT_BUG, "worker %" PRIu32 " of sink \"%s\" %s of life %" PRIu64,
                   report->shard, report->sink, what, life);
}

static int
take_refusal(const struct life *life, const struct ackcopy_report *report, struct err *err)
{
    struct copydetail_refusal why;

    if (!copydetail_refusal_decode(report->message.table_state.detail, &why))
        return contradicts(report, "refuses with malformed words a table", 0, err);
    err_set(err, EXIT_REFUSED, "sink \"%s\" does not take %s: %s", report->sink,
            life != NULL ? life->part->name : "a table", why.message);
    if (life != NULL)
        snprintf(err->relation, sizeof err->relation, "%s.%s", life->relation->schema,
                 life->relation->name);
    return err_hint(err, "%s", why.hint);
}

/* A worker's answer to a life, which is its note. The notes of all workers count. */
static int
take_answer(struct copy *copy, const struct ackcopy_report *report, int worker, struct err *err)
{
    const struct table_state *state = &report->message.table_state;
    struct life *life = lives_find(&copy->lives, state->life);
    struct copydetail_state note;

    if (life == NULL)
        return 0;
    if (state->want == TABLE_REFUSE)
        return take_refusal(life, report, err);
    if (life->state != LIFE_BEGUN || !crewset_add(&life->crew, worker))
        return contradicts(report, "answers twice, or too late, the beginning", state->life, err);
    if (state->want == TABLE_KEEP && life->resync)
        return resync_kept(life, state->detail, report->sink, err);
    if (state->want == TABLE_HAVE)
        return life_answer(life, NULL, err);
    if (!copydetail_state_decode(state->detail, &note))
        return contradicts(report, "answers with a malformed note the beginning", state->life, err);
    return life_answer(life, &note, err);
}

/* Workers that did not apply a TRUNCATE of the root still have the number of the earlier file. */
static void
take_file(struct life *life, uint32_t file)
{
    if (life->listed_file == FILE_UNANSWERED)
        life->listed_file = file;
    else if (life->listed_file != file)
        life->listed_file = 0;
}

/* The target has the table as it was published earlier, or rows of another file. */
static void
compare_note(struct life *life, const struct table_state *state)
{
    struct copydetail_state note;

    if (!copydetail_state_decode(state->detail, &note) || note.definition[0] == '\0')
        return;
    if (copydefinition_same(note.definition, life->part->digest))
        take_file(life, note.file);
    else if (state->want == TABLE_HAVE)
        life->changed = true;
}

/* The worker's note may record that the copy is a resync. */
static void
take_want(struct life *life, const struct table_state *state, int worker)
{
    struct copydetail_state note;

    (void)crewset_add(&life->wants, worker);
    if (copydetail_state_decode(state->detail, &note) && note.resync)
        life->resync = true;
}

/* The answer to life 0. */
static int
take_state(struct copy *copy, const struct ackcopy_report *report, int worker, struct err *err)
{
    const struct table_state *state = &report->message.table_state;
    struct life *life;

    if (state->life > 0)
        return take_answer(copy, report, worker, err);
    life = relmap_get(&copy->lives.parts, state->part);
    if (state->want == TABLE_REFUSE)
        return take_refusal(life, report, err);
    if (life != NULL)
        (void)crewset_add(&life->takers, worker);
    if (life == NULL || life->state != LIFE_ASKED)
        return 0;
    if (state->want == TABLE_WANT)
        take_want(life, state, worker);
    compare_note(life, state);
    return 0;
}

/* All have reported the range. */
static int
finish_flight(struct copy *copy, struct flight *flight, struct err *err)
{
    int rc = 0;

    if (flight->dropped)
        rc = life_dropped(&flight->order, clock_micros());
    else
        life_reported(&flight->order);
    flights_remove(&copy->flights, flight);
    return rc == 0 ? 0 : state_out_of_memory(err);
}

static int
take_copied(struct copy *copy, const struct ackcopy_report *report, int worker, struct err *err)
{
    const struct range_copied *copied = &report->message.copied;
    struct life *life = lives_find(&copy->lives, copied->life);
    struct flight *flight = flights_find(&copy->flights, copied->life, copied->number);

    if (life == NULL)
        return 0;
    if (flight == NULL || !crewset_has(&life->crew, worker) ||
        !crewset_add(&flight->reported, worker))
        return contradicts(report, "reports a range that it does not have", copied->life, err);
    if (!copied->written)
        flight->dropped = true;
    return crewset_equal(&flight->reported, &life->crew) ? finish_flight(copy, flight, err) : 0;
}

/* The life has ended as done, so another one reads the keys. */
static void
begin_for_keys(struct copy *copy, uint64_t number, const char *sink)
{
    for (struct life *life = copy->lives.first; life != NULL; life = life->next) {
        if (life->ended != number || (life->state != LIFE_COPIED && !life->keys_only))
            continue;
        resync_wanted_by(copy, life, sink);
        if (life->state == LIFE_COPIED) {
            life->state = LIFE_WANTED;
            life->keys_only = !life->keyless;
        }
    }
}

static int
take_missing(struct copy *copy, const struct ackcopy_report *report, struct err *err)
{
    const struct keys_missing *missing = &report->message.missing;
    struct life *life = lives_find(&copy->lives, missing->life);

    if (life != NULL)
        return missing_add(&life->missing, missing->keys, catalog_key_columns(life->relation), err);
    begin_for_keys(copy, missing->life, report->sink);
    return 0;
}

/* ---- ackd ---- */

static int
take_answered(struct copy *copy, const struct copy_answered *answered, struct err *err)
{
    struct life *life;
    bool goes;

    if (answered->life == 0) {
        turns_answered(copy);
        return resync_kept_requests(copy, err);
    }
    life = lives_find(&copy->lives, answered->life);
    if (life == NULL)
        return 0;
    if (life->state != LIFE_BEGUN || crewset_count(&life->crew) != answered->workers)
        return err_set(err, EXIT_BUG,
                       "ackd counts %" PRIu64 " answers to life %" PRIu64 ", we %" PRIu32,
                       answered->workers, answered->life, crewset_count(&life->crew));
    if (resync_answered(copy, life, &goes, err) != 0)
        return -1;
    if (!goes)
        return 0;
    return life_go(life) == 0 ? 0 : state_out_of_memory(err);
}

static int
take_own(struct copy *copy, const struct ack_message *message, struct err *err)
{
    switch (message->type) {
    case ACK_RUN:
        if (copy->begun)
            return err_set(err, EXIT_BUG, "ackd tells of a second run");
        copy->source = message->source;
        return copy_begin(copy, err);
    case ACK_ANSWERED:
        return take_answered(copy, &message->answered, err);
    case ACK_CONTROL:
        return resync_request(copy, &message->control, err);
    default:
        copy->draining = true;
        buf_reset(&copy->ack.out, 0);
        return copy_stop(copy, err);
    }
}

static int
take(struct copy *copy, const struct ackcopy_report *report, struct err *err)
{
    int worker;

    if (report->sink[0] == '\0')
        return take_own(copy, &report->message, err);
    worker = crew_number(&copy->crew, report->sink, report->shard);
    if (worker < 0)
        return err_set(err, EXIT_BUG, "more than %u workers report", WORKERS_MAX);
    switch (report->message.type) {
    case ACK_TABLE_STATE:
        return take_state(copy, report, worker, err);
    case ACK_COPIED:
        return take_copied(copy, report, worker, err);
    default:
        return take_missing(copy, report, err);
    }
}

int
hearing_read(struct copy *copy, struct err *err)
{
    static struct ackcopy_report report;
    int found;

    switch (frame_fill(&copy->ack.reader, copy->ack.fd, err)) {
    case FILL_READ:
    case FILL_AGAIN:
        break;
    case FILL_EOF:
        copy->ended = copy->ended || copy->told_to_stop;
        return copy->draining || copy->told_to_stop ? 0 : ackconn_gone_error(err);
    case FILL_FAILED:
        return -1;
    }
    while ((found = ackcopy_report(&copy->ack, &report, err)) == 1)
        if (take(copy, &report, err) != 0)
            return -1;
    return found;
}

bool
hearing_stream_has_ended(struct copy *copy)
{
    uint64_t deadline = clock_micros() + PATIENCE_MICROS;
    struct err ignored = {0};

    while (state_has_ackd(copy) && !copy->draining && clock_micros() < deadline) {
        struct pollfd fd = {.fd = copy->ack.fd, .events = POLLIN};

        if (poll(&fd, 1, clock_poll_timeout(deadline)) > 0 && hearing_read(copy, &ignored) != 0)
            break;
    }
    return copy->draining;
}
