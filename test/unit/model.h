/* model.h: shared by the models that look at every order of events of a small world. It has the set
 * of states that were seen, the path to the current state, and the first wrong state.
 *
 *     model_start(bits)   takes memory for 2^bits states; model_end gives it back
 *     model_begin(bits)   begins a world that needs 2^bits at most: nothing was seen, nothing is
 * wrong is_new(s, size)     true the first time; a state is its bytes, so it must have no padding
 *     fail(what)          the state that is looked at is wrong
 *     print_path()        the steps that led to the first wrong state */
#ifndef WALPIPE_TEST_MODEL_H
#define WALPIPE_TEST_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t *seen;
static uint32_t seen_bits;
static size_t states;
static const char *wrong; /* the first fault that was found */
static const char *path[200], *wrong_path[200];
static size_t depth, wrong_depth;

static void
model_start(uint32_t bits)
{
    seen = malloc(sizeof *seen << bits);
    if (seen == NULL)
        abort();
}

static void
model_begin(uint32_t bits)
{
    wrong = NULL;
    states = depth = 0;
    seen_bits = bits;
    memset(seen, 0, sizeof *seen << bits);
}

static void
model_end(void)
{
    free(seen);
}

static uint64_t
hash_of(const void *state, size_t size)
{
    const unsigned char *bytes = state;
    uint64_t hash = 0;

    for (size_t at = 0; at < size; at += sizeof hash) {
        uint64_t word = 0;

        memcpy(&word, bytes + at, size - at < sizeof word ? size - at : sizeof word);
        hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    return hash | 1;
}

/* Two states with the same hash of 63 bits would be taken for one. */
static bool
is_new(const void *state, size_t size)
{
    const uint64_t hash = hash_of(state, size), mask = (UINT64_C(1) << seen_bits) - 1;
    uint64_t at = hash >> (64 - seen_bits);

    for (; seen[at] != 0; at = (at + 1) & mask)
        if (seen[at] == hash)
            return false;
    seen[at] = hash;
    if (++states > mask / 2)
        abort();
    return true;
}

static void
fail(const char *what)
{
    if (wrong == NULL) {
        wrong = what;
        wrong_depth = depth;
        memcpy(wrong_path, path, sizeof path);
    }
}

static void
print_path(void)
{
    printf("#");
    for (size_t i = 0; i < wrong_depth; i++)
        printf(" %s,", wrong_path[i]);
    printf(" %s\n", wrong);
}

#endif
