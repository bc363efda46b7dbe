/* park.h: tables that are set aside after an error of their data or their definition, so that the
 * others go on (docs/copy.md, "Tables that are set aside").
 *
 *     walpipe.parked   for each of them: since when, the change and the reason, and when its resync
 *                      was asked for
 *
 * A table is parked while its row has no resumed_at. Its notes in walpipe.tables then say that it
 * is in a resync, and behind, so its changes are passed over. No life begins before resumed_at is
 * set. */
#ifndef SINK_PG_PARK_H
#define SINK_PG_PARK_H

#include "lib/copying.h"
#include "sink-pg/progress.h"
#include "sink-pg/tables.h"

/* Zero-initialise to use, then set all but exists. */
struct park {
    const char *pipeline;
    const struct hello *hello;
    struct progress *progress;
    const struct tables *tables;
    uint64_t limit; /* tables per minute, 0 if errors stop the sink */
    bool exists;    /* walpipe.parked does */
};

/* ---- in the transaction that loads the notes ---- */

/* Makes the table if errors park, and the notes of parked tables what they must be. */
int park_load(struct park *p, struct session *s, struct err *err) MUST_CHECK;

/* When copying has the notes. One worker logs which tables are parked. */
int park_recall(const struct park *p, struct session *s, struct copying *c,
                struct err *err) MUST_CHECK;

/* For a sink that takes no copies. EXIT_REFUSED if a table is parked, which may be out of the
 * publication now and come back. */
int park_require_none(const struct park *p, struct session *s, struct err *err) MUST_CHECK;

/* ---- in the transaction of a commit ---- */

/* Writes which tables are not parked any more, or are again. */
int park_write(const struct park *p, struct session *s, const struct copying *c,
               struct err *err) MUST_CHECK;

/* ---- a failure ---- */

/* err ends the run. If one table is its reason, notes that the table is parked, and err says that
 * the run begins again. position is the stream's. Always -1. */
int park_table(struct park *p, struct session *s, const struct copying *c, uint64_t position,
               struct err *err);

/* ---- a sink that does not run ---- */

/* The table's resync is asked for. Inside a transaction. */
int park_resume(struct session *s, const char *pipeline, const char *sink, uint32_t relid,
                struct err *err) MUST_CHECK;

/* `sink-pg --drop-progress`. */
int park_drop(struct session *s, const char *pipeline, const char *sink,
              struct err *err) MUST_CHECK;

#endif
