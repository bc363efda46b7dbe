/* positions.c: see positions.h. */
#include "sink-ch/positions.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

#include "lib/lsn.h"
#include "sink-ch/notetable.h"

#define TABLE  POSITIONS_TABLE
#define LAYOUT POSITIONS_LAYOUT

/* The layout of a row that was written before layouts were noted. */
#define LAYOUT_UNKNOWN "0"

/* How long a node of a cluster may lack the last notes. */
#define BEHIND_TRIES       25
#define BEHIND_WAIT_MILLIS 200

void
positions_put_table(const struct journal *j, struct buf *sql)
{
    server_put_name(sql, j->database);
    server_put_text(sql, "." TABLE);
}

void
positions_put_where_sink(const struct journal *j, const char *sink, struct buf *sql)
{
    server_put_text(sql, " WHERE pipeline = ");
    server_put_literal(sql, j->pipeline);
    server_put_text(sql, " AND sink = ");
    server_put_literal(sql, sink);
}

static void
put_where(const struct journal *j, uint32_t timeline, struct buf *sql)
{
    server_put_text(sql, " FROM ");
    positions_put_table(j, sql);
    positions_put_where_sink(j, j->hello->sink, sql);
    server_put_text(sql, " AND system_identifier = ");
    notetable_put_number(sql, j->hello->system_identifier);
    server_put_text(sql, " AND timeline = ");
    notetable_put_number(sql, timeline);
    server_put_text(sql, " AND slot = ");
    server_put_literal(sql, j->hello->slot);
}

/* The lowest position of each group of workers that is complete. */
static void
put_groups(const struct journal *j, uint32_t timeline, struct buf *sql)
{
    server_put_text(sql, "SELECT if(layout_ = " LAYOUT_UNKNOWN " AND shards > 1, least(min(l), ");
    notetable_put_number(sql, j->hello->start_lsn);
    server_put_text(sql, "), min(l)) AS x FROM (SELECT shards, shard, ");
    server_put_text(sql, j->has_layout ? LAYOUT : LAYOUT_UNKNOWN);
    server_put_text(sql, " AS layout_, max(lsn) AS l");
    put_where(j, timeline, sql);
    server_put_text(sql, " GROUP BY shards, shard, layout_) GROUP BY shards, layout_ "
                         "HAVING count() = shards");
}

/* That of this worker. */
static void
put_own(const struct journal *j, uint32_t timeline, struct buf *sql)
{
    server_put_text(sql, "SELECT max(lsn) AS x");
    put_where(j, timeline, sql);
    server_put_text(sql, " AND shards = ");
    notetable_put_number(sql, j->hello->shards);
    server_put_text(sql, " AND shard = ");
    notetable_put_number(sql, j->hello->shard);
    server_put_text(sql, " AND " LAYOUT " = ");
    notetable_put_number(sql, j->layout_hash);
}

static int
read_table(struct journal *j, uint32_t timeline, uint64_t *lsn, struct err *err)
{
    struct buf sql = {0}, *answer = &j->server->answer.body;

    server_put_text(&sql, "SELECT max(x) FROM (");
    put_groups(j, timeline, &sql);
    if (j->has_layout) {
        server_put_text(&sql, " UNION ALL ");
        put_own(j, timeline, &sql);
    }
    server_put_text(&sql, ") FORMAT TabSeparated");
    if (server_query(j->server, "read " TABLE, &sql, err) != 0)
        return -1;
    buf_append(answer, "", 1);
    if (answer->failed)
        return err_set(err, EXIT_PEER, "out of memory for an answer");
    *lsn = strtoull((const char *)answer->data + answer->start, NULL, 10);
    return 0;
}

/* Less than the confirmed LSN means that the changes between never came here: the sink was left out
 * of the config for a time, or the target is an older copy of itself. */
int
positions_read(struct journal *j, uint64_t *lsn, struct err *err)
{
    for (int i = 0; i < BEHIND_TRIES; i++) {
        if (i > 0)
            poll(NULL, 0, BEHIND_WAIT_MILLIS);
        if (read_table(j, j->hello->timeline, lsn, err) != 0)
            return -1;
        if (*lsn == 0 || *lsn >= j->hello->start_lsn)
            return 0;
    }
    return 0;
}

/* A position of the timeline before is not used as one of this timeline. But if the slot is ahead
 * of it, the changes between never came here. */
