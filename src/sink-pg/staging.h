/* staging.h: the staging tables of resyncs (docs/copy.md, "Copying again"). Each is
 *
 *     walpipe.resync_RELID_HASH   of pipeline and sink; the target's columns, the source's key
 *
 * It is there as long as the table's notes say resync with an l0. */
#ifndef SINK_PG_STAGING_H
#define SINK_PG_STAGING_H

#include "lib/copying.h"
#include "sink-pg/tables.h"

struct staging {
    const char *pipeline;
    const char *sink;
    const struct tables *tables;
};

struct staging_name {
    char text[NAME_MAX_BYTES + 1]; /* in the schema walpipe, needs no quotes */
};

struct staging_name staging_name(const struct staging *g, uint32_t relid);

/* The staging table as another target of the source table. */
struct table *staging_table(const struct staging *g, const struct frame *relation, struct err *err);

/* Gives the table of the stream its staging table. */
int staging_join(const struct staging *g, struct table *table, struct err *err) MUST_CHECK;

/* The plan of a staging table could not be made. If the server's tables are the reason, what is
 * staged is void, and err says so. */
void staging_misfit(struct copying *c, const struct table *table, bool *unplaced, struct err *err);

/* Inside the transaction that loads the notes: all notes of a table say resync, or none. A staging
 * table that does not fit its target is dropped, and its notes forget it. */
int staging_load(const struct staging *g, struct session *s, struct err *err) MUST_CHECK;

/* In that transaction, when copying has the notes: it remembers which staging table they are of. */
int staging_recall(const struct staging *g, struct session *s, struct copying *c,
                   struct err *err) MUST_CHECK;

/* In the transaction of a commit: the staging tables of lives that begin are there. One is made
 * only if nothing of the table was staged before, else it must be the one that it was staged into:
 * copyparts_unstage if not. */
int staging_make(const struct staging *g, struct session *s, struct copying *c,
                 struct err *err) MUST_CHECK;

/* Sets *oid, to 0 if there is none. */
int staging_oid(const struct staging *g, struct session *s, uint32_t relid, uint32_t *oid,
                struct err *err) MUST_CHECK;

/* Sets *fits if the staging table has all columns of the target. */
int staging_fits(const struct staging *g, struct session *s, uint32_t relid,
                 const char *const target[2], bool *fits, struct err *err) MUST_CHECK;

int staging_drop(const struct staging *g, struct session *s, uint32_t relid,
                 struct err *err) MUST_CHECK;

/* `sink-pg --drop-progress`. */
int staging_drop_all(const struct staging *g, struct session *s, struct err *err) MUST_CHECK;

#endif
