/* configdata.h: the values of the config file, as config.h reads them. */
#ifndef WALPIPE_CONFIGDATA_H
#define WALPIPE_CONFIGDATA_H

#include "lib/limits.h"
#include "lib/log.h"
#include "lib/tablefilter.h"
#include "lib/tablemap.h"
#include "walpipe/expand.h"
#include "walpipe/pool.h"
#include "walpipe/values.h"

/* The section [sink NAME table SCHEMA.TABLE]. NULL if not given. */
struct table_config {
    struct table_config *next;
    struct table_name of;
    const char *name; /* as given */
    int line;
    const char *engine;
    const char *order_by;
    const char *partition_by;
    const char *column_types;
    const char *leave_out;
    const char *nullable;
    const char *arrays;
    const char *json;
};

/* Text is never NULL if it is required or has a default. Otherwise NULL means "not given". */
struct sink_config {
    const char *name;
    int line;
    enum sink_type type;
    uint32_t shards;
    const char *shard_key;
    const char *tables; /* NULL for all */
    uint32_t batch_rows;
    const char *flush_interval;
    const char **maps; /* as given, each with one or more "a.b -> c.d" */
    size_t maps_count;
    struct tablefilter filter; /* the parsed tables */
    struct tablemap map;       /* the parsed maps */
    enum copy_choice copy;
    uint64_t copy_hold;    /* pg: bytes, 0 for sink-pg's default */
    const char *on_error;  /* NULL for stop */
    uint32_t park_limit;   /* tables per minute, 0 for the program's default */
    bool copies;           /* rows that are older than the slot, too */
    bool copy_open;        /* the file does not say it, and copydefault.h decides */
    bool choice_logged;    /* by copydefault.c */
    uint64_t paused;       /* set aside since when, as pauses.h sets it, 0 if it is not */
    bool detached;         /* it is not paused, but detached */
    uint64_t lacks_from;   /* detached: its target has the changes up to there */
    uint64_t detach_after; /* bytes of WAL, 0 for never */
    const char *password_file;
    const char *conninfo; /* pg: without its password */
    const char *password; /* NULL if none; of ch also NULL if sink-ch finds it itself */
    char *elsewhere;      /* the password, if it is not from conninfo (passwords.h) */
    /* ch */
    const char *url;
    const char *database;
    const char *user;
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
    const char *version_column;
    const char *deleted_column;
    const char *on_overflow; /* NULL for sink-ch's default */
    bool create_tables;
    const char *nullable, *arrays, *json; /* NULL for sink-ch's default */
    struct table_config *choices;         /* of single tables, in the file's order */
    /* exec */
    const char *command;
};

struct source_config {
    const char *conninfo; /* without its password */
    const char *password; /* NULL if none */
    const char *password_file;
    char *elsewhere; /* the password, if it is not from conninfo (passwords.h) */
    const char *slot;
    const char *publication; /* comma-separated */
    bool create_slot;
    bool binary;
    bool local_only; /* origin = none */
};

struct inifile_section;
struct overrides;

struct config {
    struct pool pool;
    const struct inifile_section *sections; /* of the file, with the overrides and variables */
    const char *path;
    const struct overrides *overrides; /* NULL if none */
    struct variable *variables;        /* of the environment, which the file names */
    bool holds_password;               /* the file itself does */
    const char *name;
    const char *state_dir; /* absolute */
    const char *socket;    /* state_dir/ackd.sock */
    const char *http;      /* NULL if off */
    enum log_level log_level;
    enum log_format log_format;
    enum copy_choice copy; /* of sinks without a choice of their own */
    uint32_t copy_workers; /* connections that read tables */
    uint32_t copy_rate;    /* bytes per second of all, 0 without a limit */
    struct source_config source;
    struct sink_config *sinks;
    size_t sinks_count;
    uint32_t workers_count; /* of all sinks together */
    bool copies;            /* a sink takes copies */
    bool copies_open;       /* a sink has copy_open */
    bool only;              /* all sinks have copy = only: the run ends when they have everything */
};

#endif
