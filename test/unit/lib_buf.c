/* lib_buf.c: a growing buffer that is a queue.
 * links: lib/buf */
#include <string.h>

#include "lib/buf.h"

#include "check.h"

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

int
main(void)
{
    test_buf();
    return check_done();
}
