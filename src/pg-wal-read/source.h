/* source.h: the replication connection up to its first byte of WAL: identify, check or create the
 * slot, START_REPLICATION. Knows nothing of what the WAL holds. */
#ifndef WALPIPE_SOURCE_H
#define WALPIPE_SOURCE_H

#include <libpq-fe.h>

#include "lib/loginnote.h"
#include "lib/sourceopt.h"

struct source_options {
    const char *conninfo;
    const char *login_note; /* loginnote.h's path, or NULL */
    const char *slot;
    struct sourceopt_publications publications;
    bool create_slot;
    bool binary;
    bool messages;
    bool table_info;
    enum { ORIGIN_ANY, ORIGIN_NONE } origin;
};

/* What pg_replication_slots says of the slot. */
struct slot_state {
    bool exists;
    char plugin[NAME_MAX_BYTES + 1];
    char database[NAME_MAX_BYTES + 1];
    int active_pid; /* 0: not in use */
    char user[128]; /* who uses it, as far as the source tells: "walpipe orders, 10.0.0.7" */
    bool two_phase;
    char wal_status[32]; /* "" before server 13 */
    uint64_t confirmed_lsn;
};

struct source {
    PGconn *conn;
    struct loginnote login; /* set its path before source_connect */
    uint64_t system_identifier;
    uint32_t timeline;
    uint32_t previous_timeline; /* that it came out of; 0: none, or the source does not tell */
    uint64_t switch_lsn;        /* there */
    char database[NAME_MAX_BYTES + 1];
    uint32_t server_version;
    uint32_t wal_sender_timeout_ms;
    bool standby; /* known from source_check_server on */
    uint32_t proto_version;
    struct slot_state slot;
};

/* Connects with replication=database, fixes the session's output settings (the text of dates,
 * floats and so on depends on them) and identifies the server. */
int source_connect(struct source *source, const struct source_options *options,
                   struct err *err) MUST_CHECK;

/* Requires wal_level = logical, every publication, and a version that has what options ask for. */
int source_check_server(struct source *source, const struct source_options *options,
                        struct err *err) MUST_CHECK;

/* Reads the slot's state anew into source->slot. */
int source_read_slot(struct source *source, const struct source_options *options,
                     struct err *err) MUST_CHECK;

/* Refuses a slot that cannot serve: another plugin or database, lost, two-phase. */
int source_check_slot(const struct source *source, const struct source_options *options,
                      struct err *err) MUST_CHECK;

/* Asks for the slot; it comes when source_slot_created says so. The server first waits for every
 * transaction that is open, however long that takes (trap 27). */
int source_create_slot(struct source *source, const struct source_options *options,
                       struct err *err) MUST_CHECK;

/* Waits for it, millis at most: 1, 0 when it is still being made, -1 with err. */
int source_slot_created(struct source *source, const struct source_options *options, int millis,
                        struct err *err) MUST_CHECK;

/* What the making of the slot waits for, by a connection of its own: "transactions of processes 1,
 * 2"; "" when the source does not tell. */
void source_what_blocks(const struct source *source, const struct source_options *options,
                        char *text, size_t size);

int source_drop_slot(struct source *source, const struct source_options *options,
                     struct err *err) MUST_CHECK;

enum source_start { SOURCE_STREAMING, SOURCE_SLOT_ACTIVE, SOURCE_FAILED };

/* START_REPLICATION at 0/0: the slot decides where. SOURCE_SLOT_ACTIVE: another process uses it. */
enum source_start source_start(struct source *source, const struct source_options *options,
                               struct err *err) MUST_CHECK;

/* Ends streaming: sends CopyDone and waits a little for the server's, so that it has read the last
 * feedback. What it still sends of a large transaction is thrown away. */
void source_say_goodbye(struct source *source);

void source_close(struct source *source);

#endif
