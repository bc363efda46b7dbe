/* ackd_admission.c: starts that are refused (traps 14 to 16, 112).
 * links: ackd/admission lib/err lib/lsn; */
#include <string.h>

#include "ackd/admission.h"
#include "check.h"

static const struct checkpoint checkpoint = {
    .system_identifier = 7, .timeline = 2, .database = "shop", .slot = "orders", .safe_lsn = 0x200};

static struct ack_source
same_source(uint64_t confirmed)
{
    return (struct ack_source){.system_identifier = 7,
                               .timeline = 2,
                               .database = "shop",
                               .slot = "orders",
                               .confirmed_lsn = confirmed};
}

static struct err err;

static enum admission
admit(const struct ack_source *s)
{
    err = (struct err){0};
    return admission_source(&checkpoint, "/state", s, &err);
}

/* Refused with exit 100, naming these two things, and with something to do. */
static void
refused(const struct ack_source *s, const char *one, const char *two)
{
    check(admit(s) == ADMISSION_REFUSED && err.code == EXIT_REFUSED &&
              strstr(err.message, one) != NULL && strstr(err.message, two) != NULL &&
              strstr(err.hint, "/state/checkpoint") != NULL,
          "refused: %s (%s)", err.message, err.hint);
}

static void
without_checkpoint(void)
{
    struct ack_source s = same_source(0);

    check(admission_source(NULL, "/state", &s, &err) == ADMISSION_NO_SLOT,
          "neither checkpoint nor slot: it may be created");
    s.confirmed_lsn = 0x100;
    check(admission_source(NULL, "/state", &s, &err) == ADMISSION_RUN, "no checkpoint, but a slot");
}

static void
positions(void)
{
    struct ack_source s = same_source(0x200);

    check(admit(&s) == ADMISSION_RUN, "slot and checkpoint agree");
    s.confirmed_lsn = 0x1ff;
    check(admit(&s) == ADMISSION_RUN, "the source forgot a confirmation in a crash (trap 13)");
    check(!admission_needs_proof(&checkpoint, &s) && !admission_needs_proof(NULL, &s),
          "then nothing is to be proved");
    s.confirmed_lsn = 0x201;
    check(admit(&s) == ADMISSION_RUN && admission_needs_proof(&checkpoint, &s),
          "ahead of the checkpoint: the workers must prove that they have it");
    s.confirmed_lsn = 0;
    refused(&s, "\"orders\" is gone", "0/200");
}

static void
identity(void)
{
    struct ack_source s = same_source(0x100);

    s.system_identifier = 8;
    refused(&s, "8", "7");
    s = same_source(0);
    s.system_identifier = 8;
    refused(&s, "another cluster", "8");
    s = same_source(0x100);
    s.database[0] = 'S';
    refused(&s, "\"Shop\"", "\"shop\"");
    s = same_source(0x100);
    memcpy(s.slot, "orders2", sizeof "orders2");
    refused(&s, "\"orders2\"", "\"orders\"");
    s = same_source(0x100);
    s.timeline = 1;
    refused(&s, "timeline 1", "later timeline 2");
    s.timeline = 3;
    check(admit(&s) == ADMISSION_NEW_TIMELINE, "promoted, and the slot came along");
    s.confirmed_lsn = 0x201;
    check(admit(&s) == ADMISSION_NEW_TIMELINE && admission_needs_proof(&checkpoint, &s),
          "promoted, and the slot was moved there");
}

