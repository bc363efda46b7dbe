/* turns.c: see turns.h. */
#include "pg-table-read/turns.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "pg-table-read/ending.h"
#include "pg-table-read/keyless.h"
#include "pg-table-read/keysql.h"
#include "pg-table-read/listing.h"
#include "pg-table-read/resync.h"
#include "pg-table-read/settling.h"
#include "pg-table-read/text.h"

#define LIST_MICROS UINT64_C(10000000)
#define LOOK_MICROS UINT64_C(100000)

/* Tables that are copied at a time. While one waits, others are read. */
#define LIVES_ACTIVE_MAX 16

/* For the estimate of a table's size. Few servers are built with another one. */
#define BLOCK_BYTES UINT64_C(8192)

/* ---- the published tables ---- */

static void
name_changed(const struct copy *copy)
{
    for (struct life *life = copy->lives.first; life != NULL; life = life->next) {
        if (life->changed)
            log_write(
                copy->log, LOG_WARNING,
                "%s: its columns or what is published of it changed after it was copied; rows "
                "that were not published before are not copied, and changes that were made while "
                "it was not published are lost",
                life->part->name);
        if (life->moved)
            log_write(copy->log, LOG_WARNING,
                      "%s: it is a partition of another table now; its rows stay in the target of "
                      "the earlier table",
                      life->part->name);
        if (life->rewritten)
            log_write(copy->log, LOG_WARNING,
                      "%s: it was rewritten, or truncated without its root, or unlogged for a "
                      "time; if it was truncated or unlogged, the target lacks these changes, and "
                      "its table must be copied again with walpipe resync",
                      life->part->name);
        life->changed = life->moved = life->rewritten = false;
    }
}

/* The tables that the run begins with. */
static int
begin_list(struct copy *copy, struct err *err)
{
    if (settling_reach(copy, &copy->reach, err) != 0)
        return -1;
    for (struct life *life = copy->lives.first; life != NULL; life = life->next) {
        life->early = true;
        life->reach = copy->reach;
    }
    return 0;
}

static int
list_tables(struct copy *copy, uint64_t now, struct err *err)
{
    struct catalog *catalog = catalog_read(copy->conn, copy->publications, err);
    int rc;

    if (catalog == NULL)
        return -1;
    rc = listing_take(&copy->lives, catalog, err);
    catalog_drop(catalog);
    if (rc != 0)
        return -1;
    if (!copy->listed && begin_list(copy, err) != 0)
        return -1;
    if (copy->lives.first == NULL && !copy->listed)
        log_write(copy->log, LOG_WARNING, "the publications publish no table that holds rows");
    copy->listed = true;
    name_changed(copy);
    copy->ask_again = copy->ask_again || copy->lives.republished;
    copy->lives.republished = false;
    copy->list_at = now + LIST_MICROS;
    return 0;
}

/* ---- the workers ---- */

static int
put_table(struct copy *copy, const struct life *life, uint64_t number, const struct sinklist *sinks,
          struct err *err)
{
    struct copytable_event table = {.life = number,
                                    .part = life->part->oid,
                                    .rows = life->part->rows,
                                    .bytes = life->part->blocks * BLOCK_BYTES,
                                    .sinks = *sinks,
                                    .relation = *life->relation,
                                    .resync = number != 0 && life->resync};

    snprintf(table.definition, sizeof table.definition, "%s", life->part->digest);
    return copytable_encode(&copy->out, &table) == 0 ? 0 : state_out_of_memory(err);
}

/* The loop does not write out before the question has reached ackd. */
static int
ask(struct copy *copy, uint64_t life, const struct sinklist *sinks, struct err *err)
{
    return state_has_ackd(copy) ? ackcopy_ask(&copy->ack, life, sinks, err) : 0;
}

/* A table that was not published for a while is not in this list, but in the next one. So the
 * workers record that it was out, and refuse it if it had rows. */
static bool
leave_out(struct copy *copy, struct life *life)
{
    if (!life->was_out || life_is_active(life) || life->in_flight > 0)
        return false;
    life_leave(life);
    life->state = LIFE_NEW;
    life->was_out = false;
    copy->ask_again = true;
    return true;
}

