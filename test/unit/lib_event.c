/* lib_event.c: every frame of lib/event and lib/wal there and back, cut at every byte, with a byte
 * too many and with another number of elements.
 * links: lib/event lib/wal lib/frame lib/pack lib/cursor lib/buf lib/err */
#include "lib/event.h"

#include <stdlib.h>

#include "lib/wal.h"

#include "check.h"

static struct row_values values;

/* Decodes one frame of any kind as a strict reader does. Returns true if it was accepted. */
static bool
takes(const uint8_t *body, size_t len)
{
    struct cursor c = cursor_over(body, len);
    struct begin_event begin;
    struct origin_event origin;
    struct commit_event commit;
    struct barrier_event barrier;
    struct message_event message;
    struct truncate_event truncate;
    struct relation relation;
    struct wal_frame wal;
    struct keepalive_frame keepalive;
    struct row_event row;
    struct err err;
    uint32_t elements, relid;
    uint64_t lsn;
    uint8_t type;
    char reason[32];
    bool ok;

    if (!frame_type(&c, &type, &elements))
        return false;
    switch (type) {
    case FRAME_END:
        return end_decode(&c, elements, reason);
    case FRAME_WAL:
        return wal_decode(&c, elements, &wal);
    case FRAME_KEEPALIVE:
        return keepalive_decode(&c, elements, &keepalive);
    case FRAME_RELATION:
        ok = relation_decode(&c, elements, &relation, &err) == 0;
        relation_free(&relation);
        return ok;
    case FRAME_BEGIN:
        return begin_decode(&c, elements, &begin);
    case FRAME_ORIGIN:
        return origin_decode(&c, elements, &origin);
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
        return row_decode(&c, type, elements, &row, &values);
    case FRAME_TRUNCATE:
        ok = truncate_decode(&c, elements, &truncate, &err) == 0;
        free(truncate.relids);
        return ok;
    case FRAME_MESSAGE:
        return message_decode(&c, elements, &message);
    case FRAME_COMMIT:
        return commit_decode(&c, elements, &commit);
    case FRAME_WATERMARK:
        return watermark_decode(&c, elements, &lsn);
    case FRAME_BARRIER:
        return barrier_decode(&c, elements, &barrier);
    case FRAME_LEFT_OUT:
        return left_out_decode(&c, elements, &relid);
    default:
        return false;
    }
}

#include "strict.h"

static void
test_small_frames(void)
{
    struct buf buf = {0};
    struct begin_event begin = {.commit_lsn = UINT64_MAX, .commit_time = -1, .xid = UINT32_MAX};
    struct commit_event commit = {.commit_lsn = 1, .end_lsn = 2, .commit_time = 3, .events = 4};
    struct origin_event origin = {.origin_lsn = 9, .name = {(const uint8_t *)"o", 1}};
    struct barrier_event barrier = {.id = 5, .applier = 2};
    struct message_event message = {.transactional = true,
                                    .lsn = 7,
                                    .prefix = {(const uint8_t *)"p", 1},
                                    .content = {(const uint8_t *)"\0\1", 2}};
    struct wal_frame wal = {
        .start_lsn = 1, .end_lsn = 2, .send_time = -5, .message = {(const uint8_t *)"B", 1}};
    struct keepalive_frame keepalive = {.wal_end = 3, .send_time = 4};
    struct cursor c;
    uint32_t elements;
    uint8_t type;

    check(begin_encode(&buf, &begin) == 0, "begin");
    c = cursor_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
    begin = (struct begin_event){0};
    check(frame_type(&c, &type, &elements) && begin_decode(&c, elements, &begin) &&
              begin.commit_lsn == UINT64_MAX && begin.commit_time == -1 && begin.xid == UINT32_MAX,
          "begin's fields come back");
    check_strict(&buf, "begin");
    check(commit_encode(&buf, &commit) == 0, "commit");
    c = cursor_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
    commit = (struct commit_event){0};
    check(frame_type(&c, &type, &elements) && commit_decode(&c, elements, &commit) &&
              commit.commit_lsn == 1 && commit.end_lsn == 2 && commit.commit_time == 3 &&
              commit.events == 4,
          "commit's fields come back");
    check_strict(&buf, "commit");
    check(origin_encode(&buf, &origin) == 0, "origin");
    check_strict(&buf, "origin");
    check(barrier_encode(&buf, &barrier) == 0, "barrier");
    check_strict(&buf, "barrier");
    check(left_out_encode(&buf, UINT32_MAX) == 0, "left out");
    check_strict(&buf, "left out");
    check(message_encode(&buf, &message) == 0, "message");
    check_strict(&buf, "message");
    check(watermark_encode(&buf, UINT64_MAX) == 0, "watermark");
    check_strict(&buf, "watermark");
    check(wal_encode(&buf, &wal) == 0, "wal");
    check_strict(&buf, "wal");
    check(keepalive_encode(&buf, &keepalive) == 0, "keepalive");
    check_strict(&buf, "keepalive");
    check(end_encode(&buf, "drain") == 0, "end");
    check_strict(&buf, "end");
    buf_free(&buf);
}

