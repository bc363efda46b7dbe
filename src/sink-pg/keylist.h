/* keylist.h: keys of rows as parameters of one statement, with an array for each column. */
#ifndef SINK_PG_KEYLIST_H
#define SINK_PG_KEYLIST_H

#include "lib/event.h"

/* As many columns as an index may have. */
#define KEYLIST_COLUMNS_MAX 32u

/* Zero-initialise to use. */
struct keylist {
    uint32_t columns;
    uint32_t count;
    struct buf names;                       /* an array literal of the columns' names, then of
                                               their types' oids */
    struct buf arrays[KEYLIST_COLUMNS_MAX]; /* array literals, open at their end */
};

/* Empties it for keys of a table. EXIT_REFUSED for too many columns. */
int keylist_start(struct keylist *k, const struct relation *relation, struct err *err) MUST_CHECK;

/* Adds the key of a row of that table. EXIT_REFUSED if a value of it is not text. */
int keylist_add(struct keylist *k, const struct relation *relation, const struct value *row,
                struct err *err) MUST_CHECK;

/* Closes the arrays. Puts their texts into out, KEYLIST_COLUMNS_MAX pointers. Returns -1 when
 * memory is out. */
int keylist_finish(struct keylist *k, const char *out[KEYLIST_COLUMNS_MAX]) MUST_CHECK;

/* Appends "ROWS FROM (unnest($first), ...) AS k(c1, ...)", or the row "ARRAY[k.c1, ...]". */
void keylist_from(const struct keylist *k, struct buf *sql, int first);
void keylist_row(const struct keylist *k, struct buf *sql);

void keylist_free(struct keylist *k);

#endif
