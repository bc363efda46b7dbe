/* lives.h: the published physical tables, and the state and progress of their copies. It chooses
 * the next range, and takes the result of one that was read. Pure. It asks no server and writes
 * nothing.
 *
 * A life is one run of copying one physical table (docs/copy.md). */
#ifndef WALPIPE_PGTABLEREAD_LIVES_H
#define WALPIPE_PGTABLEREAD_LIVES_H

#include "lib/backoff.h"
#include "lib/keyhash.h"
#include "lib/relmap.h"
#include "pg-table-read/crew.h"
#include "pg-table-read/order.h"
#include "pg-table-read/waiting.h"

/* pg_export_snapshot() writes 20 bytes. */
#define KEYLESS_SNAPSHOT_BYTES 64

enum life_state {
    LIFE_NEW,      /* seen in the catalog */
    LIFE_ASKED,    /* the workers were asked how much of it they have */
    LIFE_WANTED,   /* is going to be copied */
    LIFE_SETTLING, /* waits until the workers have everything that was written before */
    LIFE_BEGUN,    /* the workers were told of the life, and some have not answered */
    LIFE_GO,       /* all have answered */
    LIFE_WAITING,  /* waits for transactions that are not visible yet */
    LIFE_READING,
    LIFE_CHANGED, /* so it ends, and the catalog tells how */
    LIFE_LEAVING, /* it is gone, which the workers must reach before they are told */
    LIFE_READ,    /* all ranges are finished, but keys may be missing */
    LIFE_COPIED,  /* nothing is left to do */
    LIFE_UNPUBLISHED
};

/* The value of listed_file while the workers are asked. */
#define FILE_UNANSWERED UINT32_MAX

struct life {
    struct life *next;
    uint64_t number; /* 0 before LIFE_BEGUN */
    enum life_state state;
    bool listed;  /* the last catalog has it */
    bool early;   /* it was published when the run began, and its publication has not changed since
                     then */
    bool settled; /* workers have everything that was written before its last change */
    uint64_t reach; /* while SETTLING, LEAVING: see settling.h */
    bool stale;     /* it has changed since it was described */
    bool changed;   /* its published rows or columns changed after it was copied, which must be
                       reported */
    char asked[COPY_DEFINITION_MAX + 1]; /* the definition in the last question about all tables, ""
                                            if there was none */
    uint32_t listed_file; /* of a partition: that of the last list, or of the workers' notes, 0 if
                             not known */
    bool rewritten;       /* the file has changed, perhaps by a TRUNCATE, which must be reported */
    bool was_out; /* it was not published for a while, so changes are lost. The workers must see a
                     list without it */
    bool moved;   /* after it was copied, it became a partition of another table, which must be
                     reported */
    struct catalog
        *catalog; /* the catalog in which it was found, to which relation and part belong */
    const struct relation *relation;
    const struct catalog_part *part;
    struct keyhash hash;
    struct waiting waiting;
    char *match; /* the condition that compares keys, NULL before it is asked for */
    uint64_t floor;
    bool keyless; /* it has no key, so it is read under one snapshot, see keyless.h */
    char snapshot[KEYLESS_SNAPSHOT_BYTES]; /* its name, of such a life */
    uint64_t mark;
    struct backoff again;  /* the last life of such a table failed */
    uint64_t again_at;     /* the next life does not begin before this time (clock_micros) */
    uint64_t ended;        /* the number of its last life, when that has ended */
    struct crewset wants;  /* workers that want it, by their answers to life 0 */
    struct crewset takers; /* workers that have answered life 0, so that they take the table */
    bool resync;           /* it is copied again; see resync.h */
    uint64_t control;      /* the number of the request that waits for this life, 0 if none */
    struct copydetail_refusal *kept; /* the reason why a worker refused it, NULL if none did */
    struct crewset crew;             /* workers that have answered this life */
    bool noted; /* one of them has a note; done and file are common to all of one file */
    struct spans done;
    uint32_t file;      /* of all its ranges, 0 if none was read yet */
    uint32_t pass;      /* counts how often all ranges had to be read again */
    uint64_t blocks;    /* of the table, when last seen */
    uint64_t density;   /* bytes of rows in one of them, 0 if not known */
    uint32_t step;      /* blocks that the next range gets */
    struct span *rests; /* the blocks that no range covers yet */
    size_t rests_count, rests_size;
    struct missing missing;
    bool called;         /* the workers were asked for missing keys, after the last was read */
    bool keys_only;      /* all ranges of blocks are read, and keys may have to be read by a life */
    uint32_t in_flight;  /* ranges that were given to connections and are not read yet, also of
                          * earlier lives
                          */
    uint32_t unreported; /* of this life, read and not yet reported by all workers */
    struct backoff backoff; /* after a range that was dropped */
    uint64_t rest_until;    /* of clock_micros, before which none of its ranges is read */
    uint64_t rows;          /* of the ranges that were read */
};

