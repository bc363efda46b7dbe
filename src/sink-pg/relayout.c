/* relayout.c: see relayout.h. */
#include "sink-pg/relayout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lsn.h"
#include "sink-pg/epoch.h"
#include "sink-pg/owntables.h"

static const char single_worker[] = "shards 1\nshard_key key\n";

static const char create_tables[] =
    "CREATE TABLE IF NOT EXISTS walpipe.layout (pipeline text NOT NULL, sink text NOT NULL,"
    "generation bigint NOT NULL, layout text NOT NULL, PRIMARY KEY (pipeline, sink, generation));"
    "CREATE TABLE IF NOT EXISTS walpipe.progress_before (pipeline text NOT NULL,"
    "sink text NOT NULL, generation bigint NOT NULL, shard integer NOT NULL,"
    "timeline bigint NOT NULL, lsn pg_lsn NOT NULL, partial_commit_lsn pg_lsn,"
    "partial_ordinal bigint, PRIMARY KEY (pipeline, sink, generation, shard));"
    "CREATE TABLE IF NOT EXISTS walpipe.whole (pipeline text NOT NULL, sink text NOT NULL,"
    "source text NOT NULL, target text NOT NULL, reason text NOT NULL,"
    "noted_at timestamptz NOT NULL DEFAULT pg_catalog.now(),"
    "PRIMARY KEY (pipeline, sink, source));"
    "ALTER TABLE walpipe.progress ADD COLUMN IF NOT EXISTS layout bigint";

/* A row of walpipe.progress, which may be older than the column layout. */
enum {
    ROW_SHARD,
    ROW_SHARDS,
    ROW_TIMELINE,
    ROW_LSN,
    ROW_PARTIAL_LSN,
    ROW_PARTIAL_ORDINAL,
    ROW_LAYOUT
};

static const char rows_query[] =
    "SELECT shard, shards, timeline, lsn, partial_commit_lsn, partial_ordinal, "
    "pg_catalog.to_jsonb(p) ->> 'layout' FROM walpipe.progress AS p "
    "WHERE pipeline = $1 AND sink = $2 ORDER BY shard%s";

/* The stored rows. */
struct stored {
    PGresult *rows;
    struct layer layer;  /* its layout is known if known is set */
    char generation[24]; /* "" if the rows have none */
    bool known;
    bool settled;        /* all workers are at one position, without a partial transaction */
    bool other_timeline; /* than the stream's */
    uint64_t lowest;
};

static int
tables_exist(struct session *s, bool *exist, struct err *err)
{
    int rc = owntables_exist(s, "layout,progress_before,whole", exist, err);

    return rc != 0 || !*exist ? rc : owntables_has_column(s, "progress", "layout", exist, err);
}

static int
make_tables(struct session *s, struct err *err)
{
    bool exist;

    if (tables_exist(s, &exist, err) != 0)
        return -1;
    if (exist || session_exec(s, "create walpipe.layout in the target", create_tables, err) == 0)
        return 0;
    if (err->code == EXIT_REFUSED)
        err_hint(err, "several workers need these tables and the column walpipe.progress.layout: "
                      "let the owner of walpipe.progress make them as in sink-pg(1)");
    return -1;
}

/* ---- the stored rows ---- */

static int
read_position(const PGresult *rows, int i, int lsn, int partial, int ordinal, struct position *p,
              struct err *err)
{
    *p = (struct position){0};
    if (!lsn_parse(PQgetvalue(rows, i, lsn), &p->lsn) ||
        (!PQgetisnull(rows, i, partial) &&
         !lsn_parse(PQgetvalue(rows, i, partial), &p->partial_commit_lsn)))
        return err_set(err, EXIT_REFUSED, "cannot read the positions in walpipe.progress");
    if (p->partial_commit_lsn != 0)
        p->partial_ordinal = strtoull(PQgetvalue(rows, i, ordinal), NULL, 10);
    return 0;
}