/* With --until-copied also about a table that is copied, because its answer tells that this is
 * committed. */
static bool
is_asked(const struct copy *copy, const struct life *life)
{
    return life->in_flight == 0 &&
           (life->state == LIFE_NEW || (copy->options->until_copied && life->state == LIFE_COPIED));
}

/* Asks about all tables, which also tells the workers which tables there are. */
static int
ask_what_they_have(struct copy *copy, struct err *err)
{
    static const struct sinklist all;

    copy->ask_again = false;
    copy->asking = true;
    if (ask(copy, 0, &all, err) != 0)
        return -1;
    for (struct life *life = copy->lives.first; life != NULL; life = life->next) {
        if (!life->listed || leave_out(copy, life))
            continue;
        if (is_asked(copy, life)) {
            life->wants = (struct crewset){0};
            life->state = LIFE_ASKED;
            life->listed_file = FILE_UNANSWERED;
        }
        if (put_table(copy, life, 0, &all, err) != 0)
            return -1;
        snprintf(life->asked, sizeof life->asked, "%s", life->part->digest);
    }
    return table_end_encode(&copy->out, 0, LIFE_LISTED) == 0 ? 0 : state_out_of_memory(err);
}

void
turns_answered(struct copy *copy)
{
    uint32_t wanted = 0, listed = 0;

    copy->asking = false;
    copy->list_at = 0; /* with the files in the workers' notes */
    for (struct life *life = copy->lives.first; life != NULL; life = life->next) {
        listed += life->listed;
        if (life->state != LIFE_ASKED)
            continue;
        if (life->listed_file == FILE_UNANSWERED)
            life->listed_file = 0;
        life->state = crewset_is_empty(&life->wants) ? LIFE_COPIED : LIFE_WANTED;
        wanted += life->state == LIFE_WANTED;
    }
    name_changed(copy);
    ending_answered(copy);
    log_write(copy->log, LOG_INFO, "%" PRIu32 " of %" PRIu32 " published tables are to be copied",
              wanted, listed);
}

/* ---- a life ---- */

static int
begin_life(struct copy *copy, struct life *life, struct err *err)
{
    struct sinklist sinks;

    if (keyless_check(life, err) != 0)
        return -1;
    crew_sinks(&copy->crew, &life->wants, &sinks);
    if (lives_begin(&copy->lives, life) != 0)
        return state_out_of_memory(err);
    if (ask(copy, life->number, &sinks, err) != 0 ||
        put_table(copy, life, life->number, &sinks, err) != 0)
        return -1;
    log_write(copy->log, LOG_DEBUG, "%s: life %" PRIu64 " begins", life->part->name, life->number);
    return 0;
}

/* SQL for an array of the relations that have rows of the published table. */
static char *
tables_of(const struct copy *copy, const struct life *life)
{
    char *list = text_print("ARRAY[%" PRIu32, life->part->relid), *longer;

    for (const struct life *l = copy->lives.first; l != NULL && list != NULL; l = l->next)
        if (l->part->relid == life->part->relid) {
            longer = text_print("%s,%" PRIu32, list, l->part->oid);
            free(list);
            list = longer;
        }
    longer = list == NULL ? NULL : text_print("%s]::pg_catalog.oid[]", list);
    free(list);
    return longer;
}

/* Every worker tracks now. So this lists the transactions whose changes some worker may have seen
 * before. When all ranges are read for the first time, all transactions count. A transaction that
 * ran while the table came into the publication may have changed it unseen. */
static int
list_transactions(struct copy *copy, struct life *life, struct err *err)
{
    char *oids = tables_of(copy, life);
    int rc;

    if (oids == NULL)
        return state_out_of_memory(err);
    rc = session_position(copy->conn, &copy->server, &life->floor, err);
    if (rc == 0)
        rc = waiting_begin(&life->waiting, copy->conn, oids, life->done.count == 0, err);
    free(oids);
    life->state = LIFE_WAITING;
    return rc;
}

