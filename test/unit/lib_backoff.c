/* lib_backoff.c: waits that double up to a limit, each shortened by up to half.
 * links: lib/backoff */
#include "lib/backoff.h"

#include "check.h"

int
main(void)
{
    struct backoff b = {.first_millis = 100, .most_millis = 8000};
    static const uint64_t expected[] = {100, 200, 400, 800, 1600, 3200, 6400, 8000, 8000};

    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct backoff twin = b;
        uint64_t most = backoff_next(&b, 0), least = backoff_next(&twin, (uint32_t)(most / 2));

        check(most == expected[i] && least == (most + 1) / 2, "failure %zu: %llu to %llu ms", i + 1,
              (unsigned long long)least, (unsigned long long)most);
    }
    backoff_forget(&b);
    check(backoff_next(&b, 0) == 100, "after a success it begins anew");
    return check_done();
}
