/* deadletter.h: the file for changes of a transaction that a worker skips, because a person asked
 * for it. It is an event stream of its own (docs/events.7), so evcat shows it. The file gets its
 * name when its content is on disk. Only after that the sink stores a position that passes the
 * changes:
 *
 *     DIRECTORY/skipped.SINK.LSN.SHARD.ORDINAL
 *
 * LSN is that of the transaction's commit record, with - for the slash, and ORDINAL that of the
 * first change in the file. A worker that comes to the same changes again after a crash writes the
 * same file. At a barrier a file ends, and the next change begins another one. */
#ifndef WALPIPE_DEADLETTER_H
#define WALPIPE_DEADLETTER_H

#include "lib/event.h"
#include "lib/relmap.h"

#define DEADLETTER_PATH_SIZE 4096

/* Zero-initialise, then set directory and hello. */
struct deadletter {
    const char *directory;
    const struct hello *hello;
    bool open;
    int fd;
    char path[DEADLETTER_PATH_SIZE];
    struct begin_event begin;
    uint64_t events;
    struct relmap described; /* relations that the file has */
    struct buf out;
};

/* The directory of ackd's socket, which is the state directory. out has DEADLETTER_PATH_SIZE. */
int deadletter_directory(const char *socket, char *out, struct err *err) MUST_CHECK;

/* Call it before each change that is skipped. Opens a file if none is open, and writes the relation
 * if the file does not have it. */
int deadletter_describe(struct deadletter *d, const struct begin_event *begin, uint64_t ordinal,
                        const struct relation *relation, struct err *err) MUST_CHECK;

/* The change's frame, header included. */
int deadletter_change(struct deadletter *d, struct bytes frame, struct err *err) MUST_CHECK;

/* The stream has described a relation anew. */
void deadletter_forget(struct deadletter *d);

/* When it returns 0, the file is on disk under its name. Does nothing if none is open. */
int deadletter_finish(struct deadletter *d, struct err *err) MUST_CHECK;

/* The names of the worker's files of a transaction, with * for the ordinal. out has
 * DEADLETTER_PATH_SIZE. */
void deadletter_names(const struct deadletter *d, uint64_t commit_lsn, char *out);

/* Removes a file that is not finished. */
void deadletter_free(struct deadletter *d);

#endif
