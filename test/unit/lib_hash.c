/* lib_hash.c: the hash of a key, which is part of the stream's format.
 * links: lib/hash */
#include <string.h>

#include "lib/hash.h"

#include "check.h"

/* The bug was that a key in binary format went to another worker than the same key as text. A
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

/* The hash is part of the stream's format, so these numbers never change (events(7)). */
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

int
main(void)
{
    hash_of_formats();
    test_hash();
    return check_done();
}
