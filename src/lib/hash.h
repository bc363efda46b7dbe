/* hash.h: the 64-bit hash of the event stream's keys. It is part of the stream's format
 * (docs/events.7), because the same key must reach the same worker at every replay and in every
 * release. */
#ifndef WALPIPE_HASH_H
#define WALPIPE_HASH_H

#include "lib/cursor.h"

#define HASH_SEED UINT64_C(0xcbf29ce484222325)

/* FNV-1a over the bytes, continued from h. */
static inline uint64_t
hash_bytes(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* MurmurHash3's finalizer, because FNV-1a leaves the low bits of similar keys alike. */
static inline uint64_t
hash_finish(uint64_t h)
{
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    h ^= h >> 33;
    return h;
}

/* True for the built-in types that hash_value accepts. Their equal values have one text, and binary
 * values are hashed as that text. Others (numeric 1.0 = 1.00, float -0 = 0, citext, timestamps ...)
 * must not enter a hash that assigns a key's history to a worker. The collation of text and varchar
 * is assumed to be deterministic. */
bool hash_type_is_canonical(uint32_t type_oid) MUST_CHECK;

/* Hashes a value of such a type, starting from h. The hash is of its text, no matter in which
 * format the value came, since a replay may use the other. Returns false for a binary value that is
 * none of its type. */
bool hash_value(uint64_t *h, uint32_t type_oid, const struct value *value) MUST_CHECK;

#endif
