/* noterows.c: see noterows.h. */
#include "sink-ch/noterows.h"

#include <stdlib.h>

static const char columns[] = "relid, part, shard, schema, name, state, l0, file, definition, "
                              "done, rows, layout, target, keyless, version";
static const char types[] =
    "relid UInt32, part UInt32, shard UInt32, schema String, name String, state String, "
    "l0 UInt64, file UInt32, definition String, done String, rows UInt64, layout UInt64, "
    "target String, keyless UInt8";
static const char key[] = "relid, part, shard";

const char noterows_gone[] = "gone";

static void
free_note(struct note *note)
{
    spans_free(&note->part.done);
    free(note->target);
}

void
notes_free(struct notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        free_note(&notes->list[i]);
    free(notes->list);
    *notes = (struct notes){0};
}

static int
take_target(struct note *note, struct bytes target, struct err *err)
{
    note->target = strndup((const char *)target.data, target.len);
    return note->target != NULL ? 0 : err_set(err, EXIT_PEER, "out of memory for a table's name");
}

static int
take_note(struct cursor *c, struct note *note, uint64_t *version, struct err *err)
{
    struct copypart *part = &note->part;
    struct bytes done, target;
    uint64_t keyless;
    char state[16];

    *note = (struct note){0};
    if (notetable_take_uint32(c, &part->relid) && notetable_take_uint32(c, &part->part) &&
        notetable_take_uint32(c, &note->shard) &&
        notetable_take_text(c, part->schema, sizeof part->schema) &&
        notetable_take_text(c, part->name, sizeof part->name) &&
        notetable_take_text(c, state, sizeof state) && notetable_take_number(c, 8, &part->l0) &&
        notetable_take_uint32(c, &part->file) &&
        notetable_take_text(c, part->definition, sizeof part->definition) &&
        server_read_string(c, &done) && notetable_take_number(c, 8, &part->rows) &&
        notetable_take_number(c, 8, &note->layout) && server_read_string(c, &target) &&
        notetable_take_number(c, 1, &keyless) && notetable_take_number(c, 8, version)) {
        part->keyless = keyless != 0;
        part->gone = strcmp(state, noterows_gone) == 0;
        if (part->gone || copyparts_read_state(state, part))
            return take_target(note, target, err) == 0 ? spans_parse(&part->done, done, err) : -1;
    }
    return err_set(err, EXIT_REFUSED, "cannot read the rows of " NOTETABLE_TABLES);
}

static int
add_note(struct notes *notes, const struct note *note, struct err *err)
{
    struct note *more = notes->list;

    if ((notes->count & (notes->count - 1)) == 0)
        more =
            realloc(notes->list, (notes->count == 0 ? 1 : 2 * notes->count) * sizeof *notes->list);
    if (more == NULL)
        return err_set(err, EXIT_PEER, "out of memory for the tables that are copied");
    notes->list = more;
    notes->list[notes->count++] = *note;
    return 0;
}

/* An older walpipe made the table without. */
int
noterows_add_columns(const struct noterows *r, struct err *err)
{
    return notetable_add_column(&r->table, NOTETABLE_TABLES, "target", "String", err) == 0
               ? notetable_add_column(&r->table, NOTETABLE_TABLES, "keyless", "UInt8", err)
               : -1;
}

int
noterows_make(const struct noterows *r, struct err *err)
{
    return notetable_make(&r->table, NOTETABLE_TABLES, types, key, err) == 0
               ? noterows_add_columns(r, err)
               : -1;
}

int
noterows_read(struct noterows *r, struct notes *notes, struct err *err)
{
    struct server *server = r->table.server;
    struct buf sql = {0};
    struct cursor c;

    server_put_text(&sql, "SELECT ");
    server_put_text(&sql, columns);
    notetable_put_from(&r->table, NOTETABLE_TABLES, &sql);
    server_put_text(&sql, " ORDER BY relid, part, shard FORMAT RowBinary");
    if (server_query(server, "read " NOTETABLE_TABLES, &sql, err) != 0)
        return -1;
    c = cursor_over(server->answer.body.data + server->answer.body.start,
                    buf_len(&server->answer.body));
    while (c.left > 0) {
        struct note note;
        uint64_t version;

        if (take_note(&c, &note, &version, err) != 0) {
            free_note(&note);
            return -1;
        }
        if (version > r->version)
            r->version = version;
        if (!note.part.gone && add_note(notes, &note, err) == 0)
            continue;
        free_note(&note);
        if (!note.part.gone)
            return -1;
    }
    return 0;
}

void
noterows_put(struct noterows *r, const struct note *note, const char *state)
{
    const struct copypart *part = &note->part;
    struct buf *rows = &r->rows, done = {0};

    spans_print(&part->done, &done);
    notetable_begin_row(&r->table, rows);
    notetable_add_number(rows, part->relid, 4);
    notetable_add_number(rows, part->part, 4);
    notetable_add_number(rows, note->shard, 4);
    notetable_add_cstr(rows, part->schema);
    notetable_add_cstr(rows, part->name);
    notetable_add_cstr(rows, state);
    notetable_add_number(rows, part->l0, 8);
    notetable_add_number(rows, part->file, 4);
    notetable_add_cstr(rows, part->definition);
    notetable_add(rows, (struct bytes){.data = done.data + done.start, .len = buf_len(&done)});
    notetable_add_number(rows, part->rows, 8);
    notetable_add_number(rows, note->layout, 8);
    notetable_add_cstr(rows, note->target);
    notetable_add_number(rows, part->keyless, 1);
    notetable_add_number(rows, r->version, 8);
    rows->failed = rows->failed || done.failed;
    buf_free(&done);
}

int
noterows_write(struct noterows *r, struct err *err)
{
    return notetable_insert(&r->table, NOTETABLE_TABLES, columns, &r->rows, err);
}
