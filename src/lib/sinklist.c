/* sinklist.c: see sinklist.h. An array of str. */
#include "lib/sinklist.h"

void
sinklist_pack(struct packer *p, const struct sinklist *list)
{
    pack_array(p, list->count);
    for (uint32_t i = 0; i < list->count; i++)
        pack_str(p, list->names[i]);
}

bool
sinklist_unpack(struct cursor *c, struct sinklist *list)
{
    uint32_t count;

    list->count = 0;
    if (!mp_array(c, &count) || count > WORKERS_MAX)
        return false;
    for (; list->count < count; list->count++) {
        struct bytes *name = &list->names[list->count];

        if (!mp_str(c, name) || name->len < 1 || name->len > NAME_MAX_BYTES)
            return false;
    }
    return true;
}

bool
sinklist_has(const struct sinklist *list, const char *name)
{
    size_t len = strlen(name);

    for (uint32_t i = 0; i < list->count; i++)
        if (list->names[i].len == len && memcmp(list->names[i].data, name, len) == 0)
            return true;
    return false;
}