int
positions_look_before(struct journal *j, uint64_t *durable, struct err *err)
{
    uint64_t lsn;

    if (*durable != 0 || j->hello->previous_timeline == 0)
        return 0;
    if (read_table(j, j->hello->previous_timeline, &lsn, err) != 0)
        return -1;
    if (lsn < j->hello->start_lsn)
        *durable = lsn;
    return 0;
}

/* ---- other histories ---- */

struct seen {
    uint64_t other_system;  /* 0 if none */
    uint32_t last_timeline; /* of this system, 0 if none */
    uint64_t last_lsn;      /* that was noted or announced there */
    bool announced;         /* it was not noted */
};

static int
read_seen(struct journal *j, struct seen *seen, struct err *err)
{
    struct buf sql = {0};
    uint64_t system, timeline, lsn, noted;
    char *at;

    server_put_text(&sql,
                    "SELECT system_identifier, timeline, max(lsn), "
                    "maxIf(lsn, shards > 0), countIf(slot = '" POSITIONS_ADOPTED_SLOT "') FROM ");
    positions_put_table(j, &sql);
    positions_put_where_sink(j, j->hello->sink, &sql);
    server_put_text(&sql, " GROUP BY system_identifier, timeline FORMAT TabSeparated");
    if (server_query(j->server, "read " TABLE, &sql, err) != 0)
        return -1;
    buf_append(&j->server->answer.body, "", 1);
    if (j->server->answer.body.failed)
        return err_set(err, EXIT_PEER, "out of memory for an answer");
    at = (char *)j->server->answer.body.data + j->server->answer.body.start;
    for (; *at != '\0'; at += *at == '\n') {
        system = strtoull(at, &at, 10);
        timeline = strtoull(at, &at, 10);
        lsn = strtoull(at, &at, 10);
        noted = strtoull(at, &at, 10);
        j->adopted = strtoull(at, &at, 10) > 0 || j->adopted;
        if (lsn > j->highest)
            j->highest = lsn;
        if (*at != '\n')
            return err_set(err, EXIT_PEER, "could not read " TABLE ": malformed answer");
        if (system != j->hello->system_identifier) {
            seen->other_system = system;
        } else if (timeline >= seen->last_timeline) {
            seen->last_timeline = (uint32_t)timeline;
            seen->last_lsn = lsn;
            seen->announced = lsn > noted;
        }
    }
    return 0;
}

static int
refuse_seen(const struct journal *j, const struct seen *seen, struct err *err)
{
    const struct hello *hello = j->hello;

    if (seen->last_timeline == 0)
        err_set(err, EXIT_REFUSED,
                "the target holds what sink %s wrote from another cluster: " TABLE
                " has system identifier %" PRIu64 ", the source %" PRIu64,
                hello->sink, seen->other_system, hello->system_identifier);
    else if (seen->last_timeline > hello->timeline)
        err_set(err, EXIT_REFUSED,
                "the source is on timeline %" PRIu32 ", and the target has what sink %s wrote from "
                "the later timeline %" PRIu32 ": this is the primary from before a promotion, or a "
                "backup",
                hello->timeline, hello->sink, seen->last_timeline);
    else if (seen->last_timeline == hello->previous_timeline)
        err_set(err, EXIT_REFUSED,
                "the source left timeline %" PRIu32 " at %s, and sink %s %s in its target changes "
                "of that timeline up to %s, which the source never had",
                seen->last_timeline, lsn_format(hello->switch_lsn).text, hello->sink,
                seen->announced ? "may have" : "has", lsn_format(seen->last_lsn).text);
    else
        err_set(err, EXIT_REFUSED,
                "the progress of sink %s is of timeline %" PRIu32 ", up to %s, the source is on "
                "timeline %" PRIu32 ", which branched off from timeline %" PRIu32,
                hello->sink, seen->last_timeline, lsn_format(seen->last_lsn).text, hello->timeline,
                hello->previous_timeline);
    return err_hint(
        err,
        "stop walpipe, run walpipe drop, empty the tables in the targets, set copy = yes, and "
        "start again; or correct the rows in ClickHouse where they are, and run \"walpipe adopt\"");
}

