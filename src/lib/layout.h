/* layout.h: the rule that assigns each row to a worker of a sink. It consists of the number of
 * workers, the shard key, and the tables that go to one worker as a whole. route follows it, and a
 * sink finds out from it which worker had a row under an older layout.
 *
 * A layout has one canonical text, which is in the stream's frame `layout` and is stored with a
 * sink's progress:
 *
 *     shards 4
 *     shard_key key
 *     whole public.a -> public.t
 *     whole *
 *
 * With "whole A -> G" the source table A goes to the worker of group G, so that tables of one group
 * meet in one worker. With "whole *" all tables are one group. */
#ifndef WALPIPE_LAYOUT_H
#define WALPIPE_LAYOUT_H

#include "lib/event.h"
#include "lib/names.h"

/* A name in quotes that consists of quotes only, and two of these with a dot between. */
#define LAYOUT_NAME_MAX  (2 * TARGET_NAME_MAX + 3)
#define LAYOUT_TABLE_MAX (2 * LAYOUT_NAME_MAX)

enum shard_key { SHARD_BY_KEY, SHARD_BY_TABLE, SHARD_BY_COLUMN };

/* Both are schema.table, as names.h writes them. */
struct layout_entry {
    char *table; /* of the source */
    char *group;
};

/* Zero-initialise to use. */
struct layout {
    uint32_t shards;
    enum shard_key shard_key;
    char shard_column[NAME_MAX_BYTES + 1]; /* SHARD_BY_COLUMN */
    bool all_whole;
    struct layout_entry *entries; /* in the order of their tables */
    size_t count;
    size_t size;
};

/* "key", "table" or "column:NAME". */
bool layout_set_shard_key(struct layout *l, const char *text) MUST_CHECK;

/* Adds "A -> G" or "*". Returns -1 with err if it is malformed or memory is out. */
int layout_add_whole(struct layout *l, const char *line, struct err *err) MUST_CHECK;

/* Adds the lines of a file, each as for layout_add_whole. Empty lines and lines that begin with #
 * are skipped. Call it once. */
int layout_read_file(struct layout *l, const char *path, struct err *err) MUST_CHECK;

/* Write and read the canonical text. Return -1 when memory is out, or with err. */
int layout_format(const struct layout *l, struct buf *out) MUST_CHECK;
int layout_parse(struct layout *l, struct bytes text, struct err *err) MUST_CHECK;

/* A hash of the canonical text, to store with the data that depend on the layout. -1: out of
 * memory. */
int layout_hash(const struct layout *l, uint64_t *hash) MUST_CHECK;

/* The table's group, or NULL if the table is split over the workers. With all_whole it is "*" for
 * every table. */
const char *layout_group(const struct layout *l, const char *schema, const char *table);

/* Whether an entry has the table of this text, which is written like an entry's. Not for
 * all_whole. */
bool layout_has(const struct layout *l, const char *shown);

/* A table's name as it is written in an entry. */
struct layout_text {
    char text[LAYOUT_TABLE_MAX];
};
struct layout_text layout_show(const char *schema, const char *table);

void layout_free(struct layout *l);

/* ---- the rule ---- */

/* The way from a row of one table to its worker. */
struct placement {
    bool fixed; /* all of them go to shard */
    uint32_t shard;
    bool by_column;
    uint32_t column; /* its index in the relation */
    uint32_t column_type;
    uint64_t hash; /* equal for two descriptions of a table that place every row alike */
};

/* The workers of a row event. old_shard differs from new_shard if the row moves. new_shard applies
 * it. */
struct row_shards {
    uint32_t new_shard;
    uint32_t old_shard;
};

/* Returns -1 with err if the table cannot be sharded by the column, or memory is out. */
int layout_place(const struct layout *l, const struct relation *relation, struct placement *p,
                 struct err *err) MUST_CHECK;

/* body is past the header. Returns false if the event is malformed. values is scratch. */
bool layout_shards(const struct layout *l, const struct placement *p, uint8_t type,
                   const struct row_header *header, struct cursor body, uint32_t elements,
                   struct row_values *values, struct row_shards *shards) MUST_CHECK;

/* The worker of a row that exists already, or of a key that is absent. It is the worker that gets
 * the changes of that row. key_hash is the hash that these changes would carry. Returns false if
 * the row lacks the value of the shard column. */
bool layout_shard_of_row(const struct layout *l, const struct placement *p, uint64_t key_hash,
                         const struct tuple *row, uint32_t *shard) MUST_CHECK;

#endif
