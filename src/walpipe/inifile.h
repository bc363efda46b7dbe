/* inifile.h: the form of the config file, which is sections, keys, values, and the line of each.
 * config.h knows their meaning. This file wraps libinih, which alone would cut long names and
 * lines, forget empty sections and not report the line of a value. */
#ifndef WALPIPE_INIFILE_H
#define WALPIPE_INIFILE_H

#include "walpipe/pool.h"

/* A line holds at most this many bytes, enough for a conninfo of many hosts. */
#define INIFILE_LINE_MAX 8189

/* libinih cuts longer key names silently (its MAX_NAME). */
#define INIFILE_NAME_MAX 48

/* Of a section header, whose text is not taken from libinih. There is room for the name of a sink
 * and those of a schema and a table in quotes. */
#define INIFILE_HEADER_MAX 320

/* A key with the value of its line and of the indented lines below it, joined by blanks. */
struct inifile_entry {
    struct inifile_entry *next;
    const char *key;
    const char *value;
    int line;
    const char
        *override;       /* "--set source.slot" if it does not come from the file, see override.h */
    const char *written; /* the value before variables were put in, NULL if it has none */
};

/* In the file's order. "[sink dst]" has the kind "sink" and the name "dst". "[source]" has the name
 * "". */
struct inifile_section {
    struct inifile_section *next;
    const char *kind;
    const char *name;
    int line;
    struct inifile_entry *entries;
};

/* Whether word is a key that some section knows. An indented line that begins with one was meant as
 * a line of its own. */
typedef bool inifile_is_key(const char *word, size_t len);

/* Reads the file at path. Returns 0 with *sections in pool, or -1 with err, as in "PATH:LINE:
 * MESSAGE". */
int inifile_read(const char *path, inifile_is_key *is_key, struct pool *pool,
                 struct inifile_section **sections, struct err *err) MUST_CHECK;

#endif
