/* sequences.h: sets the sequences of a PostgreSQL target to the source's values, for a switch-over.
 */
#ifndef WALPIPE_SEQUENCES_H
#define WALPIPE_SEQUENCES_H

#include "walpipe/schemaobjects.h"

struct sequences_statement {
    const char *label;
    const char *key; /* as in schemaobjects.h */
    const char *sql; /* returns a row if the sequence was behind */
};

/* Reads the values from the source. The statements belong to pool. Returns 0, or -1 with err. */
int sequences_read(struct sequences_statement **list, size_t *count,
                   const struct schemaobjects *objects, PGconn *source, struct pool *pool,
                   struct err *err) MUST_CHECK;

/* Sets the one, and says so on stdout. Returns 0, or -1 with err. */
int sequences_set(PGconn *target, const struct sink_config *sink,
                  const struct sequences_statement *statement, struct err *err) MUST_CHECK;

#endif
