/* ackmsg.c: see ackmsg.h. The layouts are in docs/ack.7. */
#include "lib/ackmsg.h"

/* They are complete without the last ones, which are standby, timeline, version and position, the
 * schema changes, the commit times, and whether the target has the position. */
#define SOURCE_ELEMENTS       12
#define REGISTER_ELEMENTS     10
#define REGISTER_ELEMENTS_MIN 7
#define DIFFERENCES_ELEMENTS  7
#define RECEIVED_ELEMENTS     5
#define REACHED_ELEMENTS      8
#define REACHED_ELEMENTS_MIN  6

/* ---- encode ---- */

/* Elements of each message's array, which are type, run id and the fields. 0 if there is no such
 * message. */
static uint32_t
message_elements(enum ack_type type)
{
    switch (type) {
    case ACK_SOURCE:
    case ACK_RUN:
        return SOURCE_ELEMENTS;
    case ACK_RECEIVED:
        return RECEIVED_ELEMENTS;
    case ACK_SLOT:
        return 9;
    case ACK_COPY_COUNTS:
        return 2 + COPY_COUNTS_ELEMENTS;
    case ACK_REGISTER:
        return REGISTER_ELEMENTS;
    case ACK_DIFFERENCES:
        return DIFFERENCES_ELEMENTS;
    case ACK_CONTROL:
        return 7;
    case ACK_TABLE_STATE:
    case ACK_TABLE_COUNTS:
        return 8;
    case ACK_REACHED:
        return REACHED_ELEMENTS;
    case ACK_CONTROLLED:
        return 6;
    case ACK_COPIED:
    case ACK_RELAYED:
        return 5;
    case ACK_WAITING:
    case ACK_TARGET:
    case ACK_BARRIER_REACHED:
    case ACK_REFUSED:
    case ACK_ASK:
    case ACK_MISSING:
    case ACK_ANSWERED:
    case ACK_LACKS:
        return 4;
    case ACK_BARRIER_DONE:
    case ACK_GO:
    case ACK_FEEDBACK:
    case ACK_STATUS:
    case ACK_COPIER:
        return 3;
    case ACK_DRAINING:
    case ACK_FINISHED:
    case ACK_STATUS_REQUEST:
    case ACK_ACCEPTED:
    case ACK_DRAINED:
        return 2;
    }
    return 0;
}

static void
pack_source(struct packer *p, const struct ack_source *s)
{
    pack_uint(p, s->system_identifier);
    pack_uint(p, s->timeline);
    pack_cstr(p, s->database);
    pack_cstr(p, s->slot);
    pack_uint(p, s->server_version);
    pack_uint(p, s->confirmed_lsn);
    pack_uint(p, s->wal_sender_timeout_ms);
    pack_uint(p, s->previous_timeline);
    pack_uint(p, s->switch_lsn);
}

static bool
read_source(struct cursor *c, struct ack_source *s)
{
    return mp_uint(c, &s->system_identifier) && mp_uint32(c, &s->timeline) &&
           mp_cstr(c, s->database, sizeof s->database) && mp_cstr(c, s->slot, sizeof s->slot) &&
           mp_uint32(c, &s->server_version) && mp_uint(c, &s->confirmed_lsn) &&
           mp_uint32(c, &s->wal_sender_timeout_ms) && mp_uint32(c, &s->previous_timeline) &&
           mp_uint(c, &s->switch_lsn);
}

static void
pack_slot(struct packer *p, const struct ack_slot *s)
{
    pack_uint(p, s->current_lsn);
    pack_uint(p, s->restart_lsn);
    pack_uint(p, s->retained_bytes);
    pack_cstr(p, s->wal_status);
    pack_int(p, s->safe_wal_size);
    pack_uint(p, s->xmin_age);
    pack_bool(p, s->output_full);
}

static bool
read_slot(struct cursor *c, struct ack_slot *s)
{
    return mp_uint(c, &s->current_lsn) && mp_uint(c, &s->restart_lsn) &&
           mp_uint(c, &s->retained_bytes) && mp_cstr(c, s->wal_status, sizeof s->wal_status) &&
           mp_int(c, &s->safe_wal_size) && mp_uint(c, &s->xmin_age) && mp_bool(c, &s->output_full);
}

static void
pack_waiting(struct packer *p, const struct ack_waiting *w)
{
    pack_bool(p, w->standby);
    pack_cstr(p, w->message);
}

