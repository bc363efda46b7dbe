/* copyparts.h: the tables of struct copying and their parts. For copying.c and copylife.c; a sink
 * uses copying.h. */
#ifndef WALPIPE_COPYPARTS_H
#define WALPIPE_COPYPARTS_H

#include "lib/copydefinition.h"
#include "lib/heldranges.h"
#include "lib/relmap.h"
#include "lib/spans.h"
#include "lib/tracked.h"

enum copy_state {
    COPY_NEW = 'n',     /* the sink must check whether the target's table is empty */
    COPY_WAITING = 'w', /* waits for its first life, whose ranges will bring the changes that the
                           stream brings now */
    COPY_COPYING = 'c',
    COPY_RESYNC = 'r', /* copied again: see docs/copy.md. All parts of a table have this state, or
                          none */
    COPY_STREAMING = 's',
    COPY_PARKED = 'p' /* only of a whole table, for people: its parts are in COPY_RESYNC */
};

/* The treatment of a table's changes. */
enum copying_way {
    COPYING_APPLY,  /* as without a copy */
    COPYING_PASS,   /* leave it, since the ranges will have it */
    COPYING_HOLD,   /* of a table without a key: it waits until the ranges are written, see
                       keylesscopy.h */
    COPYING_UPSERT, /* tell copying_row, copying_truncate, then apply it; a row that is not there
                       may not be there yet */
    COPYING_RESYNC, /* tell them, then apply it as without a copy, and as with COPYING_UPSERT to the
                       rows that are staged, if the sink does that */
    COPYING_STAGE   /* the same, but only to the rows that are staged */
};

/* The note of a table that is copied again, as it was before. */
struct copybefore {
    bool known;
    bool parked;
    uint64_t l0;
    uint64_t rows;
    uint32_t file;
    char definition[COPY_DEFINITION_MAX + 1];
};

/* A physical table, and its note in the target. */
struct copypart {
    struct copypart *next;       /* of all */
    struct copypart *table_next; /* of the same published table */
    uint32_t relid;              /* of the published table */
    uint32_t part; /* its own oid, 0 if it represents a table whose parts are not known */
    char schema[NAME_MAX_BYTES + 1]; /* of the published table */
    char name[NAME_MAX_BYTES + 1];
    enum copy_state state;
    uint64_t l0; /* where its first life began, since it waited last, or of its resync; 0 without
                    one */
    uint32_t file;
    char definition[COPY_DEFINITION_MAX + 1];
    struct spans done; /* of that file, under that definition */
    uint64_t rows;     /* written */

    bool noted;   /* a note has been written */
    bool renamed; /* the table got another name since, so the sink must look at the target before
                     a row goes there */
    bool changed; /* the note must be written */
    bool gone;    /* no longer published, so the note must be removed */
    bool out;     /* the reader's list ended without it, or route leaves it out, so changes may be
                     lost: part of the note */
    bool behind;  /* rows of the target are in the way of its changes, so that it lacks some of them
                     until its resync ends: part of the note of a PostgreSQL sink */
    bool parked;  /* it is set aside. Its changes are passed over, and its resync waits for a person
                     (docs/copy.md). The state is resync then */
    bool parked_noted; /* the target says so */
    bool refiled;      /* a list has it in another file, which must be reported */
    bool ahead; /* a list of this run has brought another storage, whose TRUNCATE may follow */
    bool met;   /* only the stream brought it, and no list of this run can have had it yet */
    enum copy_state
        told;     /* in a table's first part: the table's state that ackd was told, 0 for none */
    bool in_list; /* the reader asked about it since its last list ended */

    /* Only in the table's first part, because every row needs them. */
    enum copying_way way;
    uint64_t followed; /* commits before it were passed over, and came in ranges; else 0 */
    uint32_t lives;    /* number of parts in a life */
    bool is_root;      /* its parts are partitions */

    /* In this run. */
    uint64_t life;        /* 0 if none */
    uint64_t began;       /* where it began */
    struct buf described; /* the table's relation event that the life began with */
    bool asked;           /* owes an answer to the list's question */
    bool asked_begun;     /* owes one to asked_life, a list may come before it is given */
    uint64_t asked_life;  /* the last one, 0 if there was none */
    uint64_t ended_life;  /* ends as done by the commit that is under way, 0 if none */
    struct buf missing;   /* of that life: keys that are missing still, as copydetail.h has them */

    /* In state resync. */
    bool stages;         /* the staged rows must be there with the commit that is under way */
    bool begins_staging; /* and l0 is of that commit, so nothing of the part is staged before it */
    uint32_t staging;    /* of a PostgreSQL sink: the oid of the table that it has been staged into
                            since l0; 0 if that was gone when the notes were loaded */
    uint64_t highest;    /* of a ClickHouse sink: LSN of the target's highest version, offset
                            included, when the life began */
    bool reads_all;      /* nothing of it was finished when the life began */
    bool all_read;       /* a life of it has ended as done */
    struct copybefore before; /* for a resync that this run has begun */
    bool undone; /* in a table's first part: the commit that is under way ends a resync that came to
                    nothing */
    bool kept;   /* asked_life came to nothing, since the sink refuses to copy it again */

    /* Of a table without a key: see keylesscopy.h. */
    bool keyless; /* its life is of one, or the last one was */
    bool begins;  /* its life begins with the commit that is under way */
    bool clears;  /* an earlier one has left rows, which that commit removes */
    bool spoiled; /* its life comes to nothing, so changes are passed over, and ranges dropped */
    bool snapshot_known;
    struct snapshot snapshot; /* of all ranges */
    uint64_t held_count;      /* changes that wait */
    uint64_t held_bytes;      /* their size in the target */
    uint64_t sent;            /* rows of this life, for a sink that counts them */
};

