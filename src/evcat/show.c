/* show.c: see show.h. Takes the names of columns from the relation events. Knows no pgoutput byte,
 * so a wal frame's message is shown as hex. */
#include "evcat/show.h"

#include <inttypes.h>
#include <stdlib.h>

#include "evcat/put.h"
#include "lib/tableinfo.h"
#include "lib/wal.h"

/* ---- hello and end ---- */

int
show_hello(struct show *s, const struct frame *frame, struct err *err)
{
    struct hello *h = calloc(1, sizeof *h);
    struct run_id_text run;
    struct json j;
    int result;

    if (h == NULL)
        return err_set(err, EXIT_PEER, "out of memory for the hello frame");
    s->wal = hello_decode(frame, "wal", h, err) == 0;
    result = s->wal ? 0 : hello_decode_copy(frame, h, err);
    if (result == 0) {
        run = run_id_format(&h->run_id);
        put_begin(s->out, &j, "hello");
        json_cstr(&j, "stream", h->stream);
        json_uint(&j, "version", h->version);
        json_cstr(&j, "program", h->program);
        json_cstr(&j, "run_id", run.text);
        json_uint_text(&j, "system_identifier", h->system_identifier);
        json_uint(&j, "timeline", h->timeline);
        json_cstr(&j, "database", h->database);
        json_cstr(&j, "slot", h->slot);
        json_open_member(&j, "publications", '[');
        for (uint32_t i = 0; i < h->publications_count; i++)
            json_cstr(&j, NULL, h->publications[i]);
        json_close(&j, ']');
        json_uint(&j, "server_version", h->server_version);
        json_uint(&j, "proto_version", h->proto_version);
        json_lsn(&j, "start_lsn", h->start_lsn);
        if (h->previous_timeline != 0) {
            json_uint(&j, "previous_timeline", h->previous_timeline);
            json_lsn(&j, "switch_lsn", h->switch_lsn);
        }
        if (h->sink[0] != '\0') {
            json_cstr(&j, "sink", h->sink);
            json_uint(&j, "shard", h->shard);
            json_uint(&j, "shards", h->shards);
        }
        put_end(&j);
        s->greeted = true;
        s->copies = h->version >= STREAM_VERSION_COPY;
    }
    free(h);
    return result;
}

static bool
show_end(struct show *s, struct cursor *body, uint32_t elements)
{
    char reason[32];
    struct json j;

    if (!end_decode(body, elements, reason))
        return false;
    put_begin(s->out, &j, "end");
    json_cstr(&j, "reason", reason);
    put_end(&j);
    s->ended = true;
    return true;
}

/* ---- wal stream ---- */

static bool
show_wal(struct show *s, struct cursor *body, uint32_t elements)
{
    struct wal_frame wal;
    struct json j;
    char tag[2] = "";

    if (!wal_decode(body, elements, &wal))
        return false;
    put_begin(s->out, &j, "wal");
    json_lsn(&j, "start_lsn", wal.start_lsn);
    json_lsn(&j, "end_lsn", wal.end_lsn);
    json_time(&j, "send_time", wal.send_time);
    if (wal.message.len > 0)
        tag[0] = (char)wal.message.data[0];
    json_cstr(&j, "tag", tag);
    json_uint(&j, "bytes", wal.message.len);
    json_hex(&j, "message", wal.message);
    put_end(&j);
    return true;
}

static bool
show_keepalive(struct show *s, struct cursor *body, uint32_t elements)
{
    struct keepalive_frame keepalive;
    struct json j;

    if (!keepalive_decode(body, elements, &keepalive))
        return false;
    put_begin(s->out, &j, "keepalive");
    json_lsn(&j, "wal_end", keepalive.wal_end);
    json_time(&j, "send_time", keepalive.send_time);
    put_end(&j);
    return true;
}

/* ---- relations ---- */

static void
free_relation(struct relation *relation)
{
    if (relation != NULL)
        relation_free(relation);
    free(relation);
}

static void
put_relation_line(struct show *s, const struct relation *r)
{
    struct json j;

    put_begin(s->out, &j, "relation");
    put_relation(&j, r);
    put_end(&j);
}

static int
show_relation(struct show *s, struct cursor *body, uint32_t elements, struct err *err)
{
    struct relation *relation = calloc(1, sizeof *relation);
    void *replaced = NULL;

    if (relation == NULL)
        return err_set(err, EXIT_PEER, "out of memory for a relation");
    if (relation_decode(body, elements, relation, err) != 0) {
        free(relation);
        return -1;
    }
    put_relation_line(s, relation);
    if (relmap_put(&s->tables, relation->relid, relation, &replaced) != 0) {
        free_relation(relation);
        return err_set(err, EXIT_PEER, "out of memory for a relation");
    }
    free_relation(replaced);
    return 0;
}

static void
put_key(struct json *j, const char *name, const struct tableinfo_key *key)
{
    json_open_member(j, name, '[');
    for (uint32_t i = 0; i < key->count; i++)
        json_uint(j, NULL, key->attnums[i]);
    json_close(j, ']');
}

