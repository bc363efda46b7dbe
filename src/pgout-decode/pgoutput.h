/* pgoutput.h: the messages of PostgreSQL's logical decoding plugin pgoutput, protocol version 1.
 *
 * The source is the PostgreSQL documentation, chapter "Logical Replication Message Formats". The
 * layouts were checked against src/backend/replication/logical/proto.c and captures of server 15.
 * All numbers are big-endian. Every function reads one message's bytes behind its tag, and returns
 * false unless they are exactly that message, to the last byte. */
#ifndef WALPIPE_PGOUTPUT_H
#define WALPIPE_PGOUTPUT_H

#include "lib/event.h"

enum pgoutput_tag {
    /* protocol 1 */
    PGOUTPUT_BEGIN = 'B',
    PGOUTPUT_COMMIT = 'C',
    PGOUTPUT_ORIGIN = 'O',
    PGOUTPUT_RELATION = 'R',
    PGOUTPUT_TYPE = 'Y',
    PGOUTPUT_INSERT = 'I',
    PGOUTPUT_UPDATE = 'U',
    PGOUTPUT_DELETE = 'D',
    PGOUTPUT_TRUNCATE = 'T',
    PGOUTPUT_MESSAGE = 'M',
    /* protocol 2, transactions in progress */
    PGOUTPUT_STREAM_START = 'S',
    PGOUTPUT_STREAM_STOP = 'E',
    PGOUTPUT_STREAM_COMMIT = 'c',
    PGOUTPUT_STREAM_ABORT = 'A',
    /* protocol 3, two-phase commit, also sent under protocol 1 if the slot was made for it */
    PGOUTPUT_BEGIN_PREPARE = 'b',
    PGOUTPUT_PREPARE = 'P',
    PGOUTPUT_COMMIT_PREPARED = 'K',
    PGOUTPUT_ROLLBACK_PREPARED = 'r',
    PGOUTPUT_STREAM_PREPARE = 'p'
};

/* The message's name in the documentation, or NULL for a tag that no version has. */
const char *pgoutput_name(uint8_t tag);

/* The protocol version that introduced the tag, from 1 to 3. */
int pgoutput_protocol(uint8_t tag);

bool pgoutput_begin(struct cursor *c, struct begin_event *begin) MUST_CHECK;

/* commit->events is not set. */
bool pgoutput_commit(struct cursor *c, struct commit_event *commit) MUST_CHECK;

bool pgoutput_origin(struct cursor *c, struct origin_event *origin) MUST_CHECK;

/* Names point into the message, and so do column names. columns has room for COLUMNS_MAX. Type
 * names are not set. */
struct pgoutput_relation {
    uint32_t relid;
    char replica_identity;
    const char *schema; /* "" in the message means pg_catalog, and is replaced by that */
    const char *name;
    uint32_t columns_count;
    struct relation_column *columns;
};

bool pgoutput_relation(struct cursor *c, struct pgoutput_relation *relation) MUST_CHECK;

struct pgoutput_type {
    uint32_t oid;
    const char *schema; /* "" for pg_catalog, or a domain's base type */
    const char *name;
};

bool pgoutput_type(struct cursor *c, struct pgoutput_type *type) MUST_CHECK;

/* tag is PGOUTPUT_INSERT, _UPDATE or _DELETE. Sets row's relid, tuples and old_kind. */
bool pgoutput_row(struct cursor *c, uint8_t tag, struct row_event *row,
                  struct row_values *values) MUST_CHECK;

/* Sets flags and count. relids stay in the message, where *relids is a cursor over 4 bytes each. */
bool pgoutput_truncate(struct cursor *c, struct truncate_event *truncate,
                       struct cursor *relids) MUST_CHECK;

bool pgoutput_message(struct cursor *c, struct message_event *message) MUST_CHECK;

#endif
