/* lib/lsn, lib/buf, lib/relmap, lib/hash, lib/err, lib/clock.
 * links: lib/lsn lib/buf lib/relmap lib/hash lib/err lib/clock */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/lsn.h"
#include "lib/relmap.h"

#include "check.h"

static void
test_lsn(void)
{
    static const char *const bad[] = {"",      "0",           "/0",   "0/",
                                      "0/0 ",  " 0/0",        "0/g",  "123456789/0",
                                      "0/0/0", "0/123456789", "-1/0", "0x1/0"};
    uint64_t lsn = 0;

    check(strcmp(lsn_format(UINT64_C(0x16B374D848)).text, "16/B374D848") == 0, "as the server's");
    check(strcmp(lsn_format(0).text, "0/0") == 0, "zero");
    check(strcmp(lsn_format(UINT64_MAX).text, "FFFFFFFF/FFFFFFFF") == 0, "the longest");
    check(lsn_parse("16/b374D848", &lsn) && lsn == UINT64_C(0x16B374D848), "either case is read");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check(!lsn_parse(bad[i], &lsn), "\"%s\" is no LSN", bad[i]);
}

static void
test_buf(void)
{
    struct buf b = {0};
    char chunk[1000];
    size_t total = 0;

    memset(chunk, 'x', sizeof chunk);
    buf_append(&b, "", 0);
    check(buf_len(&b) == 0, "nothing appended to nothing");
    for (int i = 0; i < 1000; i++) {
        buf_append(&b, chunk, sizeof chunk);
        buf_consume(&b, 900);
        total += 100;
    }
    check(buf_len(&b) == total && !b.failed, "a queue keeps what was not consumed");
    check(b.size <= 4 * total, "and takes memory for that only, %zu bytes", b.size);
    buf_consume(&b, total);
    check(buf_len(&b) == 0 && b.start == 0, "an empty queue begins anew");
    buf_fit(&b);
    check(b.size >= 1, "nothing to fit");
    buf_append(&b, "four", 4);
    buf_fit(&b);
    check(b.size == 4 && memcmp(b.data, "four", 4) == 0, "fitted to what it holds");
    buf_append(&b, "five", 4);
    check(buf_len(&b) == 8 && memcmp(b.data, "fourfive", 8) == 0, "and it grows again");
    buf_consume(&b, 6);
    buf_fit(&b);
    check(b.size == 2 && buf_len(&b) == 2 && memcmp(b.data, "ve", 2) == 0,
          "what was consumed is given back too");
    check(buf_reserve(&b, SIZE_MAX / 2) == -1 && b.failed, "half the address space is refused");
    buf_reset(&b, 0);
    check(b.data == NULL && !b.failed, "reset gives much memory back");
    buf_free(&b);
}

static void
test_relmap(void)
{
    struct relmap map = {0};
    static int values[3000];
    void *replaced;
    size_t at = 0, seen = 0;
    bool good = true;

    check(relmap_get(&map, 1) == NULL, "an empty map holds nothing");
    /* oids of one cluster lie close together, or a power of two apart */
    for (uint32_t i = 0; i < 3000; i++)
        good = good && relmap_put(&map, i * 1024, &values[i], &replaced) == 0 && replaced == NULL;
    check(good, "3,000 relations are put");
    for (uint32_t i = 0; i < 3000; i++)
        good = good && relmap_get(&map, i * 1024) == &values[i];
    check(good && relmap_get(&map, 1) == NULL, "and found, and no other");
    check(relmap_put(&map, 1024, &values[0], &replaced) == 0 && replaced == &values[1] &&
              relmap_get(&map, 1024) == &values[0],
          "putting again replaces");
    while (relmap_next(&map, &at) != NULL)
        seen++;
    check(seen == 3000, "all are visited once");
    relmap_free(&map);
}

