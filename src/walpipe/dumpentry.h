/* dumpentry.h: the objects in the text that pg_dump --verbose writes. In front of each stands
 *
 *     --
 *     -- TOC entry 215 (class 1259 OID 16385)
 *     -- Dependencies: 7                         (not always)
 *     -- Name: orders; Type: TABLE; Schema: public; Owner: -
 *     --
 */
#ifndef WALPIPE_DUMPENTRY_H
#define WALPIPE_DUMPENTRY_H

#include "walpipe/pool.h"

struct dumpentry {
    uint32_t classid; /* of its catalog, 0 if it has no row of its own there */
    uint32_t oid;     /* of its row */
    const char *head; /* "orders; Type: TABLE; Schema: public; Owner: -" */
    const char *sql;  /* its commands, each with its semicolon */
};

/* Cuts text, which is changed. Returns the entries, *count of them, in the order of the text. They
 * point into text. */
struct dumpentry *dumpentry_split(char *text, size_t *count, struct pool *pool);

#endif
