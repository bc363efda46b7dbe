/* spread.c: see spread.h. */
#include "route/spread.h"

static int
out_of_memory(struct err *err)
{
    return err_set(err, EXIT_PEER, "out of memory for the rows of a copy");
}

static int
malformed(struct err *err)
{
    return err_set(err, EXIT_REFUSED, "malformed rows in the copy's stream");
}

static uint32_t
shards_of(const struct sink *sink)
{
    return sink->tables.layout.shards;
}

static int
begin_in_sink(struct spread *s, size_t index, const struct relation *relation, struct bytes raw,
              struct err *err)
{
    struct sink *sink = &s->router->sinks[index];

    if (shards_of(sink) > 1 &&
        layout_place(&sink->tables.layout, relation, &s->places[index], err) != 0)
        return route_name_sink(sink, err);
    for (uint32_t i = 0; i < shards_of(sink); i++) {
        struct share *share = &sink->workers[i].share;

        share->range_rows = 0;
        buf_append(&share->frames, raw.data, raw.len);
        if (share->frames.failed)
            return out_of_memory(err);
    }
    return 0;
}

int
spread_begin(struct spread *s, const struct relation *relation, struct bytes raw, struct err *err)
{
    for (size_t i = 0; i < s->router->sinks_count; i++)
        if (s->sinks[i] && begin_in_sink(s, i, relation, raw, err) != 0)
            return -1;
    return 0;
}

/* ---- rows ---- */

/* Writes the frame with these rows, without their hashes, which no program behind us needs. */
static int
put_frame(struct share *share, uint8_t type, const struct rows_event *rows)
{
    struct rows_event mine = *rows;

    mine.hashes = (struct bytes){0};
    share->range_rows += mine.count;
    return rows_encode(&share->frames, type, &mine);
}

/* Gives all of it to the sinks with one worker, unchanged. */
static int
give_whole(struct spread *s, uint8_t type, const struct rows_event *rows, bool *split)
{
    for (size_t i = 0; i < s->router->sinks_count; i++) {
        struct sink *sink = &s->router->sinks[i];

        if (!s->sinks[i])
            continue;
        if (shards_of(sink) > 1)
            *split = true;
        else if (put_frame(&sink->workers[0].share, type, rows) != 0)
            return -1;
    }
    return 0;
}

/* Returns false if the row lacks the value of the sink's shard column. */
static bool
find_share(struct spread *s, size_t index, const struct tuple *row, uint64_t hash,
           struct share **share)
{
    struct sink *sink = &s->router->sinks[index];
    uint32_t shard;

    if (!layout_shard_of_row(&sink->tables.layout, &s->places[index], hash, row, &shard))
        return false;
    *share = &sink->workers[shard].share;
    return true;
}

static bool
is_split(const struct spread *s, size_t index)
{
    return s->sinks[index] && shards_of(&s->router->sinks[index]) > 1;
}

static bool
give_row(struct spread *s, struct bytes raw, const struct tuple *row, uint64_t hash)
{
    for (size_t i = 0; i < s->router->sinks_count; i++) {
        struct share *share;

        if (!is_split(s, i))
            continue;
        if (!find_share(s, i, row, hash, &share))
            return false;
        buf_append(&share->rows, raw.data, raw.len);
        share->rows_count++;
    }
    return true;
}

static bool
give_rows(struct spread *s, const struct rows_event *rows)
{
    struct cursor at = cursor_over(rows->rows.data, rows->rows.len);
    struct cursor hashes = cursor_over(rows->hashes.data, rows->hashes.len);

    for (uint32_t i = 0; i < rows->count; i++) {
        const uint8_t *start = at.at;
        struct tuple row;
        uint64_t hash;

        if (!cursor_u64(&hashes, &hash) || !rows_next(&at, &row, s->values) ||
            !give_row(s, (struct bytes){start, (size_t)(at.at - start)}, &row, hash))
            return false;
    }
    return at.left == 0;
}

/* The same for one row, which may be large. So its frame is copied once. */
static int
give_one(struct spread *s, uint8_t type, const struct rows_event *rows, struct err *err)
{
    struct cursor at = cursor_over(rows->rows.data, rows->rows.len);
    struct cursor hashes = cursor_over(rows->hashes.data, rows->hashes.len);
    struct share *share;
    struct tuple row;
    uint64_t hash;

    if (!cursor_u64(&hashes, &hash) || !rows_next(&at, &row, s->values) || at.left != 0)
        return malformed(err);
    for (size_t i = 0; i < s->router->sinks_count; i++) {
        if (!is_split(s, i))
            continue;
        if (!find_share(s, i, &row, hash, &share))
            return malformed(err);
        if (put_frame(share, type, rows) != 0)
            return out_of_memory(err);
    }
    return 0;
}

/* Makes a frame from the rows of give_rows for each worker that got some. */
static int
put_shares(struct spread *s, uint8_t type, const struct rows_event *rows)
{
    for (size_t i = 0; i < s->router->sinks_count; i++) {
        struct sink *sink = &s->router->sinks[i];

        for (uint32_t w = 0; is_split(s, i) && w < shards_of(sink); w++) {
            struct share *share = &sink->workers[w].share;
            struct rows_event mine = *rows;

            if (share->rows_count == 0)
                continue;
            mine.count = share->rows_count;
            mine.rows = (struct bytes){share->rows.data, buf_len(&share->rows)};
            if (share->rows.failed || put_frame(share, type, &mine) != 0)
                return -1;
            share->rows_count = 0;
            buf_reset(&share->rows, ROWS_FRAME_MAX);
        }
    }
    return 0;
}

int
spread_rows(struct spread *s, uint8_t type, const struct rows_event *rows, struct err *err)
{
    bool split = false;

    if (give_whole(s, type, rows, &split) != 0)
        return out_of_memory(err);
    if (!split)
        return 0;
    if (rows->count == 1)
        return give_one(s, type, rows, err);
    if (!give_rows(s, rows))
        return malformed(err);
    return put_shares(s, type, rows) == 0 ? 0 : out_of_memory(err);
}

/* ---- the end ---- */

int
spread_end(struct spread *s, const struct range_end_event *end, struct err *err)
{
    for (size_t i = 0; i < s->router->sinks_count; i++) {
        struct sink *sink = &s->router->sinks[i];

        for (uint32_t w = 0; s->sinks[i] && w < shards_of(sink); w++) {
            struct share *share = &sink->workers[w].share;
            struct range_end_event mine = *end;

            mine.rows = share->range_rows;
            if (range_end_encode(&share->frames, &mine) != 0)
                return out_of_memory(err);
        }
    }
    return 0;
}
