/* lib_layout.c: the canonical text there and back, texts that are refused, and the worker of a row
 * under every shard key. */
/* clang-format off: make reads one line
 * links: lib/layout lib/names lib/event lib/hash lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include "lib/layout.h"

#include <stdlib.h>

#include "lib/hash.h"

#include "check.h"

static const char canonical[] = "shards 4\nshard_key column:c\nwhole \"A,b\".t -> s.g\n"
                                "whole public.a -> public.t\nwhole public.b -> public.t\n";

static int
parse(struct layout *l, const char *text, struct err *err)
{
    return layout_parse(l, (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)}, err);
}

static void
test_text(void)
{
    static const char *const bad[] = {"",
                                      "shards 0\nshard_key key\n",
                                      "shards 257\nshard_key key\n",
                                      "shards 4x\n",
                                      "shards 4",
                                      "shard_key key\n",
                                      "shards 4\nshard_key other\n",
                                      "shards 4\nshard_key column:\n",
                                      "shards 4\nwhole a\n",
                                      "shards 4\nwhole a.b -> c\n",
                                      "shards 4\nwhole a.b -> c.d, e.f -> g.h\n",
                                      "shards 4\nwhole a.b -> c.d\nwhole a.b -> e.f\n",
                                      "shards 4\n\n"};
    struct layout l = {0};
    struct buf text = {0};
    struct err err;

    check(parse(&l, canonical, &err) == 0 && layout_format(&l, &text) == 0 &&
              buf_len(&text) == sizeof canonical - 1 &&
              memcmp(text.data, canonical, sizeof canonical - 1) == 0,
          "there and back");
    check(strcmp(layout_group(&l, "A,b", "t"), "s.g") == 0, "a name in quotes");
    check(layout_group(&l, "public", "c") == NULL, "a table that is split");
    layout_free(&l);
    buf_free(&text);
    check(parse(&l, "shards 2\nshard_key key\nwhole *\n", &err) == 0 &&
              strcmp(layout_group(&l, "any", "table"), "*") == 0,
          "all tables");
    layout_free(&l);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check(parse(&l, bad[i], &err) == -1 && err.code == EXIT_REFUSED, "bad text %zu is refused",
              i);
        layout_free(&l);
    }
}

static struct relation_column columns[] = {
    {.name = "id", .key = true, .type_oid = 23, .typmod = -1, .type_schema = "", .type_name = ""},
    {.name = "c", .key = true, .type_oid = 25, .typmod = -1, .type_schema = "", .type_name = ""}};

static const struct relation relation = {.relid = 77,
                                         .replica_identity = 'd',
                                         .schema = "public",
                                         .name = "a",
                                         .columns_count = 2,
                                         .columns = columns};

/* The workers of an update whose keys hash to 5 (new) and 6 (old), and whose c goes from x to y. */
static struct row_shards
shards_of(struct layout *l)
{
    static struct row_values values;
    struct value new_row[] = {{.kind = VALUE_TEXT, .data = (const uint8_t *)"1", .len = 1},
                              {.kind = VALUE_TEXT, .data = (const uint8_t *)"y", .len = 1}};
    struct value old_row[] = {new_row[0],
                              {.kind = VALUE_TEXT, .data = (const uint8_t *)"x", .len = 1}};
    struct row_event row = {.header = {.key_hash = 5, .relid = 77, .ordinal = 1, .old_key_hash = 6},
                            .old_kind = OLD_KEY,
                            .old_row = {.count = 2, .values = old_row},
                            .new_row = {.count = 2, .values = new_row}};
    struct row_shards shards = {99, 99};
    struct placement place;
    struct row_header header;
    struct buf frame = {0};
    struct cursor body;
    struct err err;
    uint32_t elements;
    uint8_t type;

    if (row_encode(&frame, FRAME_UPDATE, &row) != 0)
        abort();
    body = cursor_over(frame.data + FRAME_HEADER, buf_len(&frame) - FRAME_HEADER);
    check(frame_type(&body, &type, &elements) && row_header_decode(&body, type, &header) &&
              layout_place(l, &relation, &place, &err) == 0 &&
              layout_shards(l, &place, type, &header, body, elements, &values, &shards),
          "an update is placed");
    buf_free(&frame);
    return shards;
}

static uint32_t
shard_of_text(const char *text, size_t len)
{
    return (uint32_t)(hash_finish(hash_bytes(HASH_SEED, text, len)) % 4);
}

/* The worker of a row ("1", c) that exists already and hashes to 7. 99 if it has none. */
static uint32_t
shard_of_copied(const struct layout *l, struct value c)
{
    struct value values[] = {{.kind = VALUE_TEXT, .data = (const uint8_t *)"1", .len = 1}, c};
    const struct tuple row = {.count = 2, .values = values};
    struct placement place;
    struct err err;
    uint32_t shard;

    return layout_place(l, &relation, &place, &err) == 0 &&
                   layout_shard_of_row(l, &place, 7, &row, &shard)
               ? shard
               : 99;
}

/* It must be that of the same row's changes, as test_rule has them. */
static void
test_copied_rows(void)
{
    const struct value x = {.kind = VALUE_TEXT, .data = (const uint8_t *)"x", .len = 1};
    const struct value none = {.kind = VALUE_UNCHANGED};
    struct layout l = {.shards = 4};
    struct err err;

    check(shard_of_copied(&l, x) == 3, "by key");
    check(layout_set_shard_key(&l, "table"), "table");
    check(shard_of_copied(&l, x) == hash_finish(77) % 4, "by table");
    check(layout_set_shard_key(&l, "column:c"), "column");
    check(shard_of_copied(&l, x) == shard_of_text("x", 1), "by column");
    check(shard_of_copied(&l, none) == 99, "without that column's value");
    check(layout_add_whole(&l, "public.a -> s.g", &err) == 0, "whole");
    check(shard_of_copied(&l, none) == shard_of_text("s.g", 4), "as a whole");
    layout_free(&l);
}

static void
test_rule(void)
{
    struct layout l = {.shards = 4};
    struct row_shards s = shards_of(&l);
    struct placement place;
    struct err err;

    check(s.new_shard == 1 && s.old_shard == 2, "by key");
    check(layout_set_shard_key(&l, "table"), "table");
    s = shards_of(&l);
    check(s.new_shard == hash_finish(77) % 4 && s.old_shard == s.new_shard, "by table");
    check(layout_set_shard_key(&l, "column:c"), "column");
    s = shards_of(&l);
    check(s.new_shard == shard_of_text("y", 1) && s.old_shard == shard_of_text("x", 1),
          "by column");
    check(layout_add_whole(&l, "public.a -> s.g", &err) == 0, "whole");
    s = shards_of(&l);
    check(s.new_shard == shard_of_text("s.g", 4) && s.old_shard == s.new_shard, "as a whole");
    layout_free(&l);
    l = (struct layout){.shards = 4};
    check(layout_set_shard_key(&l, "column:c"), "column");
    columns[1].key = false;
    check(layout_place(&l, &relation, &place, &err) == -1 && err.code == EXIT_REFUSED,
          "a column that is no part of the identity: %s", err.message);
    columns[1].key = true;
    layout_free(&l);
}

int
main(void)
{
    test_text();
    test_rule();
    test_copied_rows();
    return check_done();
}
