/* lib_ackmsg.c: every message there and back, cut at every byte, the status, and the feedback's 34
 * bytes. */
/* clang-format off: make reads one line
 * links: lib/ackmsg lib/copymsg lib/sinklist lib/feedback lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include "lib/ackmsg.h"
#include "lib/feedback.h"

#include <stdlib.h>

#include "check.h"

static struct frame
frame_over(const uint8_t *body, size_t n)
{
    return (struct frame){.body = cursor_over(body, n)};
}

static void
check_message(const struct ack_message *in, const char *name)
{
    struct buf buf = {0};
    struct ack_message out;
    struct err err = {0};
    struct frame frame;
    size_t len;

    check(ackmsg_encode(&buf, in) == 0, "%s", name);
    len = buf_len(&buf) - FRAME_HEADER;
    frame = frame_over(buf.data + FRAME_HEADER, len);
    check(ackmsg_decode(&frame, &out, &err) == 0 && out.type == in->type &&
              run_id_equal(&in->run_id, &out.run_id),
          "%s is read%s", name, err.message);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = malloc(cut + (cut == 0));

        if (part == NULL)
            abort();
        memcpy(part, buf.data + FRAME_HEADER, cut);
        frame = frame_over(part, cut);
        if (ackmsg_decode(&frame, &out, &err) != -1 || err.code != EXIT_REFUSED)
            check(false, "%s cut at %zu", name, cut);
        free(part);
    }
    buf_append(&buf, "\xc0", 1);
    buf.data[FRAME_HEADER]++; /* one element more */
    frame = frame_over(buf.data + FRAME_HEADER, len + 1);
    check(ackmsg_decode(&frame, &out, &err) == -1, "%s with a field too many is not", name);
    buf_free(&buf);
}