static int
wait_for_transactions(struct copy *copy, struct life *life, struct err *err)
{
    if (waiting_look(&life->waiting, copy->conn, err) != 0)
        return -1;
    if (life->waiting.left > 0)
        return 0;
    if (life->keyless && keyless_export(copy, life, err) != 0)
        return -1;
    if (life->state == LIFE_WAITING)
        life_start(life);
    return 0;
}

static int
end_life(struct copy *copy, struct life *life, enum life_end how, struct err *err)
{
    if (table_end_encode(&copy->out, life->number, how) != 0)
        return state_out_of_memory(err);
    if (how == LIFE_DONE)
        log_write(copy->log, LOG_INFO, "%s: %" PRIu64 " rows", life->part->name, life->rows);
    else if (how == LIFE_GONE)
        log_write(copy->log, LOG_WARNING,
                  "%s is no longer published, and its copy had not ended: rows that were copied "
                  "stay in the target",
                  life->part->name);
    else
        log_write(copy->log, LOG_INFO, "%s has changed: it is read again", life->part->name);
    flights_remove_life(&copy->flights, life->number);
    keyless_drop(copy, life);
    life_end(life, how == LIFE_DONE    ? LIFE_COPIED
                   : how == LIFE_AGAIN ? LIFE_NEW
                                       : LIFE_UNPUBLISHED);
    keyless_rest(life);
    return how == LIFE_GONE ? resync_gone(copy, life, err) : 0;
}

/* ---- turns ---- */

/* A life begins when nothing of an earlier one is in flight. It uses the catalog's current
 * description. */
static void
look_at_new(struct copy *copy, struct life *life)
{
    if (life->in_flight > 0)
        return;
    if (!life->listed)
        life->state = LIFE_UNPUBLISHED;
    else if (life->stale)
        copy->list_at = 0;
    else if (life->was_out)
        copy->ask_again = true;
    else if (!state_has_ackd(copy) || !crewset_is_empty(&life->wants))
        life->state = LIFE_WANTED;
    else
        copy->ask_again = true;
}

/* The table left the publication, which the workers record, or came back, so they are asked again.
 */
static void
look_at_idle(struct copy *copy, struct life *life)
{
    copy->ask_again |= !life->listed && life->state != LIFE_UNPUBLISHED;
    life_leave(life);
    life->state = life->listed ? LIFE_NEW : LIFE_UNPUBLISHED;
}

/* Nothing in the stream takes the rows of a partition away. */
static void
look_at_unlisted(struct copy *copy, struct life *life)
{
    if (life->part->oid != life->part->relid)
        log_write(copy->log, LOG_WARNING,
                  "%s: it is no longer a partition of %s.%s; its rows stay in the target",
                  life->part->name, life->relation->schema, life->relation->name);
    look_at_idle(copy, life);
}

/* Changes of the table as it was before must not come behind rows of the table as it is now: they
 * may go to another worker. */
static int
settle(struct copy *copy, struct life *life, bool look, struct err *err)
{
    int settled = settling_look(copy, life, look, err);

    if (settled <= 0)
        return settled;
    if (settling_check_server(copy, life, err) != 0)
        return -1;
    life->settled = true;
    life->state = LIFE_WANTED;
    return 0;
}

static int
look_at_wanted(struct copy *copy, struct life *life, struct err *err)
{
    if (state_has_ackd(copy) && !life->settled)
        life->state = LIFE_SETTLING;
    else if (keyless_may_begin(life) && lives_count_active(&copy->lives) < LIVES_ACTIVE_MAX &&
             !(life->keys_only && lives_have_unread(&copy->lives, life)))
        return begin_life(copy, life, err);
    return 0;
}

/* The workers need their notes of it as long as the stream may have changes of it. */
static int
leave(struct copy *copy, struct life *life, bool look, struct err *err)
{
    int settled = 1;

    if (life->state != LIFE_LEAVING) {
        life_leave(life);
        life->state = LIFE_LEAVING;
        log_write(copy->log, LOG_DEBUG,
                  "%s is no longer published: waiting until the workers have its earlier changes",
                  life->part->name);
    }
    if (state_has_ackd(copy))
        settled = settling_look(copy, life, look, err);
    return settled == 1 ? end_life(copy, life, LIFE_GONE, err) : settled;
}

