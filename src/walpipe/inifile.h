/* inifile.h: the config file's form: sections, keys, values, and the line each stands on. What they
 * mean is config.h's business. Around libinih, which by itself would cut long names and lines,
 * forget empty sections and not say which line a value came from. */
#ifndef WALPIPE_INIFILE_H
#define WALPIPE_INIFILE_H

#include "walpipe/pool.h"

/* A line holds at most this many bytes: room for a conninfo of many hosts. */
#define INIFILE_LINE_MAX 8189

/* libinih cuts longer key names without a word (its MAX_NAME). */
#define INIFILE_NAME_MAX 48

/* Of a section header, whose text is not taken from libinih: room for the name of a sink and those
 * of a schema and a table in quotes. */
#define INIFILE_HEADER_MAX 320

/* A key with the value of its line and of the indented lines below it, joined by blanks. */
struct inifile_entry {
    struct inifile_entry *next;
    const char *key;
    const char *value;
    int line;
};

/* In the file's order. "[sink dst]" has the kind "sink" and the name "dst"; "[source]" the name
 * "". */
struct inifile_section {
    struct inifile_section *next;
    const char *kind;
    const char *name;
    int line;
    struct inifile_entry *entries;
};

/* Whether word is a key that some section knows: an indented line that begins with one was meant
 * as a line of its own. */
typedef bool inifile_is_key(const char *word, size_t len);

/* Reads the file at path. 0 with *sections in pool, or -1 with err: "PATH:LINE: what is wrong". */
int inifile_read(const char *path, inifile_is_key *is_key, struct pool *pool,
                 struct inifile_section **sections, struct err *err) MUST_CHECK;

#endif