static int
take_rows(const struct relayout *r, struct stored *st, struct err *err)
{
    int n = PQntuples(st->rows);
    struct layer *layer = &st->layer;
    uint64_t first = 0;

    for (int i = 0; i < n; i++) {
        unsigned long shard = strtoul(PQgetvalue(st->rows, i, ROW_SHARD), NULL, 10);
        struct position p;

        layer->layout.shards = (uint32_t)strtoul(PQgetvalue(st->rows, i, ROW_SHARDS), NULL, 10);
        if (read_position(st->rows, i, ROW_LSN, ROW_PARTIAL_LSN, ROW_PARTIAL_ORDINAL, &p, err) != 0)
            return -1;
        if (shard >= WORKERS_MAX || layer->layout.shards > WORKERS_MAX)
            return err_set(err, EXIT_REFUSED, "cannot read the numbers in walpipe.progress");
        layer->at[shard] = p;
        first = i == 0 ? p.lsn : first;
        st->lowest = i == 0 || p.lsn < st->lowest ? p.lsn : st->lowest;
        st->settled = st->settled && p.partial_commit_lsn == 0 && p.lsn == first;
        st->other_timeline = st->other_timeline || strtoul(PQgetvalue(st->rows, i, ROW_TIMELINE),
                                                           NULL, 10) != r->hello->timeline;
    }
    /* A worker without a row had nothing yet. */
    if (n < (int)layer->layout.shards) {
        st->settled = st->settled && st->lowest == 0;
        st->lowest = 0;
    }
    return 0;
}