static bool
read_waiting(struct cursor *c, struct ack_waiting *w)
{
    return mp_bool(c, &w->standby) && mp_cstr(c, w->message, sizeof w->message);
}

static void
pack_register(struct packer *p, const struct ack_register *r)
{
    pack_cstr(p, r->program);
    pack_cstr(p, r->sink);
    pack_uint(p, r->shard);
    pack_uint(p, r->shards);
    pack_uint(p, r->durable_lsn);
    pack_uint(p, r->timeline);
    pack_uint(p, r->version == 0 ? STREAM_VERSION : r->version);
    pack_uint(p, r->position);
}

static bool
read_register(struct cursor *c, uint32_t elements, struct ack_register *r)
{
    r->timeline = 0;
    r->version = STREAM_VERSION;
    r->position = ACK_POSITION_UNKNOWN;
    return mp_cstr(c, r->program, sizeof r->program) && mp_cstr(c, r->sink, sizeof r->sink) &&
           mp_uint32(c, &r->shard) && mp_uint32(c, &r->shards) && mp_uint(c, &r->durable_lsn) &&
           (elements <= REGISTER_ELEMENTS_MIN || mp_uint32(c, &r->timeline)) &&
           (elements < REGISTER_ELEMENTS - 1 || mp_uint32(c, &r->version)) &&
           (elements < REGISTER_ELEMENTS || mp_uint32(c, &r->position)) &&
           r->position <= ACK_POSITION_NONE;
}

static void
pack_reached(struct packer *p, const struct ack_reached *r)
{
    pack_uint(p, r->lsn);
    pack_uint(p, r->events);
    pack_uint(p, r->batch_rows);
    pack_uint(p, r->flush_micros);
    pack_int(p, r->commit_time);
    pack_bool(p, r->kept);
}

static bool
read_reached(struct cursor *c, uint32_t elements, struct ack_reached *r)
{
    r->commit_time = 0;
    r->kept = false;
    return mp_uint(c, &r->lsn) && mp_uint(c, &r->events) && mp_uint(c, &r->batch_rows) &&
           mp_uint(c, &r->flush_micros) &&
           (elements <= REACHED_ELEMENTS_MIN || mp_int(c, &r->commit_time)) &&
           (elements < REACHED_ELEMENTS || mp_bool(c, &r->kept));
}

static void
pack_differences(struct packer *p, const struct ack_differences *d)
{
    pack_cstr(p, d->relation);
    pack_uint(p, d->updates_missing);
    pack_uint(p, d->deletes_missing);
    pack_uint(p, d->inserts_existing);
    pack_uint(p, d->schema_changes);
}

static bool
read_differences(struct cursor *c, uint32_t elements, struct ack_differences *d)
{
    d->schema_changes = 0;
    return mp_cstr(c, d->relation, sizeof d->relation) && mp_uint(c, &d->updates_missing) &&
           mp_uint(c, &d->deletes_missing) && mp_uint(c, &d->inserts_existing) &&
           (elements < DIFFERENCES_ELEMENTS || mp_uint(c, &d->schema_changes));
}

static void
pack_table_counts(struct packer *p, const struct ack_table_counts *t)
{
    pack_cstr(p, t->table);
    pack_cstr(p, t->state);
    pack_uint(p, t->inserts);
    pack_uint(p, t->updates);
    pack_uint(p, t->deletes);
    pack_uint(p, t->truncates);
}

static bool
read_table_counts(struct cursor *c, struct ack_table_counts *t)
{
    return mp_cstr(c, t->table, sizeof t->table) && mp_cstr(c, t->state, sizeof t->state) &&
           mp_uint(c, &t->inserts) && mp_uint(c, &t->updates) && mp_uint(c, &t->deletes) &&
           mp_uint(c, &t->truncates);
}

static void
pack_lacks(struct packer *p, const struct ack_lacks *l)
{
    pack_uint(p, l->tables);
    pack_uint(p, l->changes);
}

static bool
read_lacks(struct cursor *c, struct ack_lacks *l)
{
    return mp_uint(c, &l->tables) && mp_uint(c, &l->changes);
}

static void
pack_received(struct packer *p, const struct ack_received *r)
{
    pack_uint(p, r->lsn);
    pack_bool(p, r->reply_requested);
    pack_int(p, r->commit_time);
}

