/* deliver.c: see deliver.h. */
#include "sink-pg/deliver.h"

#include <string.h>

#include "lib/clock.h"
#include "sink-pg/copytarget.h"
#include "sink-pg/takeover.h"

/* A session of our own that just ended releases its origin at once. One that was told to end may
 * have to roll back first. */
#define ORIGIN_FIRST_MILLIS  500
#define ORIGIN_SECOND_MILLIS 5000

/* Changes of tables that one batch may meet, one after the other, before it fails and a person
 * hears of it. */
#define CHANGES_MAX 10

/* After this many changes the batch itself may be the cause. */
#define CHANGES_OF_OTHERS 3

/* ---- the target comes and goes ---- */

/* The target has answered. From now on its socket is watched while there is no input. */
static int
target_up(struct deliver *d, struct err *err)
{
    d->intake->target_fd = PQsocket(d->applier.session.conn);
    return intake_target_up(d->intake, err);
}

/* The origin comes first, so that the progress row is written under it too. If a session of an
 * earlier worker still has it, it is ended as soon as the epoch allows that. */
static int
take_over(struct deliver *d, bool first, struct progress_found *found, struct err *err)
{
    struct session *s = &d->applier.session;
    struct progress *p = &d->applier.progress;
    enum origin_state state = origin_take(&d->origin, s, ORIGIN_FIRST_MILLIS, err);

    if (state == ORIGIN_FAILED)
        return -1;
    if ((first ? progress_start(p, s, err) : progress_resume(p, s, found, err)) != 0 ||
        takeover(s, p->pipeline, p->hello, err) != 0)
        return -1;
    if (state == ORIGIN_HELD)
        state = origin_take(&d->origin, s, ORIGIN_SECOND_MILLIS, err);
    if (state == ORIGIN_HELD)
        return origin_held(&d->origin, err);
    return state == ORIGIN_FAILED ? -1 : 0;
}

/* Tries once to get a connection, the origin and the progress row. */
static int
try_connect(struct deliver *d, bool first, struct progress_found *found, struct err *err)
{
    struct session *s = &d->applier.session;
    int rc;

    if (s->conn == NULL && session_open(s, err) != 0)
        return -1;
    rc = take_over(d, first, found, err);
    if (rc != 0)
        session_close(s);
    return rc;
}

static int
wait_for_target(struct deliver *d, const struct err *why, struct err *err)
{
    return intake_target_down(d->intake, why->message, err) != 0 ? -1 : intake_wait(d->intake, err);
}

static int
connect_patiently(struct deliver *d, bool first, struct progress_found *found, struct err *err)
{
    for (;;) {
        struct err why = {0};

        if (try_connect(d, first, found, &why) == 0)
            return 0;
        *err = why;
        if (why.code != EXIT_PEER || d->applier.progress.fenced)
            return -1;
        if (wait_for_target(d, &why, err) != 0)
            return -1;
    }
}

int
deliver_start(struct deliver *d, struct err *err)
{
    struct progress_found unused = {0};

    if (connect_patiently(d, true, &unused, err) != 0)
        return -1;
    return target_up(d, err);
}

/* A note that was written alone is not counted. If the target has lost it, the stream brings it
 * again after a restart. */
static int
require_noted(const struct deliver *d, struct err *err)
{
    if (!d->noted_alone)
        return 0;
    err_set(err, EXIT_PEER, "the connection was lost behind the note of a table that is left out");
    return err_hint(err, "nothing is lost: after a restart it is noted again");
}

/* Sets *applied if the commit whose answer was lost was carried out (trap 77). */
static int
reconnect(struct deliver *d, const struct position *commit, bool *applied, struct err *err)
{
    const struct position *durable = &d->applier.progress.durable;
    struct progress_found found = {0}; /* of all tries: the first one may see the commit */

    *applied = false;
    if (connect_patiently(d, false, &found, err) != 0)
        return -1;
    if (found.one_more && commit != NULL && position_equal(&found.position, commit)) {
        *applied = true;
        return 0;
    }
    if (!found.one_more && position_equal(&found.position, durable))
        return require_noted(d, err);
    err_set(err, EXIT_PEER, "the progress in the target is not the one that this worker wrote");
    err->lsn = found.position.lsn;
    return err_hint(
        err, "the target lost transactions, or somebody changed walpipe.progress: after the "
             "restart walpipe compares the progress with the slot, and its log says what to do");
}

int
deliver_look(struct deliver *d, struct err *err)
{
    struct session *s = &d->applier.session;
    struct err why = {0};
    bool applied;

    if (PQconsumeInput(s->conn) == 1 && PQstatus(s->conn) == CONNECTION_OK) {
        for (PGnotify *n = PQnotifies(s->conn); n != NULL; n = PQnotifies(s->conn))
            PQfreemem(n);
        return 0;
    }
    pqx_error(s->conn, NULL, "keep the idle connection to the target", &why);
    if (s->tx_open) {
        *err = why;
        err->code = EXIT_PEER;
        return -1;
    }
    session_close(s);
    if (intake_target_down(d->intake, why.message, err) != 0 ||
        reconnect(d, NULL, &applied, err) != 0)
        return -1;
    return target_up(d, err);
}

/* ---- a batch ---- */

/* The findings of an attempt that is rolled back are dropped. */
static void
forget_found(const struct batch *batch, uint32_t to)
{
    for (uint32_t i = 0; i < to; i++)
        if (batch->ops[i].table != NULL)
            batch->ops[i].table->found = (struct found){0};
}