/* All rows must be of one layout, *known. */
static int
take_layout(const struct relayout *r, struct session *s, struct stored *st, struct err *err)
{
    const char *params[] = {r->pipeline, r->hello->sink, st->generation};
    const char *text = single_worker;
    PGresult *result = NULL;
    struct bytes bytes;
    int rc = 0;

    snprintf(st->generation, sizeof st->generation, "%s", PQgetvalue(st->rows, 0, ROW_LAYOUT));
    for (int i = 1; i < PQntuples(st->rows); i++)
        if (strcmp(PQgetvalue(st->rows, i, ROW_LAYOUT), st->generation) != 0)
            return 0;
    if (st->generation[0] == '\0' && st->layer.layout.shards != 1)
        return 0;
    if (st->generation[0] != '\0') {
        result =
            session_ask(s, "read walpipe.layout",
                        "SELECT layout FROM walpipe.layout WHERE pipeline = $1 AND sink = $2 AND "
                        "generation = $3::bigint",
                        3, params, "v", err);
        if (result == NULL)
            return -1;
        text = PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : NULL;
    }
    if (text != NULL) {
        bytes = (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
        rc = layout_parse(&st->layer.layout, bytes, err);
        st->known = rc == 0;
    }
    PQclear(result);
    return rc;
}

static void
stored_free(struct stored *st)
{
    PQclear(st->rows);
    layout_free(&st->layer.layout);
}

static int
read_stored(const struct relayout *r, struct session *s, bool lock, struct stored *st,
            struct err *err)
{
    const char *params[] = {r->pipeline, r->hello->sink};
    char sql[512];

    *st = (struct stored){0};
    snprintf(sql, sizeof sql, rows_query, lock ? " FOR UPDATE" : "");
    st->rows = session_ask(s, "read walpipe.progress", sql, 2, params, "vvvv???", err);
    if (st->rows == NULL)
        return -1;
    st->settled = true;
    if (PQntuples(st->rows) == 0)
        return 0;
    if (take_rows(r, st, err) == 0 && take_layout(r, s, st, err) == 0)
        return 0;
    stored_free(st);
    return -1;
}

/* Returns 1 if the stored layout is the stream's, or -1 with err. */
static int
is_same(const struct relayout *r, const struct stored *st, struct err *err)
{
    struct buf ours = {0}, theirs = {0};
    int rc;

    if (!st->known || PQntuples(st->rows) != (int)st->layer.layout.shards)
        return 0;
    if (layout_format(r->layout, &ours) != 0 || layout_format(&st->layer.layout, &theirs) != 0)
        rc = err_set(err, EXIT_PEER, "out of memory for a layout");
    else
        rc = buf_len(&ours) == buf_len(&theirs) &&
             memcmp(ours.data, theirs.data, buf_len(&ours)) == 0;
    buf_free(&ours);
    buf_free(&theirs);
    return rc;
}

/* Whether the stored rows tell which worker had each change. */
static int
judge(const struct relayout *r, const struct stored *st, struct err *err)
{
    if (st->settled)
        return 0;
    if (!st->known) {
        err_set(err, EXIT_REFUSED,
                "the %" PRIu32 " workers of sink \"%s\" did not stop at one position, and an older "
                "walpipe did not record which worker had which rows",
                st->layer.layout.shards, r->hello->sink);
        return err_hint(err,
                        "run the older walpipe with its own configuration once more and stop it "
                        "with SIGTERM, so that it drains; or stop walpipe, run walpipe drop, empty "
                        "the tables in the targets, set copy = yes, and start again");
    }
    if (!st->other_timeline)
        return 0;
    err_set(err, EXIT_REFUSED,
            "the workers of sink \"%s\" did not stop at one position, and now both the source's "
            "timeline and the layout differ",
            r->hello->sink);
    return err_hint(
        err, "set shards and shard_key back to their old values and start again, or stop walpipe, "
             "run walpipe drop, empty the tables in the targets, set copy = yes, and start again");
}

/* ---- another layout ---- */

/* The next free generation, as text. */
static int
next_generation(const struct relayout *r, struct session *s, char out[24], struct err *err)
{
    const char *params[] = {r->pipeline, r->hello->sink};
    PGresult *result =
        session_ask(s, "read walpipe.layout",
                    "SELECT coalesce(pg_catalog.max(generation), 0) + 1 FROM walpipe.layout "
                    "WHERE pipeline = $1 AND sink = $2",
                    2, params, "v", err);

    if (result == NULL)
        return -1;
    snprintf(out, 24, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return 0;
}

static int
put_layout(const struct relayout *r, struct session *s, const struct layout *layout,
           char generation[24], struct err *err)
{
    const char *params[] = {r->pipeline, r->hello->sink, generation, NULL};
    struct buf text = {0};
    int rc;

    if (next_generation(r, s, generation, err) != 0)
        return -1;
    (void)!layout_format(layout, &text);
    buf_append(&text, "", 1);
    if (text.failed) {
        buf_free(&text);
        return err_set(err, EXIT_PEER, "out of memory for a layout");
    }
    params[3] = (const char *)text.data + text.start;
    rc = session_run(
        s, "insert into walpipe.layout",
        "INSERT INTO walpipe.layout (pipeline, sink, generation, layout) VALUES ($1, $2, "
        "$3::bigint, $4)",
        4, params, err);
    buf_free(&text);
    return rc;
}

/* The old rows become a layer. */
static int
keep_layer(const struct relayout *r, struct session *s, struct stored *st, struct err *err)
{
    const char *params[] = {r->pipeline, r->hello->sink, st->generation};

    if (st->generation[0] == '\0' && put_layout(r, s, &st->layer.layout, st->generation, err) != 0)
        return -1;
    return session_run(
        s, "insert into walpipe.progress_before",
        "INSERT INTO walpipe.progress_before (pipeline, sink, generation, shard, timeline, "
        "lsn, partial_commit_lsn, partial_ordinal) SELECT pipeline, sink, $3::bigint, "
        "shard, timeline, lsn, partial_commit_lsn, partial_ordinal FROM walpipe.progress "
        "WHERE pipeline = $1 AND sink = $2",
        3, params, err);
}

static int
replace_rows(const struct relayout *r, struct session *s, const struct stored *st, struct err *err)
{
    char generation[24], shards[16], system[24], timeline[16];
    struct lsn_text lowest = lsn_format(st->lowest);
    const char *params[] = {r->pipeline, r->hello->sink, generation,     shards,
                            system,      timeline,       r->hello->slot, lowest.text};

    if (put_layout(r, s, r->layout, generation, err) != 0)
        return -1;
    snprintf(shards, sizeof shards, "%" PRIu32, r->hello->shards);
    snprintf(system, sizeof system, "%" PRIu64, r->hello->system_identifier);
    snprintf(timeline, sizeof timeline, "%" PRIu32, r->hello->timeline);
    return session_run(
        s, "replace the rows of walpipe.progress",
        "WITH old AS (DELETE FROM walpipe.progress WHERE pipeline = $1 AND sink = $2 "
        "RETURNING *), one AS (SELECT coalesce(pg_catalog.max(epoch) + " EPOCH_TAKEN
        ", 0) AS epoch, "
        "coalesce(pg_catalog.max(timeline), $6::bigint) AS timeline FROM old) "
        "INSERT INTO walpipe.progress (pipeline, sink, shard, shards, system_identifier, "
        "timeline, slot, epoch, lsn, layout) SELECT $1, $2, n, $4::integer, $5, timeline, "
        "$7, epoch, $8::pg_lsn, $3::bigint FROM one, "
        "pg_catalog.generate_series(0, $4::integer - 1) AS n ON CONFLICT (pipeline, sink, "
        "shard) DO UPDATE SET shards = EXCLUDED.shards, epoch = EXCLUDED.epoch, lsn = "
        "EXCLUDED.lsn, partial_commit_lsn = NULL, partial_ordinal = NULL, layout = "
        "EXCLUDED.layout, updated_at = pg_catalog.now()",
        8, params, err);
}

/* ---- layers ---- */

static int
read_layer(const PGresult *rows, int i, struct layers *layers, struct err *err)
{
    int64_t generation = strtoll(PQgetvalue(rows, i, 0), NULL, 10);
    struct layer *layer = layers->count > 0 ? layers->list[layers->count - 1] : NULL;
    unsigned long shard = strtoul(PQgetvalue(rows, i, 2), NULL, 10);
    struct bytes text = {.data = (const uint8_t *)PQgetvalue(rows, i, 1),
                         .len = strlen(PQgetvalue(rows, i, 1))};

    if (layer == NULL || layer->generation != generation) {
        layer = calloc(1, sizeof *layer);
        if (layer == NULL)
            return err_set(err, EXIT_PEER, "out of memory for a layout");
        layer->generation = generation;
        if (layers_add(layers, layer) != 0) {
            free(layer);
            return err_set(err, EXIT_REFUSED, "too many rows in walpipe.progress_before");
        }
        if (layout_parse(&layer->layout, text, err) != 0)
            return -1;
    }
    if (shard >= WORKERS_MAX)
        return err_set(err, EXIT_REFUSED, "cannot read the numbers in walpipe.progress_before");
    return read_position(rows, i, 3, 4, 5, &layer->at[shard], err);
}

int
relayout_layers(const struct relayout *r, struct session *s, struct layers *layers, struct err *err)
{
    const char *params[] = {r->pipeline, r->hello->sink};
    PGresult *rows;
    bool exist;
    int rc = 0;

    if (tables_exist(s, &exist, err) != 0)
        return -1;
    if (!exist)
        return 0;
    rows =
        session_ask(s, "read walpipe.progress_before",
                    "SELECT b.generation, l.layout, b.shard, b.lsn, b.partial_commit_lsn, "
                    "b.partial_ordinal FROM walpipe.progress_before AS b JOIN walpipe.layout AS l "
                    "USING (pipeline, sink, generation) WHERE b.pipeline = $1 AND b.sink = $2 "
                    "ORDER BY b.generation, b.shard",
                    2, params, "vvvv??", err);
    if (rows == NULL)
        return -1;
    for (int i = 0; rc == 0 && i < PQntuples(rows); i++)
        rc = read_layer(rows, i, layers, err);
    PQclear(rows);
    layers->highest = 0;
    for (uint32_t i = 0; i < layers->count; i++)
        if (layer_highest(layers->list[i]) > layers->highest)
            layers->highest = layer_highest(layers->list[i]);
    return rc;
}

static int
drop_unused_texts(const struct relayout *r, struct session *s, struct err *err)
{
    const char *params[] = {r->pipeline, r->hello->sink};

    return session_run(
        s, "delete from walpipe.layout",
        "DELETE FROM walpipe.layout WHERE pipeline = $1 AND sink = $2 AND generation NOT IN "
        "(SELECT layout FROM walpipe.progress WHERE pipeline = $1 AND sink = $2 AND layout "
        "IS NOT NULL UNION ALL SELECT generation FROM walpipe.progress_before WHERE "
        "pipeline = $1 AND sink = $2)",
        2, params, err);
}

/* Drops the layers that all workers have passed. Refuses one more than there may be. */
static int
drop_passed(const struct relayout *r, struct session *s, uint64_t lowest, uint32_t *left,
            struct err *err)
{
    const char *params[] = {r->pipeline, r->hello->sink, NULL};
    struct layers *layers = calloc(1, sizeof *layers);
    int rc = layers == NULL ? err_set(err, EXIT_PEER, "out of memory for a layout")
                            : relayout_layers(r, s, layers, err);

    *left = 0;
    for (uint32_t i = 0; rc == 0 && i < layers->count; i++) {
        char generation[24];

        if (layer_highest(layers->list[i]) > lowest) {
            ++*left;
            continue;
        }
        snprintf(generation, sizeof generation, "%" PRId64, layers->list[i]->generation);
        params[2] = generation;
        rc =
            session_run(s, "delete from walpipe.progress_before",
                        "DELETE FROM walpipe.progress_before WHERE pipeline = $1 AND sink = $2 AND "
                        "generation = $3::bigint",
                        3, params, err);
    }
    if (rc == 0 && *left < layers->count)
        rc = drop_unused_texts(r, s, err);
    if (layers != NULL)
        layers_free(layers);
    free(layers);
    return rc;
}

static int
refuse_layer(const struct relayout *r, struct err *err)
{
    err_set(err, EXIT_REFUSED,
            "the layout of sink \"%s\" changed %d times before its workers had passed the "
            "positions at which those of the first layout stopped",
            r->hello->sink, LAYERS_MAX);
    return err_hint(err, "set shards and shard_key back to their old values until walpipe status "
                         "shows that the sink has caught up");
}

/* The rows are locked. */
static int
change_layout(const struct relayout *r, struct session *s, struct stored *st, struct err *err)
{
    uint32_t left;

    if (judge(r, st, err) != 0 || drop_passed(r, s, st->lowest, &left, err) != 0)
        return -1;
    if (!st->settled && left == LAYERS_MAX)
        return refuse_layer(r, err);
    if (!st->settled && keep_layer(r, s, st, err) != 0)
        return -1;
    return replace_rows(r, s, st, err) != 0 ? -1 : drop_unused_texts(r, s, err);
}

static int
settle_layers(const struct relayout *r, struct session *s, const struct stored *st, struct err *err)
{
    uint32_t left;

    if (drop_passed(r, s, st->lowest, &left, err) != 0)
        return -1;
    if (left == 0 || !st->other_timeline)
        return 0;
    err_set(err, EXIT_REFUSED,
            "the source's timeline changed before the workers of sink \"%s\" had passed the "
            "positions at which those of an older layout stopped",
            r->hello->sink);
    return err_hint(err, "stop walpipe, run walpipe drop, empty the tables in the targets, set "
                         "copy = yes, and start again");
}

int
relayout(const struct relayout *r, struct session *s, bool *done, struct err *err)
{
    struct stored st;
    int same;

    *done = true;
    if (read_stored(r, s, false, &st, err) != 0)
        return -1;
    if (r->hello->shards == 1 && st.generation[0] == '\0' &&
        (PQntuples(st.rows) == 0 || st.layer.layout.shards == 1)) {
        *done = false;
        stored_free(&st);
        return 0;
    }
    same = is_same(r, &st, err);
    if (same == 1)
        same = settle_layers(r, s, &st, err) == 0 ? 1 : -1;
    stored_free(&st);
    if (same != 0)
        return same < 0 ? -1 : 0;
    if (make_tables(s, err) != 0 || read_stored(r, s, true, &st, err) != 0)
        return -1;
    same = change_layout(r, s, &st, err);
    stored_free(&st);
    return same;
}

int
relayout_check(const struct relayout *r, struct session *s, struct err *err)
{
    struct stored st;
    int rc;

    if (read_stored(r, s, false, &st, err) != 0)
        return -1;
    rc = st.known ? 0 : judge(r, &st, err);
    stored_free(&st);
    return rc;
}

int
relayout_drop(struct session *s, const char *pipeline, const char *sink, struct err *err)
{
    static const char *const statements[] = {
        "DELETE FROM walpipe.progress_before WHERE pipeline = $1 AND sink = $2",
        "DELETE FROM walpipe.layout WHERE pipeline = $1 AND sink = $2",
        "DELETE FROM walpipe.whole WHERE pipeline = $1 AND sink = $2"};
    const char *params[] = {pipeline, sink};
    bool exist;

    if (tables_exist(s, &exist, err) != 0)
        return -1;
    for (size_t i = 0; exist && i < sizeof statements / sizeof *statements; i++)
        if (session_run(s, "delete a sink's layout", statements[i], 2, params, err) != 0)
            return -1;
    return 0;
}
