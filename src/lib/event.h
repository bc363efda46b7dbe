/* event.h: the frames of the event stream between hello and end (docs/events.7). Encode and decode
 * of each stand side by side in event.c.
 *
 * The position of a change is (commit LSN, ordinal). BEGIN carries the commit LSN, the change its
 * ordinal, which is 1 for the first change of the transaction and counts over all tables. Progress
 * and acks use the commit's end LSN. */
#ifndef WALPIPE_EVENT_H
#define WALPIPE_EVENT_H

#include "lib/frame.h"

/* ---- relation ---- */

struct relation_column {
    const char *name;
    bool key; /* part of the replica identity */
    uint32_t type_oid;
    int32_t typmod;          /* -1 if none */
    const char *type_schema; /* of a type that is not built in, from the server's TYPE message */
    const char *type_name;   /* base type of a domain, with schema ""; otherwise both "" */
};

/* A table as the source described it. A new description replaces the one before. All strings and
 * the columns belong to the struct (one block). relation_free releases them. */
struct relation {
    uint32_t relid;
    char replica_identity; /* 'd' default, 'n' nothing, 'f' full, 'i' index */
    const char *schema;
    const char *name;
    uint32_t columns_count;
    struct relation_column *columns;
    void *block;
};

int relation_encode(struct buf *buf, const struct relation *relation) MUST_CHECK;

/* The same items at the end of another frame, as its last elements. */
#define RELATION_ITEMS 5
void relation_pack(struct packer *p, const struct relation *relation);

/* Returns 0, or -1 with err if it is malformed or memory is out. relation may hold anything before.
 * elements must be RELATION_ITEMS. */
int relation_decode(struct cursor *body, uint32_t elements, struct relation *relation,
                    struct err *err) MUST_CHECK;
void relation_free(struct relation *relation);

/* ---- transaction ---- */

struct begin_event {
    uint64_t commit_lsn; /* where the commit record starts, known from BEGIN on (its final_lsn) */
    int64_t commit_time; /* microseconds since 2000-01-01 UTC */
    uint32_t xid;
};

struct origin_event {
    uint64_t origin_lsn;
    struct bytes name;
};

struct commit_event {
    uint64_t commit_lsn;
    uint64_t end_lsn;
    int64_t commit_time;
    uint64_t events; /* changes (insert, update, delete, truncate) of this transaction on this
                        stream, which the receiver compares */
};

int begin_encode(struct buf *buf, const struct begin_event *begin) MUST_CHECK;
bool begin_decode(struct cursor *body, uint32_t elements, struct begin_event *begin) MUST_CHECK;
int origin_encode(struct buf *buf, const struct origin_event *origin) MUST_CHECK;
bool origin_decode(struct cursor *body, uint32_t elements, struct origin_event *origin) MUST_CHECK;
int commit_encode(struct buf *buf, const struct commit_event *commit) MUST_CHECK;
bool commit_decode(struct cursor *body, uint32_t elements, struct commit_event *commit) MUST_CHECK;

/* Every transaction with end_lsn <= lsn came before. */
int watermark_encode(struct buf *buf, uint64_t lsn) MUST_CHECK;
bool watermark_decode(struct cursor *body, uint32_t elements, uint64_t *lsn) MUST_CHECK;

/* ---- changes ---- */

struct tuple {
    uint32_t count;
    struct value *values;
};

/* A row as an item of a frame, an array of its values. unpack takes at most COLUMNS_MAX into
 * values, which then belong to tuple. */
void tuple_pack(struct packer *p, const struct tuple *tuple);
bool tuple_unpack(struct cursor *c, struct tuple *tuple, struct value *values) MUST_CHECK;

enum old_kind {
    OLD_NONE = 0,  /* no old tuple, because the identity did not change */
    OLD_KEY = 'K', /* identity columns only, the others are NULL without a meaning */
    OLD_FULL = 'O' /* the whole old row, of REPLICA IDENTITY FULL */
};

/* The part of a row event that route needs, without its columns. */
struct row_header {
    uint64_t key_hash; /* of the new row's key, for a delete of the old one's */
    uint32_t relid;
    uint64_t ordinal;
    uint64_t old_key_hash; /* differs from key_hash only for an update that changed the key */
};

/* An insert, update or delete. An insert has new_row. An update has new_row, and old_row unless
 * OLD_NONE. A delete has old_row. */
struct row_event {
    struct row_header header;
    enum old_kind old_kind;
    struct tuple old_row;
    struct tuple new_row;
};

/* Room for one row event's values, reused from frame to frame. */
struct row_values {
    struct value old_values[COLUMNS_MAX];
    struct value new_values[COLUMNS_MAX];
};

/* type is FRAME_INSERT, FRAME_UPDATE or FRAME_DELETE. */
int row_encode(struct buf *buf, uint8_t type, const struct row_event *row) MUST_CHECK;

/* Decodes only the header. body is the cursor past the type. */
bool row_header_decode(struct cursor *body, uint8_t type, struct row_header *header) MUST_CHECK;

/* Decodes the whole event. Its values point into the frame, its tuples into values. The caller
 * compares the tuples' counts with the relation's. */
bool row_decode(struct cursor *body, uint8_t type, uint32_t elements, struct row_event *row,
                struct row_values *values) MUST_CHECK;

/* The same after the header was read. Sets all but row->header. */
bool row_decode_rest(struct cursor *body, uint8_t type, uint32_t elements, struct row_event *row,
                     struct row_values *values) MUST_CHECK;

#define TRUNCATE_CASCADE          1
#define TRUNCATE_RESTART_IDENTITY 2

struct truncate_event {
    uint64_t ordinal;
    uint8_t flags;
    uint32_t count;
    uint32_t *relids; /* decoding allocates it, and the caller frees it */
};

int truncate_encode(struct buf *buf, const struct truncate_event *truncate) MUST_CHECK;
int truncate_decode(struct cursor *body, uint32_t elements, struct truncate_event *truncate,
                    struct err *err) MUST_CHECK;

/* pg_logical_emit_message(). Outside a transaction if it is not transactional. Has no ordinal. */
struct message_event {
    bool transactional;
    uint64_t lsn;
    struct bytes prefix;
    struct bytes content;
};

int message_encode(struct buf *buf, const struct message_event *message) MUST_CHECK;
bool message_decode(struct cursor *body, uint32_t elements,
                    struct message_event *message) MUST_CHECK;

/* route sends it to every worker of a sink with several. Each makes everything before it durable,
 * reports that to ackd, and waits. ackd first lets the worker `applier` continue. The next change
 * on its stream is the one that concerns all workers. The applier makes it durable and reports.
 * Then ackd lets the others continue. ids grow within a run. */
struct barrier_event {
    uint64_t id;
    uint32_t applier; /* shard number */
};

int barrier_encode(struct buf *buf, const struct barrier_event *barrier) MUST_CHECK;
bool barrier_decode(struct cursor *body, uint32_t elements,
                    struct barrier_event *barrier) MUST_CHECK;

/* Comes right behind hello, from route, to the workers of a sink with several. It is the rule that
 * decides which of them gets a row, as layout.h's canonical text. text points into the frame. */
int layout_encode(struct buf *buf, struct bytes text) MUST_CHECK;
bool layout_decode(struct cursor *body, uint32_t elements, struct bytes *text) MUST_CHECK;

/* Comes from route in place of the relation event of a table that the sink does not take. Changes
 * of the table that follow do not reach the sink. */
int left_out_encode(struct buf *buf, uint32_t relid) MUST_CHECK;
bool left_out_decode(struct cursor *body, uint32_t elements, uint32_t *relid) MUST_CHECK;

#endif
