/* snapshot.c: see snapshot.h. */
#include "lib/snapshot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Takes digits up to the byte `end`, which is skipped, except for '\0' at the end of the text. */
static bool
take_number(const char **at, char end, uint64_t *out)
{
    uint64_t n = 0;
    const char *p = *at;

    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');

        if (n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    if (p == *at || *p != end)
        return false;
    *at = end == '\0' ? p : p + 1;
    *out = n;
    return true;
}

static bool
is_sound(const struct snapshot *s)
{
    uint64_t least = s->xmin;

    if (s->xmin > s->xmax)
        return false;
    for (uint32_t i = 0; i < s->running_count; i++) {
        if (s->running[i] < least || s->running[i] >= s->xmax)
            return false;
        least = s->running[i] + 1;
    }
    return true;
}

static int
malformed(struct err *err)
{
    return err_set(err, EXIT_REFUSED, "malformed snapshot");
}

static int
take_memory(struct snapshot *s, uint32_t count, struct err *err)
{
    s->running = malloc((count > 0 ? count : 1) * sizeof *s->running);
    if (s->running == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a snapshot of %" PRIu32 " transactions",
                       count);
    s->running_count = count;
    return 0;
}

static uint32_t
count_running(const char *list)
{
    uint32_t count = list[0] == '\0' ? 0 : 1;

    for (; *list != '\0' && count <= SNAPSHOT_RUNNING_MAX; list++)
        if (*list == ',')
            count++;
    return count;
}

int
snapshot_parse(const char *text, struct snapshot *s, struct err *err)
{
    const char *at = text;
    uint32_t count;

    *s = (struct snapshot){0};
    if (!take_number(&at, ':', &s->xmin) || !take_number(&at, ':', &s->xmax))
        return malformed(err);
    count = count_running(at);
    if (count > SNAPSHOT_RUNNING_MAX)
        return malformed(err);
    if (take_memory(s, count, err) != 0)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        if (!take_number(&at, i + 1 < count ? ',' : '\0', &s->running[i]))
            return malformed(err);
    return is_sound(s) ? 0 : malformed(err);
}

void
snapshot_pack(struct packer *p, const struct snapshot *s)
{
    pack_array(p, 3);
    pack_uint(p, s->xmin);
    pack_uint(p, s->xmax);
    pack_array(p, s->running_count);
    for (uint32_t i = 0; i < s->running_count; i++)
        pack_uint(p, s->running[i]);
}

int
snapshot_unpack(struct cursor *c, struct snapshot *s, struct err *err)
{
    uint32_t elements, count;

    *s = (struct snapshot){0};
    if (!mp_array(c, &elements) || elements != 3 || !mp_uint(c, &s->xmin) ||
        !mp_uint(c, &s->xmax) || !mp_array(c, &count) || count > SNAPSHOT_RUNNING_MAX)
        return malformed(err);
    if (take_memory(s, count, err) != 0)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        if (!mp_uint(c, &s->running[i]))
            return malformed(err);
    return is_sound(s) ? 0 : malformed(err);
}

static int
compare_xids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static bool
contains(const struct snapshot *s, uint64_t xid)
{
    return xid < s->xmin ||
           (xid < s->xmax && (s->running_count == 0 || bsearch(&xid, s->running, s->running_count,
                                                               sizeof xid, compare_xids) == NULL));
}

bool
snapshot_contains(const struct snapshot *s, uint32_t xid)
{
    int32_t distance = (int32_t)(xid - (uint32_t)s->xmax);

    return contains(s, s->xmax + (uint64_t)(int64_t)distance);
}

/* Whether nothing from xid on is contained. */
static bool
ends_before(const struct snapshot *s, uint64_t xid)
{
    uint64_t running = 0;

    if (xid >= s->xmax)
        return true;
    if (xid < s->xmin)
        return false;
    for (uint32_t i = 0; i < s->running_count; i++)
        if (s->running[i] >= xid)
            running++;
    return running == s->xmax - xid;
}

bool
snapshot_within(const struct snapshot *a, const struct snapshot *b)
{
    if (!ends_before(a, b->xmax))
        return false;
    for (uint32_t i = 0; i < b->running_count; i++)
        if (contains(a, b->running[i]))
            return false;
    return true;
}

int
snapshot_copy(struct snapshot *to, const struct snapshot *from, struct err *err)
{
    struct snapshot copy = {.xmin = from->xmin, .xmax = from->xmax};

    if (take_memory(&copy, from->running_count, err) != 0)
        return -1;
    if (from->running_count > 0)
        memcpy(copy.running, from->running, from->running_count * sizeof *from->running);
    snapshot_free(to);
    *to = copy;
    return 0;
}

void
snapshot_free(struct snapshot *s)
{
    free(s->running);
    *s = (struct snapshot){0};
}
