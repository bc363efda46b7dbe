/* checkpoint.h: the file DIR/checkpoint, which records the confirmed LSN and the sinks that it
 * holds for. It has lines of key=value in this order, each key once:
 *
 *     format=1
 *     pipeline=orders
 *     system_identifier=7300000000000000000
 *     timeline=1
 *     database=shop
 *     slot=orders
 *     sinks=dst/1 olap/2
 *     safe_lsn=0/1A2B3C4D
 *     switch_lsn=0/1A000000, where that timeline began; left out for the first one, and if not
 * known check=FNV-1a, 64 bits, 16 hex digits, of all bytes before "check="
 *
 * Bytes of a value below 0x21, 0x7f and % are written as %XX, except for the spaces between sinks.
 * Any other file is refused. It is never taken for a missing one. */
#ifndef WALPIPE_ACKD_CHECKPOINT_H
#define WALPIPE_ACKD_CHECKPOINT_H

#include "lib/base.h"
#include "lib/limits.h"

#define CHECKPOINT_NAME "checkpoint"

/* "name/shards" and a space for each of WORKERS_MAX sinks. */
#define CHECKPOINT_SINKS_SIZE (WORKERS_MAX * (NAME_MAX_BYTES + 6))

/* All values at their longest, every byte escaped, and the keys. */
#define CHECKPOINT_SIZE_MAX (CHECKPOINT_SINKS_SIZE + 2048)

struct checkpoint {
    char pipeline[NAME_MAX_BYTES + 1];
    uint64_t system_identifier;
    uint32_t timeline;
    char database[NAME_MAX_BYTES + 1];
    char slot[NAME_MAX_BYTES + 1];
    char sinks[CHECKPOINT_SINKS_SIZE];
    uint64_t safe_lsn;
    uint64_t switch_lsn; /* 0 if not known */
};

/* Returns the length written to out. */
size_t checkpoint_encode(char out[CHECKPOINT_SIZE_MAX], const struct checkpoint *checkpoint);

/* Returns NULL, or a description of the fault in the bytes. After a fault checkpoint may hold
 * anything. */
const char *checkpoint_decode(struct bytes text, struct checkpoint *checkpoint) MUST_CHECK;

/* Reads the file in directory dir. dir_path is for messages. Returns 1, 0 if there is no file, or
 * -1 with err (EXIT_REFUSED), which names the file and its fault. */
int checkpoint_read(int dir, const char *dir_path, struct checkpoint *checkpoint,
                    struct err *err) MUST_CHECK;

/* Writes a temporary file, syncs it, renames it over the checkpoint and syncs the directory. After
 * -1 the old checkpoint still stands, or the new one does but may not be durable. */
int checkpoint_write(int dir, const char *dir_path, const struct checkpoint *checkpoint,
                     struct err *err) MUST_CHECK;

/* Returns the number of shards of sink `name` in a sinks line, or 0 if it is not there. */
uint32_t checkpoint_shards(const char *sinks, const char *name);

#endif