static int
look_at_read(struct copy *copy, struct life *life, struct err *err)
{
    if (!state_has_ackd(copy) || life_is_finished(life) ||
        (life_is_quiet(life) && lives_have_unread(&copy->lives, life)))
        return end_life(copy, life, LIFE_DONE, err);
    if (life->match != NULL || !missing_has_some(&life->missing))
        return 0;
    life->match = keysql_match(copy->conn, life->relation, err);
    if (life->match == NULL)
        return -1;
    if (life->match[0] == '\0') {
        life->state = LIFE_CHANGED;
        copy->list_at = 0;
    }
    return 0;
}

static bool
was_asked(const struct life *life)
{
    return life->state != LIFE_NEW && life->state != LIFE_ASKED && life->state != LIFE_UNPUBLISHED;
}

/* Changes that were made meanwhile are lost, so the workers decide whether it can be copied. */
static int
begin_anew(struct copy *copy, struct life *life, struct err *err)
{
    log_write(copy->log, LOG_WARNING,
              "%s was not published for a while, is published otherwise now, or was truncated "
              "without its root; changes of that time are lost",
              life->part->name);
    if (life_is_active(life))
        return end_life(copy, life, LIFE_AGAIN, err);
    if (resync_gone(copy, life, err) != 0)
        return -1;
    life_leave(life);
    life->state = LIFE_NEW;
    return 0;
}

/* Takes one step of a life. With `look`, the source may be asked again whether transactions have
 * ended. */
static int
look_at_life(struct copy *copy, struct life *life, bool look, struct err *err)
{
    if (life_is_active(life) && !life->listed)
        return leave(copy, life, look, err);
    if ((life->state == LIFE_WANTED || life->state == LIFE_SETTLING) && !life->listed) {
        if (resync_gone(copy, life, err) != 0)
            return -1;
        look_at_idle(copy, life);
    }
    if (life->was_out && life->listed && state_has_ackd(copy) && was_asked(life))
        return begin_anew(copy, life, err);
    switch (life->state) {
    case LIFE_NEW:
        look_at_new(copy, life);
        return 0;
    case LIFE_WANTED:
        return look_at_wanted(copy, life, err);
    case LIFE_SETTLING:
        return settle(copy, life, look, err);
    case LIFE_BEGUN:
        if (!state_has_ackd(copy))
            life->state = LIFE_GO;
        return 0;
    case LIFE_GO:
        return list_transactions(copy, life, err);
    case LIFE_WAITING:
        return look || life->waiting.left == 0 ? wait_for_transactions(copy, life, err) : 0;
    case LIFE_LEAVING: /* it came back */
    case LIFE_CHANGED:
        return copy->list_at == 0 ? 0 : end_life(copy, life, LIFE_AGAIN, err);
    case LIFE_COPIED:
        if (!life->listed)
            look_at_unlisted(copy, life);
        return 0;
    case LIFE_UNPUBLISHED:
        look_at_idle(copy, life);
        return 0;
    case LIFE_READ:
        return look_at_read(copy, life, err);
    default:
        return 0;
    }
}

/* Takes each life as far as possible without waiting. */
static int
look_at_lives(struct copy *copy, uint64_t now, bool look, struct err *err)
{
    for (struct life *life = copy->lives.first; life != NULL; life = life->next) {
        enum life_state before;

        do {
            before = life->state;
            if (look_at_life(copy, life, look, err) != 0)
                return -1;
        } while (life->state != before);
    }
    if (look)
        copy->look_at = now + LOOK_MICROS;
    return 0;
}

int
turns_take(struct copy *copy, uint64_t now, bool *copied, struct err *err)
{
    bool look = now >= copy->look_at;
    int done;

    *copied = false;
    if ((now >= copy->list_at && list_tables(copy, now, err) != 0) ||
        look_at_lives(copy, now, look, err) != 0)
        return -1;
    done = state_has_ackd(copy) ? ending_look(copy, look, err) : 0;
    if (done != 0) {
        *copied = done == 1;
        return done == 1 ? 0 : -1;
    }
    return copy->ask_again && !copy->asking && copy->list_at != 0 && state_has_ackd(copy)
               ? ask_what_they_have(copy, err)
               : 0;
}