int
positions_judge(struct journal *j, struct err *err)
{
    const struct hello *hello = j->hello;
    struct seen seen = {0};

    if (read_seen(j, &seen, err) != 0)
        return -1;
    j->last_timeline = seen.last_timeline;
    if (seen.last_timeline == hello->timeline ||
        (seen.last_timeline != 0 && seen.last_timeline == hello->previous_timeline))
        j->before = seen.last_lsn;
    if (seen.last_timeline == hello->timeline)
        j->known = JOURNAL_OURS;
    else if (seen.last_timeline != 0 && seen.last_timeline == hello->previous_timeline &&
             seen.last_lsn <= hello->switch_lsn)
        j->known = JOURNAL_PREVIOUS;
    else if (seen.last_timeline != 0 || seen.other_system != 0)
        return refuse_seen(j, &seen, err);
    return 0;
}

/* ---- without a stream ---- */

/* A row for each source, timeline, slot, number of workers and layout, the latest first. */
static int
ask_groups(struct journal *j, struct err *err)
{
    struct buf sql = {0}, *answer = &j->server->answer.body;
    const struct notetable table = {.server = j->server, .database = j->database};
    bool has;

    if (notetable_has_column(&table, TABLE, LAYOUT, &has, err) != 0)
        return -1;
    server_put_text(&sql, "SELECT system_identifier, timeline, shards, count() = shards, min(l), "
                          "max(l), max(l) > 0 OR slot = '" POSITIONS_ADOPTED_SLOT
                          "' FROM (SELECT system_identifier, timeline, slot, shards, shard, ");
    server_put_text(&sql, has ? LAYOUT : LAYOUT_UNKNOWN);
    server_put_text(&sql, " AS layout_, max(lsn) AS l, max(updated_at) AS u FROM ");
    positions_put_table(j, &sql);
    positions_put_where_sink(j, j->hello->sink, &sql);
    server_put_text(&sql, " GROUP BY system_identifier, timeline, slot, shards, shard, layout_) "
                          "GROUP BY system_identifier, timeline, slot, shards, layout_ ORDER BY "
                          "max(u) DESC, timeline DESC, max(l) DESC FORMAT TabSeparated");
    if (server_query(j->server, "read " TABLE, &sql, err) != 0)
        return -1;
    buf_append(answer, "", 1);
    return answer->failed ? err_set(err, EXIT_PEER, "out of memory for an answer") : 0;
}

struct group {
    uint64_t system, timeline, shards, complete, lowest, highest, any;
};

/* The result of all groups, besides the summary. */
struct result {
    uint64_t common;  /* of all workers at the latest note, 0 if they differ */
    uint64_t highest; /* of any worker, announced ones included */
};

static void
add_group(struct positions_summary *s, struct result *r, const struct group *g)
{
    s->any = g->any > 0 || s->any;
    if (s->system_identifier == 0)
        s->system_identifier = g->system;
    if (g->system != s->system_identifier)
        return;
    if (g->highest > r->highest)
        r->highest = g->highest;
    if (g->shards == POSITIONS_ANNOUNCED)
        return;
    if (s->workers == 0) {
        s->workers = (uint32_t)g->shards;
        s->timeline = (uint32_t)g->timeline;
        r->common = g->complete > 0 && g->lowest == g->highest ? g->lowest : 0;
    }
    if (g->complete > 0 && g->lowest > s->durable)
        s->durable = g->lowest;
}

/* Reads the line at *at. */
static bool
read_group(char **at, struct group *g)
{
    uint64_t *const fields[] = {&g->system, &g->timeline, &g->shards, &g->complete,
                                &g->lowest, &g->highest,  &g->any};

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        *fields[i] = strtoull(*at, at, 10);
    return *(*at)++ == '\n';
}

int
positions_sum_up(struct journal *j, struct positions_summary *s, struct err *err)
{
    const struct notetable table = {.server = j->server, .database = j->database};
    struct result result = {0};
    struct group group;
    bool there;
    char *at;

    *s = (struct positions_summary){0};
    if (notetable_exists(&table, TABLE, &there, err) != 0 || (there && ask_groups(j, err) != 0))
        return -1;
    if (!there)
        return 0;
    at = (char *)j->server->answer.body.data + j->server->answer.body.start;
    while (*at != '\0') {
        if (!read_group(&at, &group))
            return err_set(err, EXIT_PEER, "could not read " TABLE ": malformed answer");
        add_group(s, &result, &group);
    }
    s->settled = result.common != 0 && result.common == s->durable && result.highest <= s->durable;
    return 0;
}