static void
test_relation(void)
{
    struct relation_column columns[2] = {
        {.name = "id",
         .key = true,
         .type_oid = 23,
         .typmod = -1,
         .type_schema = "",
         .type_name = ""},
        {.name = "mood", .type_oid = 16400, .typmod = 7, .type_schema = "s", .type_name = "m"}};
    struct relation in = {.relid = UINT32_MAX,
                          .replica_identity = 'f',
                          .schema = "public",
                          .name = "t",
                          .columns_count = 2,
                          .columns = columns};
    struct relation out;
    struct buf buf = {0};
    struct err err = {0};
    struct cursor c;
    uint32_t elements;
    uint8_t type;

    check(relation_encode(&buf, &in) == 0, "relation");
    c = cursor_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
    check(frame_type(&c, &type, &elements) && relation_decode(&c, elements, &out, &err) == 0,
          "is decoded");
    check(out.relid == UINT32_MAX && out.replica_identity == 'f' &&
              strcmp(out.schema, "public") == 0 && strcmp(out.name, "t") == 0 &&
              out.columns_count == 2,
          "the table comes back");
    check(strcmp(out.columns[0].name, "id") == 0 && out.columns[0].key &&
              out.columns[0].type_oid == 23 && out.columns[0].typmod == -1 &&
              strcmp(out.columns[1].type_schema, "s") == 0 &&
              strcmp(out.columns[1].type_name, "m") == 0 && out.columns[1].typmod == 7,
          "and its columns");
    relation_free(&out);
    check_strict(&buf, "relation");
    in.replica_identity = 'x';
    check(relation_encode(&buf, &in) == 0 &&
              !takes(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER),
          "an unknown replica identity is refused");
    buf_free(&buf);
}

static void
test_widest_relation(void)
{
    static struct relation_column columns[COLUMNS_MAX + 1];
    struct relation in = {
        .relid = 1, .replica_identity = 'd', .schema = "", .name = "", .columns = columns};
    struct buf buf = {0};

    for (size_t i = 0; i < COLUMNS_MAX + 1; i++)
        columns[i] = (struct relation_column){.name = "", .type_schema = "", .type_name = ""};
    in.columns_count = COLUMNS_MAX;
    check(relation_encode(&buf, &in) == 0 &&
              takes(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER),
          "%d columns are read", COLUMNS_MAX);
    buf_reset(&buf, 0);
    in.columns_count = COLUMNS_MAX + 1;
    check(relation_encode(&buf, &in) == 0 &&
              !takes(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER),
          "one more is refused");
    buf_free(&buf);
}

static void
test_rows(void)
{
    struct value new_values[3] = {{.kind = VALUE_TEXT, .len = 1, .data = (const uint8_t *)"1"},
                                  {.kind = VALUE_NULL},
                                  {.kind = VALUE_UNCHANGED}};
    struct value old_values[3] = {{.kind = VALUE_TEXT, .len = 0, .data = (const uint8_t *)""},
                                  {.kind = VALUE_BINARY, .len = 1, .data = (const uint8_t *)"b"},
                                  {.kind = VALUE_NULL}};
    struct row_event row = {.header = {.key_hash = 1, .relid = 2, .ordinal = 3, .old_key_hash = 4},
                            .new_row = {.count = 3, .values = new_values},
                            .old_row = {.count = 3, .values = old_values}};
    struct row_header header;
    struct row_event out;
    struct buf buf = {0};
    struct cursor c;
    uint32_t elements;
    uint8_t type;

    check(row_encode(&buf, FRAME_INSERT, &row) == 0, "insert");
    check_strict(&buf, "insert");
    row.old_kind = OLD_KEY;
    check(row_encode(&buf, FRAME_UPDATE, &row) == 0, "update");
    c = cursor_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
    check(frame_type(&c, &type, &elements) && row_header_decode(&c, type, &header) &&
              header.key_hash == 1 && header.relid == 2 && header.ordinal == 3 &&
              header.old_key_hash == 4,
          "an update's header alone");
    c = cursor_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
    check(frame_type(&c, &type, &elements) && row_decode(&c, type, elements, &out, &values) &&
              out.old_kind == OLD_KEY && out.old_row.count == 3 && out.new_row.count == 3 &&
              out.new_row.values[2].kind == VALUE_UNCHANGED &&
              out.new_row.values[1].kind == VALUE_NULL &&
              out.old_row.values[0].kind == VALUE_TEXT && out.old_row.values[0].len == 0 &&
              out.old_row.values[1].kind == VALUE_BINARY,
          "and its values");
    check_strict(&buf, "update with a key");
    row.old_kind = OLD_NONE;
    check(row_encode(&buf, FRAME_UPDATE, &row) == 0, "update without an old row");
    check_strict(&buf, "update without an old row");
    row.old_kind = OLD_FULL;
    check(row_encode(&buf, FRAME_DELETE, &row) == 0, "delete");
    check_strict(&buf, "delete");
    row.old_kind = OLD_NONE;
    check(row_encode(&buf, FRAME_DELETE, &row) == 0 &&
              !takes(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER),
          "a delete without an old row is refused");
    buf_free(&buf);
}

static void
test_truncate(void)
{
    uint32_t relids[2] = {7, UINT32_MAX};
    struct truncate_event truncate = {
        .ordinal = 1, .flags = TRUNCATE_CASCADE, .count = 2, .relids = relids};
    struct buf buf = {0};

    check(truncate_encode(&buf, &truncate) == 0, "truncate");
    check_strict(&buf, "truncate");
    truncate.count = 0;
    check(truncate_encode(&buf, &truncate) == 0 &&
              !takes(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER),
          "a truncate of no table is refused");
    buf_free(&buf);
}

int
main(void)
{
    test_small_frames();
    test_relation();
    test_widest_relation();
    test_rows();
    test_truncate();
    return check_done();
}
