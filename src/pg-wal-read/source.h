/* source.h: the replication connection up to its first byte of WAL. Identifies the source, checks
 * or creates the slot, and sends START_REPLICATION. Knows nothing of the WAL's content. */
#ifndef WALPIPE_SOURCE_H
#define WALPIPE_SOURCE_H

#include <libpq-fe.h>

#include "lib/loginnote.h"
#include "lib/sourceopt.h"
#include "pg-wal-read/decodestart.h"

struct source_options {
    const char *conninfo;
    const char *login_note; /* loginnote.h's path, or NULL */
    const char *slot;
    const char *slot_note; /* slotnote.h's path, or NULL */
    struct sourceopt_publications publications;
    bool create_slot;
    bool binary;
    bool messages;
    bool table_info;
    enum { ORIGIN_ANY, ORIGIN_NONE } origin;
};

/* The slot's state from pg_replication_slots. */
struct slot_state {
    bool exists;
    char plugin[NAME_MAX_BYTES + 1];
    char database[NAME_MAX_BYTES + 1];
    int active_pid; /* 0 if not in use */
    char user[128]; /* its user, as far as the source knows it, as in "walpipe orders, 10.0.0.7" */
    bool two_phase;
    char wal_status[32]; /* "" before server 13 */
    uint64_t confirmed_lsn;
};

struct source {
    PGconn *conn;
    struct loginnote login; /* set its path before source_connect */
    uint64_t system_identifier;
    uint32_t timeline;
    uint32_t previous_timeline; /* the timeline that this one came from, 0 if none, or if the source
                                   does not report it */
    uint64_t switch_lsn;        /* there */
    char database[NAME_MAX_BYTES + 1];
    uint32_t server_version;
    uint32_t wal_sender_timeout_ms;
    bool standby; /* known from source_check_server on */
    uint32_t proto_version;
    struct slot_state slot;
    struct decodestart decodes; /* from source_start on */
};

/* Connects with replication=database, fixes the session's output settings (the text of dates,
 * floats and so on depends on them) and identifies the server. */
int source_connect(struct source *source, const struct source_options *options,
                   struct err *err) MUST_CHECK;

/* Requires wal_level = logical, every publication, and a version that supports the options. */
int source_check_server(struct source *source, const struct source_options *options,
                        struct err *err) MUST_CHECK;

/* Reads the slot's state again into source->slot. */
int source_read_slot(struct source *source, const struct source_options *options,
                     struct err *err) MUST_CHECK;

/* Refuses a slot that cannot be used, because it has another plugin or database, is lost, or is
 * two-phase. */
int source_check_slot(const struct source *source, const struct source_options *options,
                      struct err *err) MUST_CHECK;

/* Starts to create the slot. source_slot_created reports when it exists. The server first waits for
 * every transaction that is open, however long that takes (trap 27). */
int source_create_slot(struct source *source, const struct source_options *options,
                       struct err *err) MUST_CHECK;

/* Waits for it, millis at most. Returns 1, 0 while it is still being created, or -1 with err. */
int source_slot_created(struct source *source, const struct source_options *options, int millis,
                        struct err *err) MUST_CHECK;

/* The reason why the creation of the slot waits, from a connection of its own, as in "transactions
 * of processes 1, 2". It is "" if the source does not report it. */
void source_what_blocks(const struct source *source, const struct source_options *options,
                        char *text, size_t size);

int source_drop_slot(struct source *source, const struct source_options *options,
                     struct err *err) MUST_CHECK;

enum source_start { SOURCE_STREAMING, SOURCE_SLOT_ACTIVE, SOURCE_FAILED };

/* Sends START_REPLICATION at 0/0, because the slot decides the start. Returns SOURCE_SLOT_ACTIVE if
 * another process uses it. */
enum source_start source_start(struct source *source, const struct source_options *options,
                               struct err *err) MUST_CHECK;

/* Ends streaming. Sends CopyDone and waits a little for the server's, so that the server has read
 * the last feedback. The rest of a large transaction is discarded. */
void source_say_goodbye(struct source *source);

void source_close(struct source *source);

#endif
