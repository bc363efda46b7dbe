/* decode.c: see decode.h. Knows pgoutput and the two streams, but no socket, database or sink. */
#include "pgout-decode/decode.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/lsn.h"
#include "lib/tableinfo.h"

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for an event");
}

/* EXIT_REFUSED, because a restart would receive the same message again. */
static int
malformed(uint8_t tag, const char *what, struct err *err)
{
    return err_set(err, EXIT_REFUSED, "cannot decode pgoutput message %s ('%c'): %s",
                   pgoutput_name(tag), tag, what);
}

int
decode_hello(struct decoder *d, const struct frame *frame, struct buf *out, struct err *err)
{
    struct hello hello;

    (void)d;
    if (hello_decode(frame, "wal", &hello, err) != 0)
        return -1;
    snprintf(hello.stream, sizeof hello.stream, "event");
    snprintf(hello.program, sizeof hello.program, "pgout-decode");
    return hello_encode(out, &hello) == 0 ? 0 : out_of_memory(err);
}

/* ---- watermarks ---- */

static int
write_watermark(struct decoder *d, uint64_t lsn, struct buf *out, struct err *err)
{
    if (lsn <= d->last_lsn)
        return 0;
    d->last_lsn = lsn;
    return watermark_encode(out, lsn) == 0 ? 0 : out_of_memory(err);
}

static int
decode_keepalive(struct decoder *d, struct cursor *body, uint32_t elements, struct buf *out,
                 struct err *err)
{
    struct keepalive_frame keepalive;

    if (!keepalive_decode(body, elements, &keepalive))
        return err_set(err, EXIT_REFUSED, "malformed keepalive frame");
    /* Inside a transaction no LSN may be reported as complete, because the transaction's rows are
     * still on their way. */
    if (d->in_transaction) {
        d->held_lsn = keepalive.wal_end;
        return 0;
    }
    return write_watermark(d, keepalive.wal_end, out, err);
}

/* ---- transactions ---- */

static int
decode_begin(struct decoder *d, struct cursor *c, struct buf *out, struct err *err)
{
    if (!pgoutput_begin(c, &d->begin))
        return malformed(PGOUTPUT_BEGIN, "malformed", err);
    if (d->in_transaction)
        return malformed(PGOUTPUT_BEGIN, "the transaction before has not ended", err);
    d->in_transaction = true;
    d->foreign = false;
    d->ordinal = 0;
    d->held_lsn = 0;
    return begin_encode(out, &d->begin) == 0 ? 0 : out_of_memory(err);
}

static int
decode_commit(struct decoder *d, struct cursor *c, struct buf *out, struct err *err)
{
    struct commit_event commit;

    if (!pgoutput_commit(c, &commit))
        return malformed(PGOUTPUT_COMMIT, "malformed", err);
    if (!d->in_transaction || commit.commit_lsn != d->begin.commit_lsn)
        return malformed(PGOUTPUT_COMMIT, "its Begin did not come", err);
    if (commit.end_lsn <= commit.commit_lsn || commit.end_lsn <= d->last_lsn)
        return malformed(PGOUTPUT_COMMIT, "its end LSN goes back", err);
    commit.events = d->ordinal;
    d->in_transaction = d->foreign = false;
    d->last_lsn = commit.end_lsn;
    if (commit_encode(out, &commit) != 0)
        return out_of_memory(err);
    return write_watermark(d, d->held_lsn, out, err);
}

static int
decode_origin(struct decoder *d, struct cursor *c, struct buf *out, struct err *err)
{
    struct origin_event origin;

    if (!pgoutput_origin(c, &origin))
        return malformed(PGOUTPUT_ORIGIN, "malformed", err);
    if (!d->in_transaction)
        return malformed(PGOUTPUT_ORIGIN, "outside of a transaction", err);
    if (d->local_only && d->ordinal > 0)
        return malformed(PGOUTPUT_ORIGIN, "behind a change of its transaction", err);
    d->foreign = d->local_only;
    return origin_encode(out, &origin) == 0 ? 0 : out_of_memory(err);
}

/* ---- tables and types ---- */