static bool
read_received(struct cursor *c, uint32_t elements, struct ack_received *r)
{
    r->commit_time = 0;
    return mp_uint(c, &r->lsn) && mp_bool(c, &r->reply_requested) &&
           (elements < RECEIVED_ELEMENTS || mp_int(c, &r->commit_time));
}

static void
pack_target(struct packer *p, const struct ack_target *t)
{
    pack_bool(p, t->alive);
    pack_cstr(p, t->message);
}

static void
pack_refusal(struct packer *p, const struct ack_refusal *r)
{
    pack_cstr(p, r->message);
    pack_cstr(p, r->hint);
}

static void
pack_fields(struct packer *p, const struct ack_message *m)
{
    switch (m->type) {
    case ACK_SOURCE:
    case ACK_RUN:
        pack_source(p, &m->source);
        pack_bool(p, m->source.standby);
        break;
    case ACK_RECEIVED:
        pack_received(p, &m->received);
        break;
    case ACK_SLOT:
        pack_slot(p, &m->slot);
        break;
    case ACK_WAITING:
        pack_waiting(p, &m->waiting);
        break;
    case ACK_REGISTER:
        pack_register(p, &m->registration);
        break;
    case ACK_REACHED:
        pack_reached(p, &m->reached);
        break;
    case ACK_TARGET:
        pack_target(p, &m->target);
        break;
    case ACK_BARRIER_REACHED:
        pack_uint(p, m->barrier.id);
        pack_uint(p, m->barrier.applier);
        break;
    case ACK_BARRIER_DONE:
    case ACK_GO:
        pack_uint(p, m->barrier_id);
        break;
    case ACK_DIFFERENCES:
        pack_differences(p, &m->differences);
        break;
    case ACK_TABLE_COUNTS:
        pack_table_counts(p, &m->table_counts);
        break;
    case ACK_LACKS:
        pack_lacks(p, &m->lacks);
        break;
    case ACK_REFUSED:
        pack_refusal(p, &m->refusal);
        break;
    case ACK_FEEDBACK:
        pack_bin(p, m->feedback);
        break;
    case ACK_STATUS:
        pack_bin(p, m->status);
        break;
    case ACK_COPIER:
        copy_hello_pack(p, &m->copier);
        break;
    case ACK_ASK:
        copy_ask_pack(p, &m->ask);
        break;
    case ACK_TABLE_STATE:
        table_state_pack(p, &m->table_state);
        break;
    case ACK_COPIED:
        range_copied_pack(p, &m->copied);
        break;
    case ACK_MISSING:
        keys_missing_pack(p, &m->missing);
        break;
    case ACK_COPY_COUNTS:
        copy_counts_pack(p, &m->copy_counts);
        break;
    case ACK_RELAYED:
        copy_relayed_pack(p, &m->relayed);
        break;
    case ACK_ANSWERED:
        copy_answered_pack(p, &m->answered);
        break;
    case ACK_CONTROL:
        copy_control_pack(p, &m->control);
        break;
    case ACK_CONTROLLED:
        copy_controlled_pack(p, &m->controlled);
        break;
    case ACK_DRAINING:
    case ACK_FINISHED:
    case ACK_STATUS_REQUEST:
    case ACK_ACCEPTED:
    case ACK_DRAINED:
        break;
    }
}

int
ackmsg_encode(struct buf *buf, const struct ack_message *m)
{
    struct packer p;

    frame_begin(&p, buf, (uint8_t)m->type, message_elements(m->type));
    pack_bin(&p, (struct bytes){.data = m->run_id.bytes, .len = RUN_ID_SIZE});
    pack_fields(&p, m);
    return frame_end(&p);
}

/* ---- decode ---- */

