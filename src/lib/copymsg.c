/* copymsg.c: see copymsg.h; the layouts are in docs/ack.7. */
#include "lib/copymsg.h"

static bool
read_opaque(struct cursor *c, struct bytes *out)
{
    return mp_bin(c, out) && out->len <= COPYMSG_OPAQUE_MAX;
}

void
copy_hello_pack(struct packer *p, const struct copy_hello *h)
{
    pack_cstr(p, h->program);
}

bool
copy_hello_read(struct cursor *c, struct copy_hello *h)
{
    return mp_cstr(c, h->program, sizeof h->program);
}

void
copy_ask_pack(struct packer *p, const struct copy_ask *a)
{
    pack_uint(p, a->life);
    sinklist_pack(p, &a->sinks);
}

bool
copy_ask_read(struct cursor *c, struct copy_ask *a)
{
    return mp_uint(c, &a->life) && sinklist_unpack(c, &a->sinks);
}

void
table_state_pack(struct packer *p, const struct table_state *s)
{
    const char want[] = {(char)s->want, '\0'};

    pack_uint(p, s->life);
    pack_uint(p, s->relid);
    pack_uint(p, s->part);
    pack_cstr(p, want);
    pack_bool(p, s->last);
    pack_bin(p, s->detail);
}

bool
table_state_read(struct cursor *c, struct table_state *s)
{
    char want[2];

    if (!mp_uint(c, &s->life) || !mp_uint32(c, &s->relid) || !mp_uint32(c, &s->part) ||
        !mp_cstr(c, want, sizeof want) || !mp_bool(c, &s->last) || !read_opaque(c, &s->detail))
        return false;
    s->want = (enum table_want)want[0];
    return want[0] == TABLE_WANT || want[0] == TABLE_HAVE || want[0] == TABLE_REFUSE ||
           want[0] == TABLE_KEEP;
}

void
range_copied_pack(struct packer *p, const struct range_copied *r)
{
    pack_uint(p, r->life);
    pack_uint(p, r->number);
    pack_bool(p, r->written);
}

bool
range_copied_read(struct cursor *c, struct range_copied *r)
{
    return mp_uint(c, &r->life) && mp_uint(c, &r->number) && mp_bool(c, &r->written);
}

void
keys_missing_pack(struct packer *p, const struct keys_missing *m)
{
    pack_uint(p, m->life);
    pack_bin(p, m->keys);
}

bool
keys_missing_read(struct cursor *c, struct keys_missing *m)
{
    return mp_uint(c, &m->life) && read_opaque(c, &m->keys);
}

void
copy_counts_pack(struct packer *p, const struct copy_counts *n)
{
    pack_uint(p, n->waiting);
    pack_uint(p, n->copying);
    pack_uint(p, n->resync);
    pack_uint(p, n->parked);
    pack_uint(p, n->streaming);
    pack_uint(p, n->rows);
    pack_uint(p, n->bytes);
}

bool
copy_counts_read(struct cursor *c, struct copy_counts *n)
{
    return mp_uint(c, &n->waiting) && mp_uint(c, &n->copying) && mp_uint(c, &n->resync) &&
           mp_uint(c, &n->parked) && mp_uint(c, &n->streaming) && mp_uint(c, &n->rows) &&
           mp_uint(c, &n->bytes);
}

void
copy_relayed_pack(struct packer *p, const struct copy_relayed *r)
{
    pack_cstr(p, r->sink);
    pack_uint(p, r->shard);
    pack_bin(p, r->message);
}

bool
copy_relayed_read(struct cursor *c, struct copy_relayed *r)
{
    return mp_cstr(c, r->sink, sizeof r->sink) && mp_uint32(c, &r->shard) && mp_bin(c, &r->message);
}

void
copy_answered_pack(struct packer *p, const struct copy_answered *a)
{
    pack_uint(p, a->life);
    pack_uint(p, a->workers);
}

bool
copy_answered_read(struct cursor *c, struct copy_answered *a)
{
    return mp_uint(c, &a->life) && mp_uint(c, &a->workers);
}

void
copy_control_pack(struct packer *p, const struct copy_control *m)
{
    pack_uint(p, m->number);
    pack_cstr(p, m->verb);
    pack_cstr(p, m->sink);
    pack_cstr(p, m->schema);
    pack_cstr(p, m->name);
}

bool
copy_control_read(struct cursor *c, struct copy_control *m)
{
    return mp_uint(c, &m->number) && mp_cstr(c, m->verb, sizeof m->verb) &&
           mp_cstr(c, m->sink, sizeof m->sink) && mp_cstr(c, m->schema, sizeof m->schema) &&
           mp_cstr(c, m->name, sizeof m->name);
}

void
copy_controlled_pack(struct packer *p, const struct copy_controlled *m)
{
    pack_uint(p, m->number);
    pack_bool(p, m->accepted);
    pack_cstr(p, m->message);
    pack_cstr(p, m->hint);
}

bool
copy_controlled_read(struct cursor *c, struct copy_controlled *m)
{
    return mp_uint(c, &m->number) && mp_bool(c, &m->accepted) &&
           mp_cstr(c, m->message, sizeof m->message) && mp_cstr(c, m->hint, sizeof m->hint);
}
