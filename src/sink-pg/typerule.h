/* typerule.h: decides how a column's values get from the source's type into the target's, so that
 * nothing is lost silently. Knows oids and catalogs, but no SQL and no values.
 *
 * A value in binary format goes only into the identical type. If the source's type is another
 * built-in one, the target's server makes its text, which is then handled as a text. If it is not
 * known well enough for that, binary values are refused.
 *
 * A text goes into any type that takes it. If the types show that something would be lost, the
 * table is refused before its first row. If they do not tell (a domain whose typmod the stream does
 * not have, a composite type, a text column as source), each value is verified. The target's value
 * must have the same text. */
#ifndef SINK_PG_TYPERULE_H
#define SINK_PG_TYPERULE_H

#include "lib/event.h"
#include "sink-pg/catalog.h"

enum typerule_binary {
    BINARY_TAKEN,   /* the type is the same */
    BINARY_BY_TEXT, /* of the type source_oid */
    BINARY_REFUSED
};

struct typerule {
    enum typerule_binary binary;
    uint32_t source_oid; /* of BINARY_BY_TEXT, a built-in type */
    bool verified;       /* each value's text must come out of the target's type again */
    bool oids;           /* binary values have oids of the source's catalog, as in regclass */
    bool scalar;         /* ... and they are no more than one */
    int32_t cut; /* of varchar(n) with another length, where the target cuts spaces beyond n, 0 if
                    not */
    const char *loss; /* the table is refused because this would be lost, NULL if nothing would */
};

struct typerule typerule_of(const struct relation_column *from, const struct catalog_column *to);

#endif
