/* lib_copyevent.c: the frames of copied rows, each there and back, cut at every byte, with a byte
 * too many and with another number of elements. */
/* clang-format off: make reads one line
 * links: lib/copyevent lib/sinklist lib/snapshot lib/event lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include "lib/copyevent.h"

#include <inttypes.h>

#include "check.h"

static struct value values[COLUMNS_MAX];

/* The event that was accepted last. */
static struct copytable_event table;
static struct range_event range;
static struct rows_event rows;
static struct range_end_event range_end;
static struct touched_event touched;

static bool
takes_rows(struct rows_event *taken)
{
    struct cursor c = cursor_over(taken->rows.data, taken->rows.len);
    struct tuple row;

    for (uint32_t i = 0; i < taken->count; i++)
        if (!rows_next(&c, &row, values))
            return false;
    return c.left == 0;
}

static bool
takes(const uint8_t *body, size_t len)
{
    struct cursor c = cursor_over(body, len);
    struct snapshot horizon;
    struct err err = {0};
    uint32_t elements;
    uint64_t life;
    enum life_end how;
    uint8_t type;
    bool ok;

    if (!frame_type(&c, &type, &elements))
        return false;
    switch (type) {
    case FRAME_COPYTABLE:
        relation_free(&table.relation);
        return copytable_decode(&c, elements, &table, &err) == 0;
    case FRAME_RANGE:
        relation_free(&range.relation);
        snapshot_free(&range.snapshot);
        return range_decode(&c, elements, &range, &err) == 0;
    case FRAME_ROWS:
    case FRAME_ABSENT:
        return rows_decode(&c, elements, &rows) && takes_rows(&rows);
    case FRAME_RANGE_END:
        return range_end_decode(&c, elements, &range_end);
    case FRAME_HORIZON:
        ok = horizon_decode(&c, elements, &horizon, &err) == 0;
        snapshot_free(&horizon);
        return ok;
    case FRAME_TOUCHED:
        return touched_decode(&c, elements, &touched, values);
    case FRAME_TABLE_END:
        return table_end_decode(&c, elements, &life, &how);
    default:
        return false;
    }
}

#include "strict.h"

/* check_strict leaves its last read cut or refused, so read the whole frame again. */
static bool
takes_whole(const struct buf *buf)
{
    return takes(buf->data + buf->start + FRAME_HEADER, buf_len(buf) - FRAME_HEADER);
}

static struct relation_column columns[] = {
    {.name = "id", .key = true, .type_oid = 23, .typmod = -1, .type_schema = "", .type_name = ""},
    {.name = "v", .type_oid = 25, .typmod = -1, .type_schema = "", .type_name = ""}};
static const struct relation relation = {.relid = 16400,
                                         .replica_identity = 'd',
                                         .schema = "public",
                                         .name = "t",
                                         .columns_count = 2,
                                         .columns = columns};

static void
test_table(void)
{
    struct buf buf = {0};
    struct copytable_event in = {.life = UINT64_MAX,
                                 .part = 16500,
                                 .rows = 7,
                                 .bytes = 8192,
                                 .definition = "0f",
                                 .relation = relation};

    in.sinks.names[in.sinks.count++] = (struct bytes){.data = (const uint8_t *)"dst", .len = 3};
    check(copytable_encode(&buf, &in) == 0 && takes_whole(&buf) && table.life == UINT64_MAX &&
              table.part == 16500 && table.rows == 7 && table.bytes == 8192 &&
              strcmp(table.definition, "0f") == 0 && table.sinks.count == 1 &&
              sinklist_has(&table.sinks, "dst") && table.relation.relid == 16400 &&
              table.relation.columns_count == 2,
          "a table's fields come back");
    check(!table.resync, "of no resync");
    check_strict(&buf, "table");
    buf_reset(&buf, 0);
    in.resync = true;
    check(copytable_encode(&buf, &in) == 0 && takes_whole(&buf) && table.resync &&
              table.relation.columns_count == 2,
          "a resync's table comes back");
    check_strict(&buf, "table of a resync");
    buf_free(&buf);
}

