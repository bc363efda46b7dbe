/* binary_drawing.c: PostgreSQL's binary format to its text format, for points and the types that
 * are drawn with them. The layouts are those of geo_ops.c in src/backend/utils/adt/ of
 * PostgreSQL. */
#include "sink-ch/convert/binary_drawing.h"

#include "lib/pgtype.h"
#include "sink-ch/convert/binary_scalar.h"

/* count numbers with commas between. */
static bool
put_numbers(struct cursor *c, uint32_t count, struct buf *out)
{
    bool known = true;

    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append(out, ",", 1);
        if (c->left < 8)
            return false;
        struct cursor number = cursor_over(c->at, 8);

        if (!convert_binary_scalar(&number, PG_FLOAT8, out, &known))
            return false;
        c->at += 8;
        c->left -= 8;
    }
    return true;
}

static bool
put_points(struct cursor *c, uint32_t count, const char *brackets, struct buf *out)
{
    buf_append(out, brackets, brackets[0] != ' ');
    for (uint32_t i = 0; i < count; i++) {
        buf_append(out, ",(", i > 0 ? 2 : 0);
        buf_append(out, "(", i == 0);
        if (!put_numbers(c, 2, out))
            return false;
        buf_append(out, ")", 1);
    }
    buf_append(out, brackets + 1, brackets[1] != ' ');
    return true;
}

bool
convert_binary_drawing(struct cursor *c, uint32_t oid, struct buf *out)
{
    uint8_t closed = 1;
    uint32_t count;

    switch (oid) {
    case PG_POINT:
        return put_points(c, 1, "  ", out);
    case PG_BOX:
        return put_points(c, 2, "  ", out);
    case PG_LSEG:
        return put_points(c, 2, "[]", out);
    case PG_LINE:
        buf_append(out, "{", 1);
        if (!put_numbers(c, 3, out))
            return false;
        buf_append(out, "}", 1);
        return true;
    case PG_CIRCLE:
        if (!put_points(c, 1, "< ", out))
            return false;
        buf_append(out, ",", 1);
        if (!put_numbers(c, 1, out))
            return false;
        buf_append(out, ">", 1);
        return true;
    default: /* path, polygon */
        if (oid == PG_PATH && (!cursor_u8(c, &closed) || closed > 1))
            return false;
        return cursor_u32(c, &count) && put_points(c, count, closed == 1 ? "()" : "[]", out);
    }
}
