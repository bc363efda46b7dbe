/* grammar.c: see grammar.h. docs/events.7 has the grammar. */
#include "lib/grammar.h"

#include <inttypes.h>

int
grammar_broken(const struct intake *in, const char *what, struct err *err)
{
    err->lsn = in->in_transaction ? in->begin.commit_lsn : in->committed_lsn;
    return err_set(err, EXIT_BUG, "the event stream is not in order: %s", what);
}

static int
malformed(const struct intake *in, const char *what, struct err *err)
{
    err->lsn = in->in_transaction ? in->begin.commit_lsn : in->committed_lsn;
    return err_set(err, EXIT_REFUSED, "malformed %s event", what);
}

/* Counts a change of the open transaction. */
static inline int
count_change(struct intake *in, uint64_t ordinal, struct err *err)
{
    if (!in->in_transaction)
        return grammar_broken(in, "a change outside of a transaction", err);
    if (ordinal <= in->ordinal)
        return grammar_broken(in, "a change's ordinal does not grow", err);
    if (in->barrier_served)
        return grammar_broken(in, "a second change before the barrier's is done", err);
    in->barrier_served = in->barrier_open;
    in->ordinal = ordinal;
    in->events++;
    return 0;
}

static inline int
take_row(struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_ROW;
    if (!row_header_decode(&item->body, item->type, &item->header))
        return malformed(in, "row", err);
    tablecounts_change(&in->counts, item->header.relid, item->type);
    return count_change(in, item->header.ordinal, err);
}

static int
take_truncate(struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_TRUNCATE;
    item->truncate = &in->truncate;
    if (truncate_decode(&item->body, item->elements, &in->truncate, err) != 0)
        return -1;
    for (uint32_t i = 0; i < in->truncate.count; i++)
        tablecounts_change(&in->counts, in->truncate.relids[i], item->type);
    return count_change(in, in->truncate.ordinal, err);
}

static int
take_begin(struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_BEGIN;
    if (!begin_decode(&item->body, item->elements, &item->begin))
        return malformed(in, "begin", err);
    if (in->in_transaction)
        return grammar_broken(in, "begin inside a transaction", err);
    if (in->barrier_open)
        return grammar_broken(in, "begin where a barrier's change was expected", err);
    if (item->begin.commit_lsn < in->committed_lsn)
        return grammar_broken(in, "a transaction before one that was committed earlier", err);
    in->begin = item->begin;
    in->in_transaction = in->begun = true;
    in->ordinal = in->events = 0;
    return 0;
}

static int
take_origin(const struct intake *in, struct intake_item *item, bool begun, struct err *err)
{
    item->kind = INTAKE_ORIGIN;
    if (!origin_decode(&item->body, item->elements, &item->origin))
        return malformed(in, "origin", err);
    if (!begun)
        return grammar_broken(in, "an origin that is not right behind begin", err);
    return 0;
}

static int
take_message(const struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_MESSAGE;
    if (!message_decode(&item->body, item->elements, &item->message))
        return malformed(in, "message", err);
    if (item->message.transactional == in->in_transaction)
        return 0;
    return grammar_broken(in,
                          in->in_transaction ? "a message of no transaction inside one"
                                             : "a transaction's message outside of it",
                          err);
}

static int
compare_commit(const struct intake *in, const struct commit_event *commit, struct err *err)
{
    if (!in->in_transaction || commit->commit_lsn != in->begin.commit_lsn ||
        commit->end_lsn < commit->commit_lsn)
        return grammar_broken(in, "a commit that belongs to no begin", err);
    if (in->barrier_open)
        return grammar_broken(in, "a commit where a barrier's change was expected", err);
    if (commit->end_lsn < in->watermark_lsn)
        return grammar_broken(in, "a commit before a watermark that came earlier", err);
    if (commit->events == in->events)
        return 0;
    err->lsn = commit->commit_lsn;
    return err_set(err, EXIT_BUG,
                   "the transaction had %" PRIu64 " changes for this worker, %" PRIu64
                   " came: something was lost on the way",
                   commit->events, in->events);
}

static int
take_commit(struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_COMMIT;
    if (!commit_decode(&item->body, item->elements, &item->commit))
        return malformed(in, "commit", err);
    if (compare_commit(in, &item->commit, err) != 0)
        return -1;
    in->in_transaction = false;
    in->committed_lsn = item->commit.end_lsn;
    in->committed_time = item->commit.commit_time;
    return 0;
}

static int
take_watermark(struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_WATERMARK;
    if (!watermark_decode(&item->body, item->elements, &item->watermark))
        return malformed(in, "watermark", err);
    if (in->in_transaction)
        return grammar_broken(in, "a watermark inside a transaction", err);
    if (item->watermark > in->watermark_lsn)
        in->watermark_lsn = item->watermark;
    return 0;
}

