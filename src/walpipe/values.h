/* values.h: parsers for the values of the config file's keys. Each parser reads one value into
 * *out, of the type it names, or returns -1 with err, whose hint has the expected form. The message
 * lacks the value itself. config.c adds it, unless it may be a secret. */
#ifndef WALPIPE_VALUES_H
#define WALPIPE_VALUES_H

#include "lib/limits.h"
#include "walpipe/pool.h"

enum copy_choice { COPY_UNSET, COPY_NO, COPY_YES, COPY_ONLY };

enum sink_type { SINK_PG = 1, SINK_CH = 2, SINK_EXEC = 3 };

typedef int value_parser(const char *value, void *out, struct pool *pool, struct err *err);

value_parser values_text;         /* const char *, not empty */
value_parser values_name;         /* const char *, of letters, digits, _ */
value_parser values_slot;         /* const char *, a replication slot's name */
value_parser values_directory;    /* const char *, absolute, short enough for sockets in it */
value_parser values_http;         /* const char *, ADDR:PORT, or NULL for an empty value */
value_parser values_url;          /* const char *, http:// or https://, without a password */
value_parser values_publication;  /* const char *, a list, as given */
value_parser values_tables;       /* const char *, a list of patterns */
value_parser values_map_pg;       /* const char *, a list of "a.b -> c.d" */
value_parser values_map_ch;       /* const char *, a list of "a.b -> [c.]d" */
value_parser values_shard_key;    /* const char * */
value_parser values_duration;     /* const char *, checked, as given */
value_parser values_level;        /* enum log_level */
value_parser values_format;       /* enum log_format */
value_parser values_on_error;     /* const char *, stop or park, as given */
value_parser values_park_limit;   /* uint32_t, tables per minute */
value_parser values_overflow;     /* const char *, error, clamp or null, as given */
value_parser values_names;        /* const char *, a list of names, as given */
value_parser values_typed;        /* const char *, a list of "a -> TYPE", as given */
value_parser values_nullable;     /* const char *, always or source */
value_parser values_arrays;       /* const char *, text or array */
value_parser values_json;         /* const char *, text or json */
value_parser values_sink_type;    /* enum sink_type */
value_parser values_switch;       /* bool, from yes, no, on, off */
value_parser values_origin;       /* bool, true for none, false for any */
value_parser values_shards;       /* uint32_t */
value_parser values_batch_rows;   /* uint32_t */
value_parser values_copy;         /* enum copy_choice, from yes, no or only */
value_parser values_copy_workers; /* uint32_t */
value_parser values_copy_hold;    /* uint64_t, bytes */
value_parser values_size;         /* uint64_t, bytes, from a number with kB, MB, GB or TB */
value_parser values_copy_rate;    /* uint32_t, 0 without a limit */

/* A connection string, split. */
struct conninfo_value {
    const char *without; /* the password */
    const char *password;
};
value_parser values_conninfo;

/* Letters, digits, _ and, with dash, -. At most max bytes. */
bool values_is_name(const char *value, bool dash, size_t max);

#endif