/* The hash is part of the stream's format: these numbers never change (events(7)). */
static void
test_hash(void)
{
    static const uint8_t relid[4] = {0, 0, 0, 1};
    uint64_t h = hash_bytes(HASH_SEED, relid, sizeof relid);

    check(hash_bytes(HASH_SEED, "foobar", 6) == UINT64_C(0x85944171f73967e8), "FNV-1a of foobar");
    check(hash_finish(hash_bytes(h, "1", 2)) == UINT64_C(0xbbadf196f4b8a512),
          "key \"1\" of relation 1");
    check(hash_type_is_canonical(23) && !hash_type_is_canonical(1700) &&
              !hash_type_is_canonical(701) && !hash_type_is_canonical(1042),
          "numeric, float8 and char(n) have several texts for one value");
}

static void
test_err(void)
{
    struct err err;
    char *huge = malloc(5001);

    if (huge == NULL)
        abort();
    memset(huge, 'm', 5000);
    huge[5000] = '\0';
    err_hint(&err, "an old hint");
    check(err_set(&err, EXIT_PEER, "%s", huge) == -1 && err.code == EXIT_PEER &&
              strlen(err.message) == sizeof err.message - 1,
          "a message too long is cut");
    check(err.hint[0] == '\0', "err_set forgets the hint that was there");
    check(err_hint(&err, "%s", huge) == -1 && strlen(err.hint) == sizeof err.hint - 1,
          "and so is a hint");
    free(huge);
}

static void
test_clock(void)
{
    uint64_t now = clock_micros();

    check(clock_poll_timeout(0) == -1, "no deadline, no timeout");
    check(clock_poll_timeout(1) == 0, "a deadline that has passed");
    check(clock_poll_timeout(now + 10000000) > 9000, "ten seconds");
    check(clock_poll_timeout(clock_micros() + 100) <= 1, "a tenth of a millisecond is rounded up");
    check(clock_poll_timeout(UINT64_MAX) > 0, "the end of time does not overflow");
    check(clock_postgres_now() > INT64_C(820000000000000), "it is after 2025");
}

/* The bug was that a key in binary format went to another worker than the same key as text: a
 * replay after `binary` was changed lost rows. */
static void
hash_of_formats(void)
{
    static const struct {
        uint32_t oid;
        const char *text;
        struct bytes binary;
    } cases[] = {
        {16, "t", {(const uint8_t *)"\x01", 1}},
        {17, "\\x00ff", {(const uint8_t *)"\x00\xff", 2}},
        {20, "-2", {(const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xfe", 8}},
        {21, "-32768", {(const uint8_t *)"\x80\x00", 2}},
        {23, "258", {(const uint8_t *)"\x00\x00\x01\x02", 4}},
        {26, "4294967295", {(const uint8_t *)"\xff\xff\xff\xff", 4}},
        {25, "abc", {(const uint8_t *)"abc", 3}},
        {2950,
         "12345678-9abc-def0-0123-456789abcdef",
         {(const uint8_t *)"\x12\x34\x56\x78\x9a\xbc\xde\xf0\x01\x23\x45\x67\x89\xab\xcd\xef", 16}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct value text = {.kind = VALUE_TEXT,
                                   .len = (uint32_t)strlen(cases[i].text),
                                   .data = (const uint8_t *)cases[i].text};
        const struct value binary = {.kind = VALUE_BINARY,
                                     .len = (uint32_t)cases[i].binary.len,
                                     .data = cases[i].binary.data};
        const struct value cut = {.kind = VALUE_BINARY, .len = binary.len - 1, .data = binary.data};
        uint64_t a = HASH_SEED, b = HASH_SEED, c = HASH_SEED;
        bool any_length = cases[i].oid == 17 || cases[i].oid == 25;

        check(hash_type_is_canonical(cases[i].oid) && hash_value(&a, cases[i].oid, &text) &&
                  hash_value(&b, cases[i].oid, &binary) && a == b,
              "type %u: one hash for both formats", cases[i].oid);
        check(hash_value(&c, cases[i].oid, &cut) == any_length, "type %u: a byte too few",
              cases[i].oid);
    }
    check(!hash_type_is_canonical(1700) && !hash_type_is_canonical(1184), "not numeric, not times");
}

int
main(void)
{
    hash_of_formats();
    test_lsn();
    test_buf();
    test_relmap();
    test_hash();
    test_err();
    test_clock();
    return check_done();
}
