/* copydetail.c: see copydetail.h. */
#include "lib/copydetail.h"

/* ---- the note: [file, definition, done, resync], the last only if it is true ---- */

void
copydetail_state_encode(struct buf *buf, const struct copydetail_state *state)
{
    struct packer p = {.buf = buf};

    pack_array(&p, state->resync ? 4 : 3);
    pack_uint(&p, state->file);
    pack_cstr(&p, state->definition);
    pack_str(&p, state->done);
    if (state->resync)
        pack_bool(&p, true);
}

bool
copydetail_state_decode(struct bytes detail, struct copydetail_state *state)
{
    struct cursor c = cursor_over(detail.data, detail.len);
    uint32_t elements;

    state->resync = false;
    return mp_array(&c, &elements) && (elements == 3 || elements == 4) &&
           mp_uint32(&c, &state->file) &&
           mp_cstr(&c, state->definition, sizeof state->definition) && mp_str(&c, &state->done) &&
           (elements == 3 || mp_bool(&c, &state->resync)) && c.left == 0;
}

/* ---- a refusal: [message, hint] ---- */

void
copydetail_refusal_encode(struct buf *buf, const struct copydetail_refusal *refusal)
{
    struct packer p = {.buf = buf};

    pack_array(&p, 2);
    pack_cstr(&p, refusal->message);
    pack_cstr(&p, refusal->hint);
}

bool
copydetail_refusal_decode(struct bytes detail, struct copydetail_refusal *refusal)
{
    struct cursor c = cursor_over(detail.data, detail.len);
    uint32_t elements;

    return mp_array(&c, &elements) && elements == 2 &&
           mp_cstr(&c, refusal->message, sizeof refusal->message) &&
           mp_cstr(&c, refusal->hint, sizeof refusal->hint) && c.left == 0;
}

/* ---- keys, each [value, ...] ---- */

void
copydetail_key_add(struct buf *keys, const struct tuple *key)
{
    struct packer p = {.buf = keys};

    tuple_pack(&p, key);
}

bool
copydetail_key_next(struct cursor *keys, uint32_t columns, struct tuple *key,
                    struct value values[COLUMNS_MAX])
{
    if (!tuple_unpack(keys, key, values) || key->count != columns)
        return false;
    for (uint32_t i = 0; i < columns; i++)
        if (values[i].kind != VALUE_TEXT)
            return false;
    return true;
}