static int
decode_type(struct decoder *d, struct cursor *c, struct err *err)
{
    struct pgoutput_type type;

    if (!pgoutput_type(c, &type))
        return malformed(PGOUTPUT_TYPE, "malformed", err);
    return relations_learn_type(&d->relations, &type) == 0 ? 0 : out_of_memory(err);
}

static int
decode_relation(struct decoder *d, struct cursor *c, struct buf *out, struct err *err)
{
    struct pgoutput_relation p = {.columns = d->columns};
    struct relation event;

    if (!pgoutput_relation(c, &p))
        return malformed(PGOUTPUT_RELATION, "malformed", err);
    if (relations_learn(&d->relations, &p) != 0)
        return out_of_memory(err);
    event = (struct relation){.relid = p.relid,
                              .replica_identity = p.replica_identity,
                              .schema = p.schema,
                              .name = p.name,
                              .columns_count = p.columns_count,
                              .columns = p.columns};
    return relation_encode(out, &event) == 0 ? 0 : out_of_memory(err);
}

/* Forwards it unchanged, behind the relation event of its table. */
static int
pass_tableinfo(struct decoder *d, struct cursor *body, uint32_t elements, struct buf *out,
               struct err *err)
{
    struct tableinfo info;
    int rc;

    if (tableinfo_decode(body, elements, &info, err) != 0)
        return -1;
    if (relations_find(&d->relations, info.relid) == NULL)
        rc = err_set(err, EXIT_REFUSED,
                     "a tableinfo frame names table oid %" PRIu32 ", which was not announced",
                     info.relid);
    else
        rc = tableinfo_encode(out, FRAME_TABLEINFO, &info) == 0 ? 0 : out_of_memory(err);
    tableinfo_free(&info);
    return rc;
}

/* ---- changes ---- */

static const uint8_t row_frames[] = {[PGOUTPUT_INSERT] = FRAME_INSERT,
                                     [PGOUTPUT_UPDATE] = FRAME_UPDATE,
                                     [PGOUTPUT_DELETE] = FRAME_DELETE};

/* Computes both hashes of the row. The message has as many columns as the relation, which was
 * checked. */
static bool
hash_row(const struct known_relation *known, uint8_t tag, struct row_event *row)
{
    struct row_header *h = &row->header;
    const struct tuple *old = row->old_kind == OLD_NONE ? NULL : &row->old_row;

    if (tag == PGOUTPUT_DELETE)
        return keyhash_row(&known->hash, old, NULL, &h->key_hash);
    if (tag == PGOUTPUT_INSERT || old == NULL) {
        if (!keyhash_row(&known->hash, &row->new_row, NULL, &h->key_hash))
            return false;
        h->old_key_hash = h->key_hash;
        return true;
    }
    return keyhash_row(&known->hash, &row->new_row, old, &h->key_hash) &&
           keyhash_row(&known->hash, old, NULL, &h->old_key_hash);
}

static bool
columns_match(const struct known_relation *known, uint8_t tag, const struct row_event *row)
{
    return (tag == PGOUTPUT_DELETE || row->new_row.count == known->columns_count) &&
           (row->old_kind == OLD_NONE || row->old_row.count == known->columns_count);
}

/* Under publish_via_partition_root the table announces the root's replica identity, but old rows
 * follow the partition's. In some cases an old row proves that the announced identity is wrong.
 * FULL always has an old row. A value that was not sent because it is TOASTed cannot have been
 * NULL. No column of an identity can be NULL. */
static const char *
false_identity(const struct known_relation *known, uint8_t tag, const struct row_event *row)
{
    const struct value *old = row->old_row.values, *now = row->new_row.values;

    if (tag == PGOUTPUT_INSERT)
        return NULL;
    if (row->old_kind == OLD_NONE)
        return known->full ? "the old row is not there" : NULL;
    for (uint32_t i = 0; known->full && tag == PGOUTPUT_UPDATE && i < known->columns_count; i++)
        if (now[i].kind == VALUE_UNCHANGED && old[i].kind == VALUE_NULL)
            return "the old row is not whole";
    for (uint32_t i = 0; !known->full && i < known->key_count; i++)
        if (old[known->key[i]].kind == VALUE_NULL)
            return "the old row lacks columns of the key";
    return NULL;
}

