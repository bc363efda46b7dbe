/* lib_sinklist.c: names there and back, the maximum number and one more, the maximum length and one
 * byte more.
 * links: lib/sinklist lib/pack lib/cursor lib/buf lib/err */
#include "lib/sinklist.h"

#include "check.h"

static const char name[NAME_MAX_BYTES + 2] =
    "n23456789012345678901234567890123456789012345678901234567890123x";

/* count names of len bytes, decoded into out. */
static bool
back(uint32_t count, size_t len, struct sinklist *out)
{
    struct buf buf = {0};
    struct packer p = {.buf = &buf};
    struct cursor c;
    bool ok;

    pack_array(&p, count);
    for (uint32_t i = 0; i < count; i++)
        pack_str(&p, (struct bytes){.data = (const uint8_t *)name, .len = len});
    c = cursor_over(buf.data, buf_len(&buf));
    ok = sinklist_unpack(&c, out) && c.left == 0;
    buf_free(&buf);
    return ok;
}

static void
test_there_and_back(void)
{
    struct sinklist in = {.count = 2,
                          .names = {{.data = (const uint8_t *)"dst", .len = 3},
                                    {.data = (const uint8_t *)"olap", .len = 4}}};
    struct sinklist out;
    struct buf buf = {0};
    struct packer p = {.buf = &buf};
    struct cursor c;

    sinklist_pack(&p, &in);
    c = cursor_over(buf.data, buf_len(&buf));
    check(sinklist_unpack(&c, &out) && c.left == 0 && out.count == 2, "two names come back");
    check(sinklist_has(&out, "dst") && sinklist_has(&out, "olap"), "both are among them");
    check(!sinklist_has(&out, "ds") && !sinklist_has(&out, "dst2") && !sinklist_has(&out, ""),
          "what only begins alike is not");
    buf_free(&buf);
}

static void
test_limits(void)
{
    struct sinklist out;

    check(back(0, 0, &out) && out.count == 0 && !sinklist_has(&out, "dst"), "none");
    check(back(WORKERS_MAX, NAME_MAX_BYTES, &out) && out.count == WORKERS_MAX &&
              out.names[WORKERS_MAX - 1].len == NAME_MAX_BYTES,
          "as many as there may be, as long as they may be");
    check(!back(WORKERS_MAX + 1, 1, &out), "one more is refused");
    check(!back(1, NAME_MAX_BYTES + 1, &out), "one byte longer is refused");
    check(!back(1, 0, &out), "a name of no bytes is refused");
}

int
main(void)
{
    test_there_and_back();
    test_limits();
    return check_done();
}
