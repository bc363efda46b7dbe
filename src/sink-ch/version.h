/* version.h: the order of a key's rows, which is the version column as two halves. */
#ifndef WALPIPE_SINKCH_VERSION_H
#define WALPIPE_SINKCH_VERSION_H

#include "lib/base.h"

/* A UInt128 is (commit LSN, ordinal).
 *
 * A UInt64, kept in high, holds both too. LSNs are multiples of 4 (of 8 on most machines), and a
 * cluster that wrote 4 PiB of WAL has not been seen. So the version grows with each change of a
 * transaction up to the 16,383rd. Later ones share the last number and rely on their order of
 * arrival. */
struct version {
    uint64_t high, low;
};

#define SHORT_ORDINAL_BITS 14
#define SHORT_ORDINAL_LAST ((UINT64_C(1) << SHORT_ORDINAL_BITS) - 1)
#define SHORT_LSN_BITS     52

/* The LSN here is the place of a change among all histories whose rows the table holds. It is an
 * LSN of the source plus the offset of its history (mark.h). */
static inline bool
version_has_room(uint32_t width, uint64_t offset, uint64_t lsn)
{
    return offset <= UINT64_MAX - lsn && (width == 16 || (offset + lsn) >> SHORT_LSN_BITS == 0);
}

/* width is 8 or 16 bytes. */
static inline struct version
version_make(uint32_t width, uint64_t lsn, uint64_t ordinal)
{
    if (width == 16)
        return (struct version){.high = lsn, .low = ordinal};
    if (ordinal > SHORT_ORDINAL_LAST)
        ordinal = SHORT_ORDINAL_LAST;
    return (struct version){.high = (lsn >> 2) << SHORT_ORDINAL_BITS | ordinal};
}

/* True for the number that the last changes of a very large transaction share. */
static inline bool
version_is_shared(uint32_t width, struct version version)
{
    return width == 8 && (version.high & SHORT_ORDINAL_LAST) == SHORT_ORDINAL_LAST;
}

/* A version that was noted while the column may have had the other width. A long one's ordinal is
 * at least 1, so its low half tells them apart. */
static inline struct version
version_to_width(uint32_t width, struct version noted)
{
    if (width == 8 && noted.low != 0)
        return version_make(8, noted.high, noted.low);
    if (width == 16 && noted.low == 0)
        return (struct version){.high = noted.high >> SHORT_ORDINAL_BITS << 2,
                                .low = noted.high & SHORT_ORDINAL_LAST};
    return noted;
}

/* The LSN in a version, with the offset. */
static inline uint64_t
version_lsn(uint32_t width, struct version version)
{
    return width == 16 ? version.high : version.high >> SHORT_ORDINAL_BITS << 2;
}

static inline int
version_compare(struct version a, struct version b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return a.low < b.low ? -1 : a.low > b.low;
}

#endif
