/* touched.c: see touched.h. */
#include "route/touched.h"

#include "lib/copyevent.h"

int
touched_by_row(const struct tables *tables, const struct row_frame *row, struct row_values *values,
               struct buf *out, struct err *err)
{
    struct touched_event touched = {.relid = row->header.relid, .ordinal = row->header.ordinal};
    struct cursor rest = row->rest;
    struct row_event event;

    if (!tables_lived(tables, touched.relid))
        return 0;
    if (!row_decode_rest(&rest, row->type, row->elements, &event, values))
        return err_set(err, EXIT_REFUSED, "malformed frame of type %u in the event stream",
                       row->type);
    touched.key = event.old_kind != OLD_NONE ? event.old_row : event.new_row;
    return touched_encode(out, &touched) == 0
               ? 0
               : err_set(err, EXIT_PEER, "out of memory for a worker's queue");
}

int
touched_by_truncate(const struct tables *tables, const struct truncate_event *truncate,
                    struct buf *out)
{
    for (uint32_t i = 0; i < truncate->count; i++) {
        const struct touched_event touched = {
            .relid = truncate->relids[i], .ordinal = truncate->ordinal, .whole = true};

        if (tables_lived(tables, touched.relid) && touched_encode(out, &touched) != 0)
            return -1;
    }
    return 0;
}