struct range_found {
    uint32_t file;
    uint64_t blocks;
    uint64_t rows;
    uint64_t bytes;
};

/* Zero-initialise to use. */
struct lives {
    struct life *first;  /* in the order in which they were found */
    struct relmap parts; /* oid to struct life */
    uint64_t last_life;
    uint64_t last_range;
    bool republished; /* other entries publish a table than when the workers were asked */
};

/* Begins its life, LIFE_BEGUN, with a number of its own. Returns -1 when memory is out. */
int lives_begin(struct lives *lives, struct life *life) MUST_CHECK;

/* Takes a worker's answer to the life, which is its target's note of the table, or NULL if the
 * target has all of it. Returns 0, or -1 with err. */
int life_answer(struct life *life, const struct copydetail_state *note, struct err *err) MUST_CHECK;

/* All have answered. Ranges that all of them have finished are not read again. Returns -1 when
 * memory is out. */
int life_go(struct life *life) MUST_CHECK;

/* The table has no replica identity of columns. */
bool life_is_keyless(const struct life *life);

/* The transactions have ended, so ranges may be read. */
void life_start(struct life *life);

/* Returns NULL if no life has this number. */
struct life *lives_find(const struct lives *lives, uint64_t number);

/* Ends the life. The state is LIFE_NEW if another is to follow, otherwise LIFE_COPIED or
 * LIFE_UNPUBLISHED. Ranges in flight are void. */
void life_end(struct life *life, enum life_state state);

/* Call it if the table has changed, after which the workers' positions have no meaning for it. */
void life_unsettle(struct life *life);

/* The same for the notes of the workers. */
void life_leave(struct life *life);

/* Chooses the next range that may be read now. It is one of blocks. When these are finished it is
 * one of missing keys, or the question which keys are missing. Returns 1, 0 if there is none now,
 * or -1 when memory is out. The life counts it as in flight. The order must be handed to one of the
 * functions below. */
int lives_next(struct lives *lives, uint64_t now, struct range_order *order) MUST_CHECK;

/* life_read's `next` for keys, with the keys that were not answered. */
struct range_left {
    const struct ctid *next;
    struct keybatch *keys;
};

/* A range was read. `left` is the rest of it, or NULL if there is none. `found` has the table's
 * file and blocks, the number of rows that were read, and their bytes. From now on the range is
 * unreported. The caller keeps order, which then describes the part that was read. Returns 1, 0 if
 * its life has ended or all must be read again, or -1 when memory is out. */
int life_read(struct range_order *order, const struct range_left *left,
              const struct range_found *found) MUST_CHECK;

/* Call it after life_read returned 1. The rows up to `to` become the order `piece`, which workers
 * report or drop separately. */
void life_split(struct range_order *order, const struct ctid *to, struct range_order *piece);

/* All workers have written their parts. */
void life_reported(const struct range_order *order);

/* A worker has dropped its part, so the range must be read again. It rests first, for a time that
 * grows with each failure. Reading at once would not help while a transaction stays invisible for
 * long. Returns -1 when memory is out. */
int life_dropped(struct range_order *order, uint64_t now) MUST_CHECK;

/* It was not read, and must be read again. Returns -1 when memory is out. */
int life_again(struct range_order *order) MUST_CHECK;

/* The same, because its blocks have more bytes than was known. */
int life_dense(struct range_order *order) MUST_CHECK;

/* The table has another file, in which the same blocks hold other rows. All of it must be read
 * again, for a table without a key in another life. Returns -1 when memory is out. */
int life_moved(const struct range_order *order) MUST_CHECK;

/* Returns true if nothing is left to read or to report. */
bool life_is_finished(const struct life *life);

/* Returns true if all ranges are read and no missing key was reported. */
bool life_is_quiet(const struct life *life);

/* Returns true if another part of the published table is not read yet. Then workers may also miss
 * rows of that part. */
bool lives_have_unread(const struct lives *lives, const struct life *life);

/* From LIFE_BEGUN to LIFE_READ. */
bool life_is_active(const struct life *life);
size_t lives_count_active(const struct lives *lives);

void lives_free(struct lives *lives);

#endif