static void
test_all_messages(void)
{
    static const struct {
        struct ack_message message;
        const char *name;
    } all[] = {
        {{.type = ACK_SOURCE,
          .source = {.system_identifier = 1, .database = "d", .slot = "s", .standby = true}},
         "source"},
        {{.type = ACK_RECEIVED,
          .received = {.lsn = UINT64_MAX, .reply_requested = true, .commit_time = -1}},
         "received"},
        {{.type = ACK_SLOT, .slot = {.wal_status = "lost", .safe_wal_size = -1}}, "slot"},
        {{.type = ACK_DRAINING}, "draining"},
        {{.type = ACK_WAITING, .waiting = {.standby = true, .message = "slot"}}, "waiting"},
        {{.type = ACK_REGISTER, .registration = {.program = "p", .sink = "s", .shards = 2}},
         "register"},
        {{.type = ACK_REACHED, .reached = {.lsn = 5, .events = 6, .commit_time = 7, .kept = true}},
         "reached"},
        {{.type = ACK_TARGET, .target = {.alive = false, .message = "down"}}, "target"},
        {{.type = ACK_BARRIER_REACHED, .barrier = {.id = 3, .applier = 1}}, "barrier reached"},
        {{.type = ACK_BARRIER_DONE, .barrier_id = 3}, "barrier done"},
        {{.type = ACK_FINISHED}, "finished"},
        {{.type = ACK_DIFFERENCES, .differences = {.relation = "s.t", .schema_changes = 3}},
         "differences"},
        {{.type = ACK_STATUS_REQUEST}, "status request"},
        {{.type = ACK_ACCEPTED}, "accepted"},
        {{.type = ACK_REFUSED, .refusal = {.message = "no", .hint = "why"}}, "refused"},
        {{.type = ACK_FEEDBACK, .feedback = {(const uint8_t *)"r", 1}}, "feedback"},
        {{.type = ACK_DRAINED}, "drained"},
        {{.type = ACK_GO, .barrier_id = 3}, "go"},
        {{.type = ACK_COPIER, .copier = {.program = "pg-table-read"}}, "copier"},
        {{.type = ACK_ASK, .ask = {.life = 3, .sinks = {1, {{(const uint8_t *)"a", 1}}}}}, "ask"},
        {{.type = ACK_TABLE_STATE,
          .table_state = {.life = 3, .relid = 7, .part = 8, .want = TABLE_HAVE, .last = true}},
         "table state"},
        {{.type = ACK_COPIED, .copied = {.life = 3, .number = 4, .written = true}}, "copied"},
        {{.type = ACK_MISSING, .missing = {.life = 3, .keys = {(const uint8_t *)"k", 1}}},
         "missing"},
        {{.type = ACK_COPY_COUNTS,
          .copy_counts =
              {.waiting = 1, .copying = 2, .resync = 3, .parked = 4, .bytes = UINT64_MAX}},
         "copy counts"},
        {{.type = ACK_TABLE_COUNTS,
          .table_counts = {.table = "s.t", .state = "copying", .deletes = UINT64_MAX}},
         "table counts"},
        {{.type = ACK_LACKS, .lacks = {.tables = 2, .changes = UINT64_MAX}}, "lacks"},
        {{.type = ACK_RUN, .source = {.system_identifier = 1, .database = "d", .slot = "s"}},
         "run"},
        {{.type = ACK_RELAYED, .relayed = {.sink = "s", .shard = 2}}, "relayed"},
        {{.type = ACK_ANSWERED, .answered = {.life = 3, .workers = 2}}, "answered"},
        {{.type = ACK_CONTROL,
          .control = {.number = 3, .verb = "resync", .schema = "public", .name = "t"}},
         "control"},
        {{.type = ACK_CONTROLLED,
          .controlled = {.number = 3, .accepted = true, .message = "no", .hint = "why"}},
         "controlled"},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check_message(&all[i].message, all[i].name);
}

/* The register message of a worker that leaves its last elements out. */
static void
test_short_register(void)
{
    for (uint32_t elements = 7; elements <= 10; elements++) {
        struct buf buf = {0};
        struct packer p;
        struct frame frame;
        struct ack_message out;
        struct err err = {0};
        const uint8_t run_id[RUN_ID_SIZE] = {0};

        frame_begin(&p, &buf, ACK_REGISTER, elements);
        pack_bin(&p, (struct bytes){.data = run_id, .len = sizeof run_id});
        pack_cstr(&p, "p");
        pack_cstr(&p, "s");
        for (uint32_t i = 4; i < elements; i++)
            pack_uint(&p, i < 9 ? i : ACK_POSITION_NONE);
        check(frame_end(&p) == 0, "memory");
        frame = frame_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
        check(ackmsg_decode(&frame, &out, &err) == 0 &&
                  out.registration.timeline == (elements > 7 ? 7 : 0) &&
                  out.registration.version == (elements > 8 ? 8 : STREAM_VERSION) &&
                  out.registration.position ==
                      (elements > 9 ? ACK_POSITION_NONE : ACK_POSITION_UNKNOWN),
              "register with %u elements %s", elements, err.message);
        buf_free(&buf);
    }
}

/* The messages of a program that leaves the commit time out. */
static void
test_short_reports(void)
{
    static const enum ack_type types[] = {ACK_RECEIVED, ACK_REACHED};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct buf buf = {0};
        struct packer p;
        struct frame frame;
        struct ack_message out;
        struct err err = {0};
        const uint8_t run_id[RUN_ID_SIZE] = {0};

        frame_begin(&p, &buf, (uint8_t)types[i], types[i] == ACK_RECEIVED ? 4 : 6);
        pack_bin(&p, (struct bytes){.data = run_id, .len = sizeof run_id});
        pack_uint(&p, 99);
        if (types[i] == ACK_RECEIVED)
            pack_bool(&p, true);
        for (uint32_t n = 0; types[i] == ACK_REACHED && n < 3; n++)
            pack_uint(&p, n);
        check(frame_end(&p) == 0, "memory");
        frame = frame_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
        check(ackmsg_decode(&frame, &out, &err) == 0, "type %d %s", (int)types[i], err.message);
        check(types[i] == ACK_RECEIVED
                  ? out.received.lsn == 99 && out.received.commit_time == 0
                  : out.reached.lsn == 99 && out.reached.commit_time == 0 && !out.reached.kept,
              "type %d without a commit time", (int)types[i]);
        buf_free(&buf);
    }
}

/* A message is forwarded unchanged, and no longer than fits in another message. */
static void
test_body_and_limits(void)
{
    struct ack_message in = {.type = ACK_MISSING}, out;
    uint8_t *keys = calloc(1, COPYMSG_OPAQUE_MAX + 1);
    struct buf buf = {0};
    struct frame frame;
    struct err err = {0};

    if (keys == NULL)
        abort();
    in.missing.keys = (struct bytes){.data = keys, .len = COPYMSG_OPAQUE_MAX};
    check(ackmsg_encode(&buf, &in) == 0, "encode");
    frame = frame_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
    check(ackmsg_decode(&frame, &out, &err) == 0 && out.body.data == frame.body.at &&
              out.body.len == frame.body.left,
          "the body is the whole array %s", err.message);
    buf_reset(&buf, 0);
    in.missing.keys.len++;
    check(ackmsg_encode(&buf, &in) == 0, "encode");
    frame = frame_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
    check(ackmsg_decode(&frame, &out, &err) == -1, "more than 512 KiB of keys are refused");
    buf_free(&buf);
    free(keys);
}

