/* lib_snapshot.c: the transactions that a snapshot contains.
 * links: lib/snapshot lib/pack lib/cursor lib/buf lib/err */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/frame.h"
#include "lib/snapshot.h"

#include "check.h"

static void
test_text(void)
{
    static const char *const bad[] = {"",        "1",
                                      "1:2",     "2:1:",
                                      "1:2:x",   "1:2:1,",
                                      "1:2:,1",  "1:2:2",
                                      "1:5:3,2", "1:5:2,2",
                                      "3:5:2",   " 1:2:",
                                      "1:2: 1",  "-1:2:",
                                      "1:2:1:1", "1:2:1 ",
                                      "0x1:2:",  "1:+2:",
                                      "1:5:2;3", "1:5:2,3 ",
                                      "1:5:5",   "18446744073709551616:18446744073709551617:"};
    struct snapshot s;
    struct err err = {0};

    check(snapshot_parse("728:728:", &s, &err) == 0 && s.xmin == 728 && s.xmax == 728 &&
              s.running_count == 0,
          "nothing runs");
    snapshot_free(&s);
    check(snapshot_parse("10:18446744073709551615:10,4294967296", &s, &err) == 0 &&
              s.running_count == 2 && s.running[1] == UINT64_C(4294967296),
          "64 bits");
    snapshot_free(&s);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err.code = EXIT_DONE;
        check(snapshot_parse(bad[i], &s, &err) == -1 && err.code == EXIT_REFUSED,
              "\"%s\" is no snapshot", bad[i]);
        snapshot_free(&s);
    }
}

static void
test_contains(void)
{
    struct snapshot s;
    struct err err = {0};

    if (!check(snapshot_parse("100:110:100,105", &s, &err) == 0, "the snapshot"))
        return;
    check(snapshot_contains(&s, 99) && snapshot_contains(&s, 3), "what ended before all that run");
    check(!snapshot_contains(&s, 100) && !snapshot_contains(&s, 105), "what runs");
    check(snapshot_contains(&s, 101) && snapshot_contains(&s, 109), "what ended among them");
    check(!snapshot_contains(&s, 110) && !snapshot_contains(&s, 2000000000), "what began later");
    snapshot_free(&s);
    /* 5 transactions into epoch 7 */
    if (!check(snapshot_parse("30064771075:30064771077:30064771075", &s, &err) == 0, "epoch 7"))
        return;
    check(snapshot_contains(&s, UINT32_C(0xfffffff0)), "a transaction of the epoch before");
    check(snapshot_contains(&s, 4) && !snapshot_contains(&s, 3) && !snapshot_contains(&s, 5),
          "and of this one");
    snapshot_free(&s);
}

/* A snapshot over xids 1000 to 1011. If bit i of ended is set, 1000 + i has ended. xmax is the
 * highest that ended + 1, as the server makes it. */
static struct snapshot
snapshot_of(uint32_t ended)
{
    struct snapshot s = {.xmin = 1000, .xmax = 1000, .running = calloc(12, sizeof(uint64_t))};

    for (uint32_t i = 0; i < 12; i++)
        if ((ended >> i & 1) != 0)
            s.xmax = 1001 + i;
    for (uint64_t xid = 1000; xid < s.xmax; xid++)
        if ((ended >> (xid - 1000) & 1) == 0)
            s.running[s.running_count++] = xid;
    s.xmin = s.running_count > 0 ? s.running[0] : s.xmax;
    return s;
}

/* Against sets of transactions. */
static void
test_within(void)
{
    uint32_t wrong_members = 0, wrong_order = 0;

    for (uint32_t n = 0; n < 4096; n++) {
        uint32_t m = n * 2654435761u >> 20;
        struct snapshot a = snapshot_of(n), b = snapshot_of(m), c = snapshot_of(n & m);

        for (uint32_t i = 0; i < 12; i++)
            if (snapshot_contains(&a, 1000 + i) != ((n >> i & 1) != 0))
                wrong_members++;
        if (snapshot_within(&a, &b) != ((n & ~m) == 0) || !snapshot_within(&c, &a) ||
            !snapshot_within(&c, &b) || !snapshot_within(&a, &a))
            wrong_order++;
        snapshot_free(&a);
        snapshot_free(&b);
        snapshot_free(&c);
    }
    check(wrong_members == 0, "4,096 snapshots contain what has ended (%" PRIu32 ")",
          wrong_members);
    check(wrong_order == 0, "one is within another where its transactions are (%" PRIu32 ")",
          wrong_order);
}

static void
test_frame(void)
{
    struct snapshot s, back;
    struct err err = {0};
    struct buf buf = {0};
    struct packer p;
    struct cursor c;

    if (!check(snapshot_parse("5:20:5,7,9", &s, &err) == 0, "the snapshot"))
        return;
    frame_begin(&p, &buf, FRAME_END, 2);
    snapshot_pack(&p, &s);
    check(frame_end(&p) == 0, "it is packed");
    c = cursor_over(buf.data + FRAME_HEADER + 2, buf_len(&buf) - FRAME_HEADER - 2);
    check(snapshot_unpack(&c, &back, &err) == 0 && c.left == 0 && back.xmin == 5 &&
              back.xmax == 20 && back.running_count == 3 && back.running[2] == 9,
          "and comes back");
    snapshot_free(&back);
    for (size_t len = 0; len < buf_len(&buf) - FRAME_HEADER - 2; len++) {
        c = cursor_over(buf.data + FRAME_HEADER + 2, len);
        if (snapshot_unpack(&c, &back, &err) == 0)
            check(false, "cut after %zu bytes it is none", len);
        snapshot_free(&back);
    }
    buf_free(&buf);
    snapshot_free(&s);
}

int
main(void)
{
    test_text();
    test_contains();
    test_within();
    test_frame();
    return check_done();
}
