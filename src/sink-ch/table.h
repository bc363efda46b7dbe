/* table.h: one source table and the ClickHouse table it goes to. */
#ifndef WALPIPE_SINKCH_TABLE_H
#define WALPIPE_SINKCH_TABLE_H

#include "lib/tableinfo.h"
#include "sink-ch/mapping.h"
#include "sink-ch/options.h"
#include "sink-ch/seen.h"
#include "sink-ch/server.h"
#include "sink-ch/version.h"
#include "sink-ch/written.h"

/* A column that is written. */
struct column {
    char *name;
    char *type_text;
    struct ch_type type;
    uint32_t source; /* its number in the relation */
    uint32_t oid;    /* of PostgreSQL's type, for a domain of its base type */
    bool key;
    bool altered; /* a value of it did not fit and was changed */
};

/* Of journal.h; no source table may go there, nor to those of notetable.h. */
#define JOURNAL_TABLE "walpipe_progress"

/* The table's mark, see mark.h. */
struct mark {
    uint64_t system_identifier; /* of the source of its rows, 0 if unknown */
    uint32_t timeline;
    uint64_t offset;   /* added to its LSNs in the versions, above rows of older histories */
    char source[132];  /* "schema.table" there */
    struct version at; /* of the newest truncate that the target has seen, 0 if none */
    bool done;
    bool writable;
};

/* The values of older rows in a column. */
enum past {
    PAST_THERE,   /* the column was there */
    PAST_NULL,    /* it was added, and they have no value */
    PAST_DEFAULT, /* added, with their value as its DEFAULT */
    PAST_RENAMED, /* added under its new name, while their values are under the old one */
    PAST_UNKNOWN, /* added, and the source did not report a value */
    PAST_ERROR
};

struct table {
    uint32_t number; /* counted from 0 over the worker's tables, used by the batch */
    struct written_table written;
    struct relation relation;
    char source_name[132]; /* "schema.table", for messages */
    struct target_name target;
    const struct choice *choice; /* of the options */
    char *target_sql;            /* `database`.`table` */
    uint64_t system_identifier;  /* of the source, 0 if not known */
    uint32_t timeline;
    bool informed;         /* info agrees with relation */
    struct tableinfo info; /* data from the source's catalog beyond it */
    struct seen seen;      /* names of its columns before */
    bool met;              /* copying.h knows it */
    bool copied;           /* its rows may not be there yet */
    uint64_t covered; /* while it is copied again: rows of versions below this LSN may be wrong;
                         else 0 */
    bool filling;     /* it has no key and is copied: nothing of it was there before */
    enum past *past;  /* of the relation's columns, when some were just added; else NULL */

    /* ---- known after schema_load ---- */
    bool loaded;
    bool keyed; /* a key has one row, otherwise rows are only added */
    bool has_version, has_deleted;
    uint32_t version_width; /* 8 or 16 bytes */
    uint32_t columns_count;
    uint32_t keys_count; /* they come first */
    struct column *columns;
    char *insert_sql;
    struct mark mark;
    uint64_t sent;        /* without a key, the highest LSN in its versions at the start */
    struct buf shape;     /* of its inserts, see shape.h */
    struct buf described; /* system.columns' answer, to see whether it changed */
};

/* Takes over the relation (its block too). NULL with err. */
struct table *table_new(struct relation *relation, uint32_t number, const struct options *options,
                        struct err *err);
void table_free(struct table *table);

/* Returns true if the source reports which columns are the key. Under REPLICA IDENTITY FULL all
 * are. */
bool table_has_key(const struct table *table);

/* Takes over the source's catalog data of the table, or drops it if the catalog is ahead of the
 * stream. */
void table_inform(struct table *table, struct tableinfo *info);

/* The columns that identify a row, as numbers in the relation. They are in the key's own order if
 * the source's catalog reported it. Under REPLICA IDENTITY FULL they are those of the primary key,
 * if the catalog reported them. Returns their number. columns has room for COLUMNS_MAX. */
uint32_t table_key(const struct table *table, uint16_t *columns);

bool table_is_key(const uint16_t *key, uint32_t count, uint32_t column);

/* Whether the config leaves the column with this number in the relation out. */
bool table_leaves_out(const struct table *table, uint32_t column);

/* Whether the source's catalog reported that the column is never null. */
bool table_not_null(const struct table *table, uint32_t column);

/* Drops the results of schema_load. */
void table_unload(struct table *table);

/* `database`.`table`, to be freed, or NULL when memory is out. */
char *table_target_sql(const struct target_name *target);

/* Whether ClickHouse can keep `name` and `suffix` as a file name. It writes every byte but letters,
 * digits and _ as %XX, and needs ".sql" behind it. */
bool table_name_fits(const char *name, const char *suffix);

/* The version as SQL. */
void table_put_version(uint32_t width, struct version version, struct buf *sql);

/* Refuses one of walpipe's own tables as the target of a source table. */
int table_check_own(const char *source_name, const char *target, struct err *err) MUST_CHECK;

/* Refuses a target that another of the tables has. Rows of two source tables would replace each
 * other, and a truncate of one would empty both. Returns 0, or -1 with err. tables may contain the
 * table itself. Without loaded_only, tables without rows so far count too. */
int table_check_target(const struct table *table, struct table *const *tables, uint32_t count,
                       bool loaded_only, struct err *err) MUST_CHECK;

/* Fills err's relation and LSN. Always -1. */
int table_place(const struct table *table, uint64_t lsn, struct err *err);

/* The same, and the culprit, for an error of which the table's rows or its definition are the
 * reason, unless the server's code says otherwise. */
int table_error(const struct table *table, uint64_t lsn, struct err *err);

#endif