static void
test_unknown_type(void)
{
    static const uint8_t unknown[] = {0x92, 99, 0xc4, 16, 0, 0, 0, 0, 0, 0,
                                      0,    0,  0,    0,  0, 0, 0, 0, 0, 0};
    struct frame frame = frame_over(unknown, sizeof unknown);
    struct ack_message out;
    struct err err = {0};

    check(ackmsg_decode(&frame, &out, &err) == -1 && err.code == EXIT_REFUSED,
          "an unknown type is refused: %s", err.message);
}

static void
test_status(void)
{
    struct ack_status *in = calloc(1, sizeof *in), *out = calloc(1, sizeof *out);
    struct ack_message message;
    struct buf buf = {0};
    struct frame frame;
    struct err err = {0};

    if (in == NULL || out == NULL)
        abort();
    in->workers_count = WORKERS_MAX;
    in->safe_lsn = 77;
    in->lag_known = true;
    in->lag_bytes = 78;
    in->lag_micros = -1;
    in->waiting.standby = true;
    in->slot.xmin_age = 9;
    in->slot.safe_wal_size = -1;
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        struct ack_worker_status *w = &in->workers[i];

        w->shard = i;
        w->lag_bytes = 1000 + i;
        w->lag_micros = 2000 + i;
        memset(w->sink, 's', NAME_MAX_BYTES);
        memset(w->target_message, 'm', sizeof w->target_message - 1);
    }
    check(ackmsg_status_encode(&buf, in) == 0 && buf_len(&buf) < ACK_FRAME_MAX,
          "the largest status fits into a frame: %zu bytes", buf_len(&buf));
    frame = frame_over(buf.data + FRAME_HEADER, buf_len(&buf) - FRAME_HEADER);
    check(ackmsg_decode(&frame, &message, &err) == 0 && message.type == ACK_STATUS, "is read");
    check(ackmsg_status_decode(message.status, out) && out->workers_count == WORKERS_MAX &&
              out->safe_lsn == 77 && out->lag_known && out->lag_bytes == 78 &&
              out->lag_micros == -1 && out->workers[255].lag_micros == 2255 &&
              out->waiting.standby && out->slot.xmin_age == 9 && out->slot.safe_wal_size == -1 &&
              out->workers[200].shard == 200 && out->workers[200].lag_bytes == 1200,
          "and its workers come back");
    message.status.len--;
    check(!ackmsg_status_decode(message.status, out), "one byte short is refused");
    buf_free(&buf);
    free(in);
    free(out);
}

/* Standby status update of the protocol chapter: Byte1('r'), three Int64 LSNs, Int64 time, Byte1.
 */
static void
test_feedback(void)
{
    static const uint8_t expected[FEEDBACK_SIZE] = {
        'r', 0, 0, 0, 0, 0, 0, 1, 2,   0,   0,   0,   0,   0,   0,   3,   4,
        0,   0, 0, 0, 0, 0, 5, 6, 255, 255, 255, 255, 255, 255, 255, 254, 1};
    struct feedback in = {.write_lsn = 0x102,
                          .flush_lsn = 0x304,
                          .apply_lsn = 0x506,
                          .client_time = -2,
                          .reply_requested = true};
    struct feedback out = {0};
    uint8_t bytes[FEEDBACK_SIZE];

    feedback_encode(bytes, &in);
    check(memcmp(bytes, expected, sizeof bytes) == 0, "the bytes of the protocol chapter");
    check(feedback_decode((struct bytes){bytes, sizeof bytes}, &out) && out.write_lsn == 0x102 &&
              out.flush_lsn == 0x304 && out.apply_lsn == 0x506 && out.client_time == -2 &&
              out.reply_requested,
          "and back");
    check(!feedback_decode((struct bytes){bytes, sizeof bytes - 1}, &out), "cut");
    bytes[33] = 2;
    check(!feedback_decode((struct bytes){bytes, sizeof bytes}, &out), "a flag of 2");
    bytes[0] = 'w';
    check(!feedback_decode((struct bytes){bytes, sizeof bytes}, &out), "another message");
}

int
main(void)
{
    test_all_messages();
    test_short_register();
    test_short_reports();
    test_body_and_limits();
    test_unknown_type();
    test_status();
    test_feedback();
    return check_done();
}