static bool
read_fields(struct cursor *c, uint32_t elements, struct ack_message *m)
{
    switch (m->type) {
    case ACK_SOURCE:
    case ACK_RUN:
        m->source.standby = false;
        return read_source(c, &m->source) &&
               (elements < SOURCE_ELEMENTS || mp_bool(c, &m->source.standby));
    case ACK_RECEIVED:
        return read_received(c, elements, &m->received);
    case ACK_SLOT:
        return read_slot(c, &m->slot);
    case ACK_WAITING:
        return read_waiting(c, &m->waiting);
    case ACK_REGISTER:
        return read_register(c, elements, &m->registration);
    case ACK_REACHED:
        return read_reached(c, elements, &m->reached);
    case ACK_TARGET:
        return mp_bool(c, &m->target.alive) &&
               mp_cstr(c, m->target.message, sizeof m->target.message);
    case ACK_BARRIER_REACHED:
        return mp_uint(c, &m->barrier.id) && mp_uint32(c, &m->barrier.applier);
    case ACK_BARRIER_DONE:
    case ACK_GO:
        return mp_uint(c, &m->barrier_id);
    case ACK_DIFFERENCES:
        return read_differences(c, elements, &m->differences);
    case ACK_TABLE_COUNTS:
        return read_table_counts(c, &m->table_counts);
    case ACK_LACKS:
        return read_lacks(c, &m->lacks);
    case ACK_REFUSED:
        return mp_cstr(c, m->refusal.message, sizeof m->refusal.message) &&
               mp_cstr(c, m->refusal.hint, sizeof m->refusal.hint);
    case ACK_FEEDBACK:
        return mp_bin(c, &m->feedback);
    case ACK_STATUS:
        return mp_bin(c, &m->status);
    case ACK_COPIER:
        return copy_hello_read(c, &m->copier);
    case ACK_ASK:
        return copy_ask_read(c, &m->ask);
    case ACK_TABLE_STATE:
        return table_state_read(c, &m->table_state);
    case ACK_COPIED:
        return range_copied_read(c, &m->copied);
    case ACK_MISSING:
        return keys_missing_read(c, &m->missing);
    case ACK_COPY_COUNTS:
        return copy_counts_read(c, &m->copy_counts);
    case ACK_RELAYED:
        return copy_relayed_read(c, &m->relayed);
    case ACK_ANSWERED:
        return copy_answered_read(c, &m->answered);
    case ACK_CONTROL:
        return copy_control_read(c, &m->control);
    case ACK_CONTROLLED:
        return copy_controlled_read(c, &m->controlled);
    case ACK_DRAINING:
    case ACK_FINISHED:
    case ACK_STATUS_REQUEST:
    case ACK_ACCEPTED:
    case ACK_DRAINED:
        return true;
    }
    return false;
}

/* A message of that type may have so many elements. */
static bool
may_have(enum ack_type type, uint32_t elements)
{
    uint32_t all = message_elements(type), missing = all - elements;

    if (all == 0 || elements > all)
        return false;
    switch (type) {
    case ACK_REGISTER:
        return elements >= REGISTER_ELEMENTS_MIN;
    case ACK_REACHED:
        return elements >= REACHED_ELEMENTS_MIN;
    case ACK_SOURCE:
    case ACK_RUN:
    case ACK_DIFFERENCES:
    case ACK_RECEIVED:
        return missing <= 1;
    default:
        return missing == 0;
    }
}

int
ackmsg_decode(const struct frame *frame, struct ack_message *m, struct err *err)
{
    struct cursor c = frame->body;
    uint32_t elements;
    uint8_t type;

    if (!frame_type(&c, &type, &elements))
        return err_set(err, EXIT_REFUSED, "malformed message on the ack socket");
    m->type = (enum ack_type)type;
    m->body = (struct bytes){.data = frame->body.at, .len = frame->body.left};
    if (!may_have(m->type, elements + 1))
        return err_set(err, EXIT_REFUSED,
                       "unknown message type %u with %u fields on the ack socket", type, elements);
    if (!mp_run_id(&c, &m->run_id) || !read_fields(&c, elements + 1, m) || c.left != 0)
        return err_set(err, EXIT_REFUSED, "malformed message of type %u on the ack socket", type);
    return 0;
}

/* ---- status ---- */

#define WORKER_STATUS_ELEMENTS (16 + COPY_COUNTS_ELEMENTS)

static void
pack_worker_status(struct packer *p, const struct ack_worker_status *w)
{
    pack_array(p, WORKER_STATUS_ELEMENTS);
    pack_cstr(p, w->sink);
    pack_uint(p, w->shard);
    pack_bool(p, w->registered);
    pack_bool(p, w->target_alive);
    pack_cstr(p, w->target_message);
    pack_uint(p, w->reached_lsn);
    pack_uint(p, w->lag_bytes);
    pack_int(p, w->lag_micros);
    pack_uint(p, w->events);
    pack_uint(p, w->batches);
    pack_uint(p, w->silent_millis);
    pack_bool(p, w->copies_known);
    copy_counts_pack(p, &w->copies);
    pack_uint(p, w->paused_since);
    pack_bool(p, w->detached);
    pack_lacks(p, &w->lacks);
}

