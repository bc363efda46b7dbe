/* seen.h: the names that a source table's columns had in this run, and their numbers. A number
 * stays when the column is renamed and never comes again, so names and numbers reveal the source's
 * DDL. Knows no ClickHouse. */
#ifndef WALPIPE_SINKCH_SEEN_H
#define WALPIPE_SINKCH_SEEN_H

#include "lib/tableinfo.h"

/* Twice as many as a table can have. With more, names that no column has any more are forgotten. */
#define SEEN_MAX (2u * COLUMNS_MAX)

struct seen_name {
    char *name;
    uint32_t attnum; /* 0 if the source's catalog did not report it */
    bool current;    /* the table has it, as far as is known */
};

/* Zero-initialise to use. */
struct seen {
    struct seen_name *names;
    uint32_t count, size;
};

/* Returns NULL if there is none. */
const struct seen_name *seen_find(const struct seen *seen, const char *name);

/* The name that a column had until now, or NULL if none is known. attnum 0 belongs to no column. */
const struct seen_name *seen_current(const struct seen *seen, uint32_t attnum);

/* No name is current until it is noted again. */
void seen_age(struct seen *seen);

/* The column has that name now. Returns -1 with err when memory is out. */
int seen_note(struct seen *seen, const char *name, uint32_t attnum, struct err *err) MUST_CHECK;

void seen_free(struct seen *seen);

#endif