static int
note_found(struct deliver *d, const struct batch *batch, uint32_t to, struct err *err)
{
    for (uint32_t i = 0; i < to; i++) {
        struct table *t = batch->ops[i].table;

        if (t == NULL || !differences_found(&t->found))
            continue;
        if (t->copied) {
            t->found = (struct found){0};
            continue;
        }
        t->found.rules = t->plan != NULL && t->plan->fires == FIRES_RULES;
        if (differences_note(&d->differences, t->label, &t->found, err) != 0)
            return -1;
        t->found = (struct found){0};
    }
    return 0;
}

struct tries {
    uint32_t changes; /* how often a table changed under the batch */
    bool pieces;      /* earlier pieces of the transaction are in the target's open transaction */
    bool careful;
    bool each; /* see apply.h */
};

/* Continues after a temporary failure. Returns 0 to try again, 1 if the batch is there already. */
static int
recover(struct deliver *d, const struct tries *tries, const struct position *commit,
        struct err *err)
{
    struct session *s = &d->applier.session;
    struct err why = *err;
    bool applied = false;

    /* Also from a server that answers, because it may have become read-only. */
    session_close(s);
    if (wait_for_target(d, &why, err) != 0)
        return -1;
    if (reconnect(d, commit, &applied, err) != 0)
        return -1;
    if (!tries->pieces || applied)
        return applied;
    *err = why;
    err->code = EXIT_PEER;
    return err_hint(err, "the transaction's first pieces, which were in the target's open "
                         "transaction, are gone with it; a restart sends them again");
}

/* After a refusal by the server. Our copy of its catalog may be out of date, or the order of tables
 * or the time of a constraint's check may matter. If it has refused a COMMIT, the third try finds
 * out which transaction is the cause. */
static bool
worth_another_try(const struct applier *a, struct tries *tries, const struct err *err)
{
    if (tries->pieces)
        return false;
    if (tries->careful) {
        if (tries->each || !a->refused_commit || err->lsn != 0)
            return false;
        tries->each = true;
        return true;
    }
    tries->careful = true;
    return true;
}

/* A table changed after its catalog was read and before the batch had it locked. */
static bool
survives_change(struct deliver *d, struct tries *tries, struct err *err)
{
    if (!tries->pieces && tries->changes++ < CHANGES_MAX) {
        log_write(d->log, LOG_INFO, "the target's tables changed: their catalog is read again");
        return true;
    }
    err_set(err, EXIT_PEER, "the target's tables changed while a transaction was applied");
    err_hint(err, "nothing of it was kept; a restart reads the tables anew and applies it");
    return false;
}

/* After a refusal. Returns 0 to read the catalog and try again, 1 if the batch is there already. */
static int
try_again(struct deliver *d, struct tries *tries, const struct position *commit, struct err *err)
{
    bool applied = false;

    if (d->applier.changed ? !survives_change(d, tries, err)
                           : !worth_another_try(&d->applier, tries, err))
        return -1;
    d->applier.stale = true;
    if (d->applier.session.conn == NULL && reconnect(d, commit, &applied, err) != 0)
        return -1;
    return applied;
}

int
deliver_batch(struct deliver *d, struct batch *batch, uint32_t to, const struct position *commit,
              struct err *err)
{
    struct tries tries = {.pieces = d->applier.session.tx_open};
    struct apply_work work = {.batch = batch, .to = to, .commit = commit};
    int rc = 0;

    while (rc == 0) {
        work.careful = tries.careful;
        work.each = tries.each;
        work.apart = tries.pieces || commit == NULL || tries.changes >= CHANGES_OF_OTHERS;
        forget_found(batch, to);
        switch (apply_batch(&d->applier, &work, err)) {
        case OUTCOME_DONE:
            if (commit != NULL)
                progress_committed(&d->applier.progress, commit);
            rc = 1;
            break;
        case OUTCOME_RETRY:
            if (d->applier.unplaced)
                return -1;
            rc = recover(d, &tries, commit, err);
            break;
        case OUTCOME_REFUSED:
            rc = try_again(d, &tries, commit, err);
            break;
        case OUTCOME_NOT:
        case OUTCOME_FAILED:
            return -1;
        }
    }
    if (rc < 0)
        return -1;
    if (commit != NULL) {
        d->applier.progress.durable = *commit;
        d->noted_alone = false;
    }
    if (note_found(d, batch, to, err) != 0 ||
        (commit != NULL && differences_report(&d->differences, &d->intake->ack, d->log, err) != 0))
        return -1;
    return target_up(d, err);
}

int
deliver_check_name(struct deliver *d, const struct copynotes *notes, struct copying *copying,
                   const struct relation *relation, struct err *err)
{
    const struct copytarget owner = {
        .pipeline = notes->pipeline, .hello = notes->hello, .map = notes->map};
    struct session *s = &d->applier.session;
    const struct tries tries = {.pieces = s->tx_open};

    while (copytarget_check(&owner, s, copying, relation, err) != 0)
        if (tries.pieces || outcome_of(s, err) != OUTCOME_RETRY ||
            recover(d, &tries, NULL, err) != 0)
            return -1;
    *err = (struct err){0};
    return target_up(d, err);
}

int
deliver_left_out(struct deliver *d, const struct copynotes *notes, uint32_t relid, struct err *err)
{
    struct session *s = &d->applier.session;
    const struct tries tries = {.pieces = s->tx_open};

    while (copynotes_leave_out(notes, s, relid, err) != 0)
        if (tries.pieces || outcome_of(s, err) != OUTCOME_RETRY ||
            recover(d, &tries, NULL, err) != 0)
            return -1;
    *err = (struct err){0};
    d->noted_alone = true;
    return target_up(d, err);
}

void
deliver_free(struct deliver *d)
{
    differences_end(&d->differences, d->log);
    differences_free(&d->differences);
    progress_free(&d->applier.progress);
    apply_free(&d->applier);
}