static int
take_barrier(struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_BARRIER;
    if (!barrier_decode(&item->body, item->elements, &item->barrier) ||
        item->barrier.applier >= in->hello.shards)
        return malformed(in, "barrier", err);
    if (!in->in_transaction && in->hello.version != STREAM_VERSION_COPY)
        return grammar_broken(in, "a barrier outside of a transaction", err);
    if (in->barrier_open)
        return grammar_broken(in, "a barrier where another's change was expected", err);
    if (item->barrier.id <= in->barrier_id)
        return grammar_broken(in, "a barrier's number does not grow", err);
    in->barrier_id = item->barrier.id;
    return 0;
}

static int
take_touched(const struct intake *in, struct intake_item *item, struct err *err)
{
    item->kind = INTAKE_TOUCHED;
    if (!in->in_transaction)
        return grammar_broken(in, "another worker's change outside of a transaction", err);
    if (in->barrier_open)
        return grammar_broken(in, "another worker's change where a barrier's was expected", err);
    return 0;
}

/* A range's frames follow each other, so that the whole range is taken or discarded. */
static int
take_copy(struct intake *in, struct intake_item *item, struct err *err)
{
    bool of_range = item->type >= FRAME_ROWS && item->type <= FRAME_RANGE_END;

    item->kind = INTAKE_COPY;
    if (in->in_transaction)
        return grammar_broken(in, "a frame of a copy inside a transaction", err);
    if (of_range && !in->range_open)
        return grammar_broken(in, "rows of a range that was not begun", err);
    if (in->barrier_open && (item->type != FRAME_TABLE_END || in->barrier_served))
        return grammar_broken(in, "a frame of a copy where a barrier's change was expected", err);
    in->barrier_served = in->barrier_open;
    in->range_open = item->type == FRAME_RANGE || (of_range && item->type != FRAME_RANGE_END);
    return 0;
}

static int
take_end(struct intake *in, struct intake_item *item, struct err *err)
{
    char reason[32];

    item->kind = INTAKE_END;
    if (!end_decode(&item->body, item->elements, reason))
        return malformed(in, "end", err);
    if (buf_len(&in->reader.buf) > 0)
        return grammar_broken(in, "something follows the end frame", err);
    in->ended = true;
    return 0;
}

static int
take_of_version_2(struct intake *in, struct intake_item *item, struct err *err)
{
    bool copies = in->hello.version == STREAM_VERSION_COPY;

    if (copies && item->type == FRAME_TOUCHED)
        return take_touched(in, item, err);
    if (copies && item->type >= FRAME_COPYTABLE && item->type <= FRAME_TABLE_END)
        return take_copy(in, item, err);
    return err_set(err, EXIT_REFUSED, "unknown frame type %u in the event stream", item->type);
}

static int
take_other(struct intake *in, struct intake_item *item, struct err *err)
{
    bool begun = in->begun;

    in->begun = false;
    switch (item->type) {
    case FRAME_BEGIN:
        return take_begin(in, item, err);
    case FRAME_COMMIT:
        return take_commit(in, item, err);
    case FRAME_TRUNCATE:
        return take_truncate(in, item, err);
    case FRAME_RELATION:
        item->kind = INTAKE_RELATION;
        tablecounts_relation(&in->counts, item->body, item->elements);
        return 0;
    case FRAME_TABLEINFO:
        item->kind = INTAKE_TABLEINFO;
        return 0;
    case FRAME_LEFT_OUT:
        item->kind = INTAKE_LEFT_OUT;
        return left_out_decode(&item->body, item->elements, &item->left_out)
                   ? 0
                   : malformed(in, "left out", err);
    case FRAME_WATERMARK:
        return take_watermark(in, item, err);
    case FRAME_BARRIER:
        return take_barrier(in, item, err);
    case FRAME_ORIGIN:
        return take_origin(in, item, begun, err);
    case FRAME_MESSAGE:
        return take_message(in, item, err);
    case FRAME_END:
        return take_end(in, item, err);
    default:
        return take_of_version_2(in, item, err);
    }
}

int
grammar_take(struct intake *in, struct intake_item *item, struct err *err)
{
    item->body = item->frame.body;
    if (!frame_type(&item->body, &item->type, &item->elements))
        return err_set(err, EXIT_REFUSED, "malformed frame in the event stream");
    if (in->range_open && item->type != FRAME_END &&
        (item->type < FRAME_ROWS || item->type > FRAME_RANGE_END))
        return grammar_broken(in, "something else inside a range", err);
    if (item->type < FRAME_INSERT || item->type > FRAME_DELETE)
        return take_other(in, item, err);
    in->begun = false;
    return take_row(in, item, err);
}