static void
test_range(void)
{
    uint64_t running[] = {UINT64_C(4294967300), UINT64_C(4294967303)};
    struct range_event in = {.life = 1,
                             .number = 2,
                             .kind = RANGE_BLOCKS,
                             .from = {.block = UINT32_MAX, .line = 65535},
                             .file = 16501,
                             .snapshot = {.xmin = UINT64_C(4294967300),
                                          .xmax = UINT64_C(4294967304),
                                          .running_count = 2,
                                          .running = running},
                             .mark = 3,
                             .floor = 4,
                             .relation = relation};
    struct buf buf = {0};

    check(range_encode(&buf, &in) == 0 && takes_whole(&buf) && range.life == 1 &&
              range.number == 2 && range.kind == RANGE_BLOCKS && range.from.block == UINT32_MAX &&
              range.from.line == 65535 && range.file == 16501 &&
              range.snapshot.running_count == 2 && range.snapshot.running[1] == running[1] &&
              range.mark == 3 && range.floor == 4 && range.sinks.count == 0 &&
              strcmp(range.relation.name, "t") == 0,
          "a range's fields come back");
    check_strict(&buf, "range");
    in.kind = RANGE_KEYS;
    check(range_encode(&buf, &in) == 0 && takes_whole(&buf) && range.kind == RANGE_KEYS,
          "a range of keys");
    check_strict(&buf, "range of keys");
    in.kind = RANGE_ASKS;
    check(range_encode(&buf, &in) == 0 && takes_whole(&buf) && range.kind == RANGE_ASKS,
          "the question which keys are missing");
    in.snapshot.xmin = UINT64_C(4294967305);
    check(range_encode(&buf, &in) == 0 && !takes_whole(&buf), "a snapshot that is none is refused");
    relation_free(&range.relation);
    snapshot_free(&range.snapshot);
    buf_free(&buf);
}

static void
test_rows(void)
{
    struct value first[2] = {{.kind = VALUE_TEXT, .len = 1, .data = (const uint8_t *)"1"},
                             {.kind = VALUE_NULL}};
    struct value second[2] = {{.kind = VALUE_TEXT, .len = 1, .data = (const uint8_t *)"2"},
                              {.kind = VALUE_BINARY, .len = 1, .data = (const uint8_t *)"b"}};
    static const uint8_t hashes[16] = {0};
    struct rows_event in = {.life = 1, .number = 2, .count = 2};
    struct buf encoded = {0}, buf = {0};

    rows_add(&encoded, &(struct tuple){.count = 2, .values = first});
    rows_add(&encoded, &(struct tuple){.count = 2, .values = second});
    in.rows = (struct bytes){.data = encoded.data, .len = buf_len(&encoded)};
    check(rows_encode(&buf, FRAME_ROWS, &in) == 0, "rows behind route");
    check_strict(&buf, "rows behind route");
    in.hashes = (struct bytes){.data = hashes, .len = sizeof hashes};
    check(rows_encode(&buf, FRAME_ROWS, &in) == 0 && takes_whole(&buf) && rows.count == 2 &&
              rows.hashes.len == 16 && values[1].kind == VALUE_BINARY,
          "rows before it");
    check_strict(&buf, "rows before it");
    in.hashes.len = 8;
    check(rows_encode(&buf, FRAME_ROWS, &in) == 0 && !takes_whole(&buf),
          "a hash less than rows is refused");
    buf_reset(&buf, 0);
    in.count = 3;
    in.hashes.len = 0;
    check(rows_encode(&buf, FRAME_ROWS, &in) == 0 && !takes_whole(&buf),
          "a row less than said is refused");
    buf_reset(&buf, 0);
    in.count = 2;
    in.hashes.len = sizeof hashes;
    check(rows_encode(&buf, FRAME_ABSENT, &in) == 0 && takes_whole(&buf) && rows.hashes.len == 16,
          "absent");
    check_strict(&buf, "absent");
    buf_free(&buf);
    buf_free(&encoded);
}

static void
test_ends(void)
{
    struct range_end_event in = {.life = 1, .number = 2, .to = {.block = 512}, .rows = 40};
    struct value id = {.kind = VALUE_TEXT, .len = 1, .data = (const uint8_t *)"1"};
    struct touched_event change = {
        .relid = 16400, .ordinal = 9, .key = {.count = 1, .values = &id}};
    struct snapshot snapshot = {.xmin = 5, .xmax = 5};
    static const enum life_end ways[] = {LIFE_DONE, LIFE_GONE, LIFE_AGAIN, LIFE_LISTED};
    struct buf buf = {0};

    check(range_end_encode(&buf, &in) == 0 && takes_whole(&buf) && !range_end.open &&
              range_end.to.block == 512 && range_end.rows == 40,
          "a range's end");
    check_strict(&buf, "range end");
    in.open = true;
    check(range_end_encode(&buf, &in) == 0 && takes_whole(&buf) && range_end.open,
          "the last one's");
    check_strict(&buf, "open range end");
    check(horizon_encode(&buf, &snapshot) == 0, "horizon");
    check_strict(&buf, "horizon");
    check(touched_encode(&buf, &change) == 0 && takes_whole(&buf) && !touched.whole &&
              touched.key.count == 1 && touched.ordinal == 9,
          "touched");
    check_strict(&buf, "touched");
    change.whole = true;
    check(touched_encode(&buf, &change) == 0 && takes_whole(&buf) && touched.whole,
          "touched as a whole");
    check_strict(&buf, "touched as a whole");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        check(table_end_encode(&buf, i, ways[i]) == 0, "table end %zu", i);
        check_strict(&buf, "table end");
    }
    buf_free(&buf);
}

int
main(void)
{
    test_table();
    test_range();
    test_rows();
    test_ends();
    relation_free(&table.relation);
    return check_done();
}