static void
put_tableinfo(struct show *s, const struct tableinfo *info)
{
    char identity[2] = {info->replica_identity, '\0'};
    struct json j;

    put_begin(s->out, &j, "tableinfo");
    json_uint(&j, "relid", info->relid);
    json_lsn(&j, "lsn", info->lsn);
    json_cstr(&j, "replica_identity", identity);
    json_cstr(&j, "schema", info->schema);
    json_cstr(&j, "name", info->name);
    put_key(&j, "primary_key", &info->primary);
    put_key(&j, "identity_key", &info->identity);
    json_open_member(&j, "columns", '[');
    for (uint32_t i = 0; i < info->columns_count; i++) {
        const struct tableinfo_column *column = &info->columns[i];

        json_open_member(&j, NULL, '{');
        json_uint(&j, "attnum", column->attnum);
        json_cstr(&j, "name", column->name);
        json_uint(&j, "type_oid", column->type_oid);
        json_int(&j, "typmod", column->typmod);
        json_bool(&j, "not_null", column->not_null);
        json_bool(&j, "has_default", column->has_default);
        if (column->missing != NULL)
            json_cstr(&j, "missing", column->missing);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    put_end(&j);
}

static int
show_tableinfo(struct show *s, struct cursor *body, uint32_t elements, struct err *err)
{
    struct tableinfo info;

    if (tableinfo_decode(body, elements, &info, err) != 0)
        return -1;
    put_tableinfo(s, &info);
    tableinfo_free(&info);
    return 0;
}

/* ---- changes ---- */

static bool
show_row(struct show *s, uint8_t type, struct cursor *body, uint32_t elements)
{
    static const char *const names[] = {
        [FRAME_INSERT] = "insert", [FRAME_UPDATE] = "update", [FRAME_DELETE] = "delete"};
    struct row_event *row = &s->row;
    const struct relation *relation;
    struct json j;

    if (!row_decode(body, type, elements, row, &s->values))
        return false;
    relation = relmap_get(&s->tables, row->header.relid);
    put_begin(s->out, &j, names[type]);
    put_table(&j, "relation", &s->tables, row->header.relid);
    json_uint(&j, "ordinal", row->header.ordinal);
    json_name(&j, "key_hash");
    fprintf(s->out, "\"%016" PRIx64 "\"", row->header.key_hash);
    if (row->header.old_key_hash != row->header.key_hash) {
        json_name(&j, "old_key_hash");
        fprintf(s->out, "\"%016" PRIx64 "\"", row->header.old_key_hash);
    }
    if (row->old_kind != OLD_NONE)
        put_tuple(&j, row->old_kind == OLD_KEY ? "old_key" : "old", relation, &row->old_row,
                  row->old_kind == OLD_KEY);
    if (type != FRAME_DELETE)
        put_tuple(&j, "new", relation, &row->new_row, false);
    put_end(&j);
    return true;
}

static int
show_truncate(struct show *s, struct cursor *body, uint32_t elements, struct err *err)
{
    struct truncate_event truncate;
    struct json j;

    if (truncate_decode(body, elements, &truncate, err) != 0)
        return -1;
    put_begin(s->out, &j, "truncate");
    json_uint(&j, "ordinal", truncate.ordinal);
    json_bool(&j, "cascade", (truncate.flags & TRUNCATE_CASCADE) != 0);
    json_bool(&j, "restart_identity", (truncate.flags & TRUNCATE_RESTART_IDENTITY) != 0);
    json_open_member(&j, "relations", '[');
    for (uint32_t i = 0; i < truncate.count; i++)
        put_table(&j, NULL, &s->tables, truncate.relids[i]);
    json_close(&j, ']');
    put_end(&j);
    free(truncate.relids);
    return 0;
}

static bool
show_message(struct show *s, struct cursor *body, uint32_t elements)
{
    struct message_event message;
    struct json j;

    if (!message_decode(body, elements, &message))
        return false;
    put_begin(s->out, &j, "message");
    json_bool(&j, "transactional", message.transactional);
    json_lsn(&j, "lsn", message.lsn);
    json_string(&j, "prefix", message.prefix);
    json_hex(&j, "content", message.content);
    put_end(&j);
    return true;
}

/* ---- transactions ---- */

static bool
show_begin(struct show *s, struct cursor *body, uint32_t elements)
{
    struct begin_event begin;
    struct json j;

    if (!begin_decode(body, elements, &begin))
        return false;
    put_begin(s->out, &j, "begin");
    json_lsn(&j, "commit_lsn", begin.commit_lsn);
    json_time(&j, "commit_time", begin.commit_time);
    json_uint(&j, "xid", begin.xid);
    put_end(&j);
    return true;
}

static bool
show_origin(struct show *s, struct cursor *body, uint32_t elements)
{
    struct origin_event origin;
    struct json j;

    if (!origin_decode(body, elements, &origin))
        return false;
    put_begin(s->out, &j, "origin");
    json_lsn(&j, "origin_lsn", origin.origin_lsn);
    json_string(&j, "name", origin.name);
    put_end(&j);
    return true;
}

static bool
show_commit(struct show *s, struct cursor *body, uint32_t elements)
{
    struct commit_event commit;
    struct json j;

    if (!commit_decode(body, elements, &commit))
        return false;
    put_begin(s->out, &j, "commit");
    json_lsn(&j, "commit_lsn", commit.commit_lsn);
    json_lsn(&j, "end_lsn", commit.end_lsn);
    json_time(&j, "commit_time", commit.commit_time);
    json_uint(&j, "events", commit.events);
    put_end(&j);
    return true;
}

static bool
show_watermark(struct show *s, struct cursor *body, uint32_t elements)
{
    uint64_t lsn;
    struct json j;

    if (!watermark_decode(body, elements, &lsn))
        return false;
    put_begin(s->out, &j, "watermark");
    json_lsn(&j, "lsn", lsn);
    put_end(&j);
    return true;
}

static bool
show_layout(struct show *s, struct cursor *body, uint32_t elements)
{
    struct bytes text;
    struct json j;

    if (!layout_decode(body, elements, &text))
        return false;
    put_begin(s->out, &j, "layout");
    json_string(&j, "text", text);
    put_end(&j);
    return true;
}

static bool
show_left_out(struct show *s, struct cursor *body, uint32_t elements)
{
    uint32_t relid;
    struct json j;

    if (!left_out_decode(body, elements, &relid))
        return false;
    put_begin(s->out, &j, "left_out");
    json_uint(&j, "relid", relid);
    put_end(&j);
    return true;
}

static bool
show_barrier(struct show *s, struct cursor *body, uint32_t elements)
{
    struct barrier_event barrier;
    struct json j;

    if (!barrier_decode(body, elements, &barrier))
        return false;
    put_begin(s->out, &j, "barrier");
    json_uint(&j, "id", barrier.id);
    json_uint(&j, "applier", barrier.applier);
    put_end(&j);
    return true;
}

/* ---- dispatch ---- */

static int
malformed(uint8_t type, struct err *err)
{
    return err_set(err, EXIT_REFUSED, "malformed frame of type %u", type);
}

static int
show_event(struct show *s, uint8_t type, struct cursor *body, uint32_t elements, struct err *err)
{
    bool ok;

    switch (type) {
    case FRAME_RELATION:
        return show_relation(s, body, elements, err);
    case FRAME_TABLEINFO:
        return show_tableinfo(s, body, elements, err);
    case FRAME_TRUNCATE:
        return show_truncate(s, body, elements, err);
    case FRAME_INSERT:
    case FRAME_UPDATE:
    case FRAME_DELETE:
        ok = show_row(s, type, body, elements);
        break;
    case FRAME_BEGIN:
        ok = show_begin(s, body, elements);
        break;
    case FRAME_ORIGIN:
        ok = show_origin(s, body, elements);
        break;
    case FRAME_COMMIT:
        ok = show_commit(s, body, elements);
        break;
    case FRAME_MESSAGE:
        ok = show_message(s, body, elements);
        break;
    case FRAME_WATERMARK:
        ok = show_watermark(s, body, elements);
        break;
    case FRAME_BARRIER:
        ok = show_barrier(s, body, elements);
        break;
    case FRAME_LEFT_OUT:
        ok = show_left_out(s, body, elements);
        break;
    case FRAME_LAYOUT:
        ok = show_layout(s, body, elements);
        break;
    default:
        if (s->copies)
            return copied_show(&s->copied, s->out, &s->tables, type, body, elements, err);
        return err_set(err, EXIT_REFUSED, "unknown frame type %u in the event stream", type);
    }
    return ok ? 0 : malformed(type, err);
}

int
show_frame(struct show *s, const struct frame *frame, struct err *err)
{
    struct cursor body = frame->body;
    uint32_t elements;
    uint8_t type;

    if (!frame_type(&body, &type, &elements))
        return err_set(err, EXIT_REFUSED, "malformed frame");
    if (s->ended)
        return err_set(err, EXIT_REFUSED, "a frame of type %u follows the end frame", type);
    if (type == FRAME_END)
        return show_end(s, &body, elements) ? 0 : malformed(type, err);
    if (!s->wal)
        return show_event(s, type, &body, elements, err);
    if (type == FRAME_WAL)
        return show_wal(s, &body, elements) ? 0 : malformed(type, err);
    if (type == FRAME_WAL_TABLEINFO)
        return show_tableinfo(s, &body, elements, err);
    if (type == FRAME_KEEPALIVE)
        return show_keepalive(s, &body, elements) ? 0 : malformed(type, err);
    return err_set(err, EXIT_REFUSED, "unknown frame type %u in the wal stream", type);
}

void
show_free(struct show *s)
{
    size_t at = 0;
    struct relation *relation;

    while ((relation = relmap_next(&s->tables, &at)) != NULL)
        free_relation(relation);
    relmap_free(&s->tables);
    copied_free(&s->copied);
}