static void
branches(void)
{
    struct checkpoint c = checkpoint;
    struct ack_source s = same_source(0x200);

    s.previous_timeline = 1;
    s.switch_lsn = 0x180;
    check(admission_source(&c, "/state", &s, &err) == ADMISSION_RUN, "an older checkpoint");
    c.switch_lsn = 0x180;
    check(admission_source(&c, "/state", &s, &err) == ADMISSION_RUN, "the same timeline");
    c.switch_lsn = 0x170;
    err = (struct err){0};
    check(admission_source(&c, "/state", &s, &err) == ADMISSION_REFUSED &&
              err.code == EXIT_REFUSED && strstr(err.message, "0/180") != NULL &&
              strstr(err.message, "0/170") != NULL && strstr(err.hint, "/state/checkpoint") != NULL,
          "refused: %s (%s)", err.message, err.hint);
    s.timeline = 3;
    s.previous_timeline = 2;
    check(admission_source(&c, "/state", &s, &err) == ADMISSION_NEW_TIMELINE, "a later one");
    s.timeline = c.timeline;
    s.switch_lsn = 0;
    check(admission_source(&c, "/state", &s, &err) == ADMISSION_RUN, "a source that does not tell");
}

static void
proofs(void)
{
    struct ack_source s = same_source(0x201);
    struct ack_register w = {.sink = "dst", .shard = 1, .durable_lsn = 0x201};

    check(admission_worker(&checkpoint, &s, &w, &err) == 0, "a target that has it all");
    w.durable_lsn = 0x300;
    check(admission_worker(&checkpoint, &s, &w, &err) == 0, "or more");
    w.durable_lsn = 0x200;
    check(admission_worker(&checkpoint, &s, &w, &err) == -1 && err.code == EXIT_REFUSED &&
              strstr(err.message, "0/201") != NULL && strstr(err.message, " 1 bytes") != NULL,
          "refused: %s (%s)", err.message, err.hint);
    w.durable_lsn = 0;
    err = (struct err){0};
    check(admission_worker(&checkpoint, &s, &w, &err) == -1 && err.code == EXIT_REFUSED &&
              strstr(err.message, "0/201") != NULL && strstr(err.message, "0/200") != NULL &&
              strstr(err.message, " 1 bytes") != NULL && err.hint[0] != '\0',
          "refused: %s (%s)", err.message, err.hint);
}

static void
lost_positions(void)
{
    struct ack_register w = {.sink = "dst", .shard = 1};

    for (w.position = ACK_POSITION_UNKNOWN; w.position <= ACK_POSITION_NONE; w.position++) {
        check(admission_position(&w, 0, "/state", &err) == 0, "nothing was noted");
        err = (struct err){0};
        check(admission_position(&w, 0x200, "/state", &err) ==
                  (w.position == ACK_POSITION_NONE ? -1 : 0),
              "position %u: %s", w.position, err.message);
    }
    check(err.code == EXIT_REFUSED && strstr(err.message, "dst/1") != NULL &&
              strstr(err.message, "0/200") != NULL && strstr(err.hint, "/state/reached") != NULL &&
              strlen(err.hint) < sizeof err.hint - 1,
          "refused: %s (%s)", err.message, err.hint);
}

static void
workers(void)
{
    struct ack_source s = same_source(0x200);
    struct ack_register w = {.sink = "dst", .shard = 1, .durable_lsn = 0};

    check(admission_worker(NULL, &s, &w, &err) == 0, "a sink that keeps no progress");
    w.durable_lsn = 0x200;
    check(admission_worker(NULL, &s, &w, &err) == 0, "a sink at the slot's LSN");
    w.durable_lsn = 0x1ff;
    check(admission_worker(NULL, &s, &w, &err) == -1 && err.code == EXIT_REFUSED &&
              strstr(err.message, "dst/1") != NULL && strstr(err.message, "0/1FF") != NULL,
          "refused: %s (%s)", err.message, err.hint);
}

static void
lost_wal(void)
{
    check(admission_wal_end(0x200, 0x200, "sink dst/0", &err) == 0, "WAL that reaches far enough");
    check(admission_wal_end(0, 0x200, "sink dst/0", &err) == 0, "an unknown end of WAL");
    check(admission_wal_end(0x1ff, 0x200, "sink dst/0", &err) == -1 && err.code == EXIT_REFUSED,
          "refused: %s (%s)", err.message, err.hint);
}

int
main(void)
{
    without_checkpoint();
    positions();
    identity();
    workers();
    lost_positions();
    branches();
    proofs();
    lost_wal();
    return check_done();
}
