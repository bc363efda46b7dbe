/* lib_ackcopy.c: the messages between pg-table-read and ackd, and with lib/ackclient those of a
 * worker about a copy. */
/* clang-format off: make reads one line
 * links: lib/ackcopy lib/ackclient lib/ackconn lib/ackmsg lib/copymsg lib/sinklist lib/event lib/frame lib/pack lib/cursor lib/buf lib/io lib/lockfile lib/opt lib/sock lib/clock lib/err */
/* clang-format on */
#include "lib/ackcopy.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/ackclient.h"

#include "check.h"

static struct ackconn ours;
static int theirs;

static void
open_pair(void)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        abort();
    ours = (struct ackconn){.fd = fds[0]};
    frame_reader_init(&ours.reader, ACK_FRAME_MAX);
    theirs = fds[1];
}

static void
close_pair(void)
{
    ackconn_close(&ours);
    close(theirs);
}

/* The message that was sent to ackd, which points into the reader. */
static void
hear(struct frame_reader *reader, struct ack_message *message)
{
    struct frame frame;
    struct err err = {0};

    while (frame_next(reader, &frame, &err) == FRAME_NEED_MORE)
        if (frame_fill(reader, theirs, &err) != FILL_READ)
            abort();
    check(ackmsg_decode(&frame, message, &err) == 0, "read: %s", err.message);
}

/* ackd sends it. */
static int
report_of(const struct ack_message *message, struct ackcopy_report *report, struct err *err)
{
    struct buf buf = {0};

    if (ackmsg_encode(&buf, message) != 0 ||
        write(theirs, buf.data, buf_len(&buf)) != (ssize_t)buf_len(&buf) ||
        frame_fill(&ours.reader, ours.fd, err) != FILL_READ)
        abort();
    buf_free(&buf);
    return ackcopy_report(&ours, report, err);
}

static void
test_questions(void)
{
    const struct sinklist sinks = {1, {{(const uint8_t *)"dst", 3}}};
    struct frame_reader reader;
    struct ack_message message;
    struct err err = {0};

    open_pair();
    frame_reader_init(&reader, ACK_FRAME_MAX);
    check(ackcopy_hello(&ours, "pg-table-read", &err) == 0 &&
              ackcopy_ask(&ours, 7, &sinks, &err) == 0 && ackconn_flush(&ours, &err) == 0,
          "said");
    hear(&reader, &message);
    check(message.type == ACK_COPIER && strcmp(message.copier.program, "pg-table-read") == 0,
          "hello first");
    hear(&reader, &message);
    check(message.type == ACK_ASK && message.ask.life == 7 &&
              sinklist_has(&message.ask.sinks, "dst"),
          "then the question");
    frame_reader_free(&reader);
    close_pair();
}

static void
test_reports(void)
{
    struct ack_message m = {.type = ACK_RUN, .run_id = {{9}}, .source = {.timeline = 3}};
    struct ack_message said = {.type = ACK_COPIED, .copied = {.life = 4, .number = 5}};
    struct ackcopy_report report;
    struct buf inner = {0};
    struct err err = {0};

    open_pair();
    check(ackcopy_report(&ours, &report, &err) == 0, "nothing was said");
    check(report_of(&m, &report, &err) == 1 && report.message.source.timeline == 3 &&
              run_id_equal(&ours.run_id, &m.run_id),
          "the run, and its id is ours from now on");
    check(ackmsg_encode(&inner, &said) == 0, "encode");
    m = (struct ack_message){.type = ACK_RELAYED, .relayed = {.sink = "dst", .shard = 2}};
    m.relayed.message = (struct bytes){inner.data + FRAME_HEADER, buf_len(&inner) - FRAME_HEADER};
    check(report_of(&m, &report, &err) == 1 && report.message.type == ACK_COPIED &&
              strcmp(report.sink, "dst") == 0 && report.shard == 2 &&
              report.message.copied.number == 5 && !report.message.copied.written,
          "a worker's");
    m = (struct ack_message){.type = ACK_ANSWERED, .answered = {.life = 4, .workers = 2}};
    check(report_of(&m, &report, &err) == 1 && report.sink[0] == '\0' &&
              report.message.answered.workers == 2,
          "ackd's own");
    inner.data[FRAME_HEADER + 1] = ACK_FINISHED;
    m = (struct ack_message){.type = ACK_RELAYED};
    m.relayed.message = (struct bytes){inner.data + FRAME_HEADER, buf_len(&inner) - FRAME_HEADER};
    check(report_of(&m, &report, &err) == -1, "no other message is passed on: %s", err.message);
    m = (struct ack_message){.type = ACK_REFUSED, .refusal = {.message = "no"}};
    check(report_of(&m, &report, &err) == -1 && err.code == EXIT_REFUSED, "refused");
    m = (struct ack_message){.type = ACK_GO};
    check(report_of(&m, &report, &err) == -1 && err.code == EXIT_BUG, "not for us");
    buf_free(&inner);
    close_pair();
}

static void
test_worker(void)
{
    const struct table_state state = {.life = 1, .relid = 2, .part = 3, .want = TABLE_REFUSE};
    const struct range_copied copied = {.life = 1, .number = 8, .written = true};
    struct frame_reader reader;
    struct ack_message message;
    struct err err = {0};

    open_pair();
    frame_reader_init(&reader, ACK_FRAME_MAX);
    check(ackclient_table_state(&ours, &state, &err) == 0 &&
              ackclient_copied(&ours, &copied, &err) == 0 &&
              ackclient_missing(&ours, 1, (struct bytes){(const uint8_t *)"k", 1}, &err) == 0,
          "said");
    hear(&reader, &message);
    check(message.type == ACK_TABLE_STATE && message.table_state.part == 3, "table state");
    hear(&reader, &message);
    check(message.type == ACK_COPIED && message.copied.written, "copied");
    hear(&reader, &message);
    check(message.type == ACK_MISSING && message.missing.keys.len == 1, "missing");
    frame_reader_free(&reader);
    close_pair();
}

int
main(void)
{
    test_questions();
    test_reports();
    test_worker();
    return check_done();
}