static int
refuse_identity(const struct known_relation *known, uint8_t tag, const char *why, struct err *err)
{
    snprintf(err->relation, sizeof err->relation, "%s", known->label);
    err_set(err, EXIT_REFUSED,
            "cannot decode pgoutput message %s ('%c') of table %s: it announces %s, but %s",
            pgoutput_name(tag), tag, known->label,
            known->full ? "REPLICA IDENTITY FULL" : "a replica identity", why);
    return err_hint(err, "a partition of it has another replica identity; walpipe check names it. "
                         "Give it REPLICA IDENTITY FULL, then walpipe drop and copy the table "
                         "again: what is in the WAL already keeps the old identity");
}

static int
decode_row(struct decoder *d, uint8_t tag, struct cursor *c, struct buf *out, struct err *err)
{
    struct row_event *row = &d->row;
    const struct known_relation *known;
    const char *why;
    char what[96];

    if (!pgoutput_row(c, tag, row, &d->values))
        return malformed(tag, "malformed", err);
    if (!d->in_transaction)
        return malformed(tag, "outside of a transaction", err);
    known = relations_find(&d->relations, row->header.relid);
    if (known == NULL) {
        snprintf(what, sizeof what, "no Relation message announced table oid %" PRIu32,
                 row->header.relid);
        return malformed(tag, what, err);
    }
    if (!columns_match(known, tag, row)) {
        snprintf(what, sizeof what,
                 "it does not have the %" PRIu32 " columns of table oid %" PRIu32,
                 known->columns_count, row->header.relid);
        return malformed(tag, what, err);
    }
    why = false_identity(known, tag, row);
    if (why != NULL)
        return refuse_identity(known, tag, why, err);
    if (!hash_row(known, tag, row)) {
        snprintf(what, sizeof what, "a key column of table oid %" PRIu32 " has no value",
                 row->header.relid);
        malformed(tag, what, err);
        return err_hint(err, "servers before the minor releases of 2022 do not send an unchanged "
                             "TOASTed key: update the source, or use REPLICA IDENTITY FULL");
    }
    row->header.ordinal = ++d->ordinal;
    return row_encode(out, row_frames[tag], row) == 0 ? 0 : out_of_memory(err);
}

static int
decode_truncate(struct decoder *d, struct cursor *c, struct buf *out, struct err *err)
{
    struct truncate_event truncate;
    struct cursor relids;
    struct packer p;

    if (!pgoutput_truncate(c, &truncate, &relids))
        return malformed(PGOUTPUT_TRUNCATE, "malformed", err);
    if (!d->in_transaction)
        return malformed(PGOUTPUT_TRUNCATE, "outside of a transaction", err);
    frame_begin(&p, out, FRAME_TRUNCATE, 4);
    pack_uint(&p, ++d->ordinal);
    pack_uint(&p, truncate.flags);
    pack_array(&p, truncate.count);
    for (uint32_t i = 0; i < truncate.count; i++) {
        uint32_t relid;

        if (!cursor_u32(&relids, &relid) || relations_find(&d->relations, relid) == NULL)
            return malformed(PGOUTPUT_TRUNCATE, "it names a table that was not announced", err);
        pack_uint(&p, relid);
    }
    return frame_end(&p) == 0 ? 0 : out_of_memory(err);
}

static int
decode_message(struct decoder *d, struct cursor *c, struct buf *out, struct err *err)
{
    struct message_event message;

    if (!pgoutput_message(c, &message))
        return malformed(PGOUTPUT_MESSAGE, "malformed", err);
    if (message.transactional && !d->in_transaction)
        return malformed(PGOUTPUT_MESSAGE, "transactional, but outside of a transaction", err);
    return message_encode(out, &message) == 0 ? 0 : out_of_memory(err);
}

/* ---- dispatch ---- */

