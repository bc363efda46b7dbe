/* recode.c: text values in binary format. The first byte chooses the type.
 * links: sink-pg/recode lib/moment lib/buf lib/err */
#include "sink-pg/recode.h"

#include "input.h"

/* The length is that of the following bytes. Integers print as the text that they were. */
static void
look_at(const struct buf *out, enum recode way, struct bytes text)
{
    static const uint32_t widths[] = {
        [RECODE_BOOL] = 1,      [RECODE_INT2] = 2,   [RECODE_INT4] = 4, [RECODE_INT8] = 8,
        [RECODE_OID] = 4,       [RECODE_FLOAT4] = 4, [RECODE_DATE] = 4, [RECODE_FLOAT8] = 8,
        [RECODE_TIMESTAMP] = 8, [RECODE_UUID] = 16};
    const uint8_t *at = out->data + 1;
    uint32_t len = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    int64_t n = 0;

    require(buf_len(out) == 1 + 4 + (size_t)len);
    if (way == RECODE_NUMERIC)
        require(len >= 8 && len == 8u + 2u * (uint32_t)(at[4] << 8 | at[5]));
    else
        require(len == widths[way]);
    if (way != RECODE_INT2 && way != RECODE_INT4 && way != RECODE_INT8)
        return;
    for (uint32_t i = 0; i < len; i++)
        n = (int64_t)((uint64_t)n << 8 | at[4 + i]);
    n = (int64_t)((uint64_t)n << (64 - 8 * len)) >> (64 - 8 * len);
    require((n < 0) == (text.data[0] == '-' && n != 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum recode ways[] = {RECODE_BOOL, RECODE_INT2,      RECODE_INT4,   RECODE_INT8,
                                       RECODE_OID,  RECODE_FLOAT4,    RECODE_FLOAT8, RECODE_NUMERIC,
                                       RECODE_DATE, RECODE_TIMESTAMP, RECODE_UUID};
    struct buf out = {0};
    struct bytes text = {.data = data + 1, .len = size - 1};
    enum recode way;

    if (size == 0)
        return 0;
    way = ways[data[0] % (sizeof ways / sizeof *ways)];
    buf_append(&out, "x", 1);
    if (recode_small(&out, way, text))
        look_at(&out, way, text);
    else
        require(buf_len(&out) == 1);
    if (!recode_hex(&out, text))
        require(buf_len(&out) >= 1);
    buf_free(&out);
    return 0;
}
