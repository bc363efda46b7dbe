/* ending.c: see ending.h. */
#include "pg-table-read/ending.h"

#include "pg-table-read/settling.h"

static bool
all_rest(const struct copy *copy)
{
    for (const struct life *life = copy->lives.first; life != NULL; life = life->next)
        if (life->state != LIFE_COPIED && life->state != LIFE_UNPUBLISHED)
            return false;
    return true;
}

void
ending_answered(struct copy *copy)
{
    copy->all_have = copy->options->until_copied && all_rest(copy);
    copy->end_reach = 0;
}

int
ending_look(struct copy *copy, bool look, struct err *err)
{
    if (!copy->options->until_copied || copy->asking || copy->ask_again || copy->list_at == 0)
        return 0;
    if (!all_rest(copy)) {
        copy->all_have = false;
        return 0;
    }
    if (!copy->all_have) {
        copy->list_at = 0; /* tables may have come */
        copy->ask_again = true;
        return 0;
    }
    if (copy->end_reach == 0 && settling_reach(copy, &copy->end_reach, err) != 0)
        return -1;
    return look ? settling_reached(copy, copy->end_reach, err) : 0;
}