static int
refuse_tag(uint8_t tag, struct err *err)
{
    if (pgoutput_name(tag) == NULL) {
        err_set(err, EXIT_REFUSED, "unknown pgoutput message type 0x%02x", tag);
        return err_hint(err, "upgrade walpipe: the source may be newer than this version knows");
    }
    err_set(err, EXIT_REFUSED, "cannot decode pgoutput message %s ('%c') of protocol version %d",
            pgoutput_name(tag), tag, pgoutput_protocol(tag));
    if (pgoutput_protocol(tag) == 2)
        return err_hint(err,
                        "only protocol version 1 is supported: read the slot without streaming");
    return err_hint(err, "the slot has two_phase enabled: name a slot that was created without it, "
                         "or let walpipe create one");
}

/* Tables are announced once, perhaps in a transaction that is dropped. */
static bool
is_change(uint8_t tag)
{
    return tag == PGOUTPUT_INSERT || tag == PGOUTPUT_UPDATE || tag == PGOUTPUT_DELETE ||
           tag == PGOUTPUT_TRUNCATE || tag == PGOUTPUT_MESSAGE;
}

static int
decode_message_by_tag(struct decoder *d, uint8_t tag, struct cursor *c, struct buf *out,
                      struct err *err)
{
    /* Its begin and its commit are forwarded, so that its position is reached. */
    if (d->foreign && is_change(tag))
        return 0;
    switch (tag) {
    case PGOUTPUT_INSERT:
    case PGOUTPUT_UPDATE:
    case PGOUTPUT_DELETE:
        return decode_row(d, tag, c, out, err);
    case PGOUTPUT_BEGIN:
        return decode_begin(d, c, out, err);
    case PGOUTPUT_COMMIT:
        return decode_commit(d, c, out, err);
    case PGOUTPUT_ORIGIN:
        return decode_origin(d, c, out, err);
    case PGOUTPUT_RELATION:
        return decode_relation(d, c, out, err);
    case PGOUTPUT_TYPE:
        return decode_type(d, c, err);
    case PGOUTPUT_TRUNCATE:
        return decode_truncate(d, c, out, err);
    case PGOUTPUT_MESSAGE:
        return decode_message(d, c, out, err);
    default:
        return refuse_tag(tag, err);
    }
}

static int
decode_wal(struct decoder *d, struct cursor *body, uint32_t elements, struct buf *out,
           struct err *err)
{
    struct wal_frame wal;
    struct cursor c;
    uint8_t tag;

    if (!wal_decode(body, elements, &wal))
        return err_set(err, EXIT_REFUSED, "malformed wal frame");
    c = cursor_over(wal.message.data, wal.message.len);
    if (!cursor_u8(&c, &tag))
        return err_set(err, EXIT_REFUSED, "empty pgoutput message");
    if (decode_message_by_tag(d, tag, &c, out, err) == 0)
        return 0;
    /* RELATION and TYPE come with position 0. */
    err->lsn = wal.start_lsn != 0 ? wal.start_lsn : d->begin.commit_lsn;
    return -1;
}

static int
decode_end(struct decoder *d, struct cursor *body, uint32_t elements, struct buf *out,
           struct err *err)
{
    char reason[32];

    if (!end_decode(body, elements, reason))
        return err_set(err, EXIT_REFUSED, "malformed end frame");
    d->ended = true;
    return end_encode(out, reason) == 0 ? 0 : out_of_memory(err);
}

int
decode_frame(struct decoder *d, const struct frame *frame, struct buf *out, struct err *err)
{
    struct cursor body = frame->body;
    uint32_t elements;
    uint8_t type;

    if (!frame_type(&body, &type, &elements))
        return err_set(err, EXIT_REFUSED, "malformed frame in the wal stream");
    if (d->ended)
        return err_set(err, EXIT_REFUSED, "a frame of type %u follows the end frame", type);
    switch (type) {
    case FRAME_WAL:
        return decode_wal(d, &body, elements, out, err);
    case FRAME_KEEPALIVE:
        return decode_keepalive(d, &body, elements, out, err);
    case FRAME_WAL_TABLEINFO:
        return pass_tableinfo(d, &body, elements, out, err);
    case FRAME_END:
        return decode_end(d, &body, elements, out, err);
    default:
        return err_set(err, EXIT_REFUSED, "unknown frame type %u in the wal stream", type);
    }
}

void
decoder_free(struct decoder *d)
{
    relations_free(&d->relations);
}
