/* catalog.h: the published tables with the data that a range needs. These are the physical tables
 * that hold their rows, the row filter, and two texts that show whether any of it has changed. */
#ifndef WALPIPE_PGTABLEREAD_CATALOG_H
#define WALPIPE_PGTABLEREAD_CATALOG_H

#include "lib/copyevent.h"
#include "lib/pgrelations.h"

/* A table with storage, which is the published table itself, or a leaf of one that is published as
 * a whole. */
struct catalog_part {
    uint32_t relid; /* of the published table */
    uint32_t oid;
    const char *name;       /* qualified and quoted */
    bool measured;          /* blocks tells where a range may have no end */
    bool whole;             /* the published table has partitions, of which this may be one */
    uint64_t blocks;        /* an estimate */
    uint64_t rows;          /* an estimate, 0 if unknown */
    uint32_t file;          /* the number of its file */
    uint32_t toast;         /* its TOAST table, 0 without one */
    uint32_t method;        /* its access method */
    uint32_t own;           /* its oldest entry in any publication, 0 without one */
    const char *types;      /* of its columns */
    const char *filter;     /* an SQL expression, NULL for all rows */
    const char *definition; /* identifies the published rows and columns, from rows of the
                               publications' catalogs */
    const char *members;  /* the entries of the publications' catalogs that publish it, each with a
                             comma behind it */
    const char *others;   /* those of publications that walpipe does not read */
    const char *attached; /* identifies its attachments to the table that it is published with, ""
                             if it would be published without them as well */
    const char *shape;    /* its columns and the published table's identity */
    char digest[COPY_DEFINITION_MAX + 1]; /* of all these texts, the definition that workers keep */
};

/* The source's tables at one time. */
struct catalog {
    uint32_t users; /* whoever keeps it */
    struct pgrelations published;
    struct catalog_part *parts; /* ordered by relid, oid */
    size_t parts_count;
    PGresult *result; /* owns the strings */
};

/* publications is the text of pgrelations_publications. The catalog has one user at first. NULL
 * with err. */
struct catalog *catalog_read(PGconn *conn, const char *publications, struct err *err) MUST_CHECK;

/* Adds a user, and returns catalog. */
struct catalog *catalog_keep(struct catalog *catalog);

/* Removes a user. The last one frees it. NULL is allowed. */
void catalog_drop(struct catalog *catalog);

/* Returns NULL if none is published under this oid. */
const struct relation *catalog_relation(const struct catalog *catalog, uint32_t relid);

/* How many of its columns are its identity. */
uint32_t catalog_key_columns(const struct relation *relation);

/* SQL for the texts definition and shape, of a row c of pg_class that is such a part. publications
 * is SQL for a text[], relid for the oid of the published table. A range reads both again, under
 * its lock and snapshot. The caller frees them. NULL when memory is out. */
char *catalog_definition_sql(int server_version, const char *publications);
char *catalog_shape_sql(const char *relid);

#endif