/* Zero-initialise to use. */
struct copying {
    const char *sink;
    const char *noted_hint;   /* for a resync that was noted, and that the sink refuses */
    const char *kind_hint;    /* for a table that got or lost its key in its copy */
    const char *remade_hint;  /* for a table that was dropped and made again */
    const char *back_hint;    /* for a table that is back in the list */
    const char *moved_hint;   /* for a table whose rows are in another target table */
    const char *renamed_hint; /* the same, because it was renamed. NULL: the sink does not look */
    /* Whether the target can be copied again. If not, -1 with the reason in why (EXIT_REFUSED), or
     * another failure. NULL if the sink cannot do that. */
    int (*check_resync)(void *context, const struct relation *relation, struct err *why);
    void *context;
    struct err kept;   /* the reason for parts that are kept */
    uint32_t unstage;  /* the run ends, and the staged rows of this table are void; 0 if none are */
    bool carried_over; /* every table without a note is streaming, as an older walpipe made them */
    bool attached;     /* the sink begins anew, and the first list is to note each table */
    char read[COPYDEFINITION_READ_LEN + 1]; /* names the publications that are read */
    uint32_t taken; /* tables that this run has noted so since copying_taken */
    struct copypart *parts;
    struct relmap tables; /* relid to its first part */
    struct relmap skips;  /* relid to copying_skipped, if route leaves the table out */
    uint32_t unfinished;  /* number of parts that are not streaming */
    uint64_t followed;    /* not less than any table's */
    struct tracked tracked;
    struct heldranges held;
    struct buf key, values; /* of the current row */
    bool listed;            /* owes an answer to the end of the list */
    bool listing;           /* a list has begun, and one commit is enough for all of it */
    bool pending;           /* something waits for the next commit */
    bool urgent;            /* that commit must come before the next change */
    bool uncounted; /* a table's state has changed since ackd was told how many have which */
};

/* The text of a state in a note: waiting, copying, resync or streaming, and after "out-" that of a
 * part that is out. That of a new table is waiting. */
const char *copyparts_state_name(enum copy_state state);
const char *copyparts_state_text(const struct copypart *part);

/* Sets state and out. */
bool copyparts_read_state(const char *text, struct copypart *part) MUST_CHECK;

/* Takes a part that the sink has found in the target, which is copied but for its links. NULL: out
 * of memory. */
struct copypart *copyparts_add(struct copying *c, const struct copypart *part);

/* The first part of a published table, also one that is gone; NULL: there is none. The others
 * follow by table_next. */
struct copypart *copyparts_first(const struct copying *c, uint32_t relid);

/* A part that is not gone, or NULL. */
struct copypart *copyparts_find(const struct copying *c, uint32_t relid, uint32_t part);

/* The part that is in this life, or NULL. */
struct copypart *copyparts_of_life(const struct copying *c, uint64_t life);

/* The table has a part that is not gone. */
bool copyparts_known(const struct copying *c, uint32_t relid);

/* The table is copied again, so rows that its changes miss in the target are of no account. */
bool copyparts_resyncs(const struct copying *c, uint32_t relid);

/* And its rows and changes are staged. */
bool copyparts_stages(const struct copying *c, uint32_t relid);

/* And the target lacks changes that it got meanwhile. */
bool copyparts_is_behind(const struct copying *c, uint32_t relid);

/* The first part that is not gone and not out, or NULL. */
const struct copypart *copyparts_published(const struct copying *c, uint32_t relid);

/* The table is set aside. */
bool copyparts_is_parked(const struct copying *c, uint32_t relid);

/* The staged rows of the table are wrong. Always -1 (EXIT_PEER): the resync begins again. */
int copyparts_unstage(struct copying *c, const struct copypart *part, const char *why,
                      struct err *err);

/* A part of the table is in a life. */
bool copyparts_lives(const struct copying *c, uint32_t relid);

/* After states or lives have changed without copyparts_changed. */
void copyparts_look(struct copying *c);

/* The part's note must be written with the next commit. */
void copyparts_changed(struct copying *c, struct copypart *part);

/* For a part that the sink has found in the target: its note names the target table `noted`, empty
 * if an older walpipe wrote it, and its rows go to `target` now. Before its first life nothing was
 * written, so only the new target must be checked as that of a new table. EXIT_REFUSED if there are
 * rows in the other one. A part that is out is not looked at before it is back. */
int copyparts_target(const struct copying *c, struct copypart *part, const char *noted,
                     const char *target, struct err *err) MUST_CHECK;

/* The same for a part that is renamed. With same, the target is the table that has its rows. */
int copyparts_renamed(const struct copying *c, struct copypart *part, bool same, const char *noted,
                      const char *target, struct err *err) MUST_CHECK;

/* The table may have another name than its notes. With listed, a list says so, which may be ahead
 * of the stream, and changes under the old name may still come. So the note of a table that is
 * streaming does not change. */
void copyparts_rename(struct copying *c, const struct relation *relation, bool listed);

/* Its notes have another name, or copyparts_rename found another one. */
bool copyparts_is_renamed(const struct copying *c, const struct relation *relation);

/* Adds a part without a note. NULL with err: the table cannot be copied (EXIT_REFUSED), or out of
 * memory. */
struct copypart *copyparts_new(struct copying *c, const struct relation *relation, uint32_t oid,
                               struct err *err);

/* Its rows can be found by a key. */
bool copyparts_has_key(const struct relation *relation);

/* Refuses to copy a table. Returns -1. */
int copyparts_refuse(const struct relation *relation, const char *why, const char *hint,
                     struct err *err);

#endif