static bool
read_worker_status(struct cursor *c, struct ack_worker_status *w)
{
    uint32_t elements;

    return mp_array(c, &elements) && elements == WORKER_STATUS_ELEMENTS &&
           mp_cstr(c, w->sink, sizeof w->sink) && mp_uint32(c, &w->shard) &&
           mp_bool(c, &w->registered) && mp_bool(c, &w->target_alive) &&
           mp_cstr(c, w->target_message, sizeof w->target_message) && mp_uint(c, &w->reached_lsn) &&
           mp_uint(c, &w->lag_bytes) && mp_int(c, &w->lag_micros) && mp_uint(c, &w->events) &&
           mp_uint(c, &w->batches) && mp_uint(c, &w->silent_millis) &&
           mp_bool(c, &w->copies_known) && copy_counts_read(c, &w->copies) &&
           mp_uint(c, &w->paused_since) && mp_bool(c, &w->detached) && read_lacks(c, &w->lacks);
}

static bool
read_table_statuses(struct cursor *c, struct ack_status *s)
{
    uint32_t elements;

    if (!mp_array(c, &s->tables_count) || s->tables_count > sizeof s->tables / sizeof *s->tables)
        return false;
    for (uint32_t i = 0; i < s->tables_count; i++)
        if (!mp_array(c, &elements) || elements != 6 ||
            !mp_cstr(c, s->tables[i].sink, sizeof s->tables[i].sink) ||
            !read_differences(c, DIFFERENCES_ELEMENTS, &s->tables[i].differences))
            return false;
    return true;
}

int
ackmsg_status_encode(struct buf *buf, const struct ack_status *s)
{
    struct buf inner = {0};
    struct packer p = {.buf = &inner};
    struct ack_message m = {.type = ACK_STATUS, .run_id = s->run_id};
    int result;

    frame_begin(&p, &inner, ACK_STATUS, 30);
    pack_bool(&p, s->source_alive);
    pack_waiting(&p, &s->waiting);
    pack_uint(&p, s->uptime_millis);
    pack_source(&p, &s->source);
    pack_slot(&p, &s->slot);
    pack_uint(&p, s->received_lsn);
    pack_uint(&p, s->safe_lsn);
    pack_bool(&p, s->lag_known);
    pack_uint(&p, s->lag_bytes);
    pack_int(&p, s->lag_micros);
    pack_uint(&p, s->restarts);
    pack_bin(&p, (struct bytes){.data = s->run_id.bytes, .len = RUN_ID_SIZE});
    pack_array(&p, s->workers_count);
    for (uint32_t i = 0; i < s->workers_count; i++)
        pack_worker_status(&p, &s->workers[i]);
    pack_array(&p, s->tables_count);
    for (uint32_t i = 0; i < s->tables_count; i++) {
        pack_array(&p, 6);
        pack_cstr(&p, s->tables[i].sink);
        pack_differences(&p, &s->tables[i].differences);
    }
    result = frame_end(&p);
    if (result == 0) {
        m.status = (struct bytes){.data = inner.data + inner.start + FRAME_HEADER,
                                  .len = buf_len(&inner) - FRAME_HEADER};
        result = ackmsg_encode(buf, &m);
    }
    buf_free(&inner);
    return result;
}

bool
ackmsg_status_decode(struct bytes encoded, struct ack_status *s)
{
    struct cursor c = cursor_over(encoded.data, encoded.len);
    uint32_t elements;
    uint8_t type;

    if (!frame_type(&c, &type, &elements) || type != ACK_STATUS || elements != 29 ||
        !mp_bool(&c, &s->source_alive) || !read_waiting(&c, &s->waiting) ||
        !mp_uint(&c, &s->uptime_millis) || !read_source(&c, &s->source) ||
        !read_slot(&c, &s->slot) || !mp_uint(&c, &s->received_lsn) || !mp_uint(&c, &s->safe_lsn) ||
        !mp_bool(&c, &s->lag_known) || !mp_uint(&c, &s->lag_bytes) || !mp_int(&c, &s->lag_micros) ||
        !mp_uint(&c, &s->restarts) || !mp_run_id(&c, &s->run_id) ||
        !mp_array(&c, &s->workers_count) || s->workers_count > WORKERS_MAX)
        return false;
    for (uint32_t i = 0; i < s->workers_count; i++)
        if (!read_worker_status(&c, &s->workers[i]))
            return false;
    return read_table_statuses(&c, s) && c.left == 0;
}
