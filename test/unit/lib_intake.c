/* lib_intake.c: the grammar of events(7). Tries streams that are in order, and every way to break
 * it, and the calls of say while the input is idle, a deadline passes or a target is down. ackd is
 * the other end of a socket pair. */
/* clang-format off: make reads one line
 * links: lib/intake lib/grammar lib/tablecounts lib/relmap lib/copyevent lib/snapshot lib/sinklist lib/backoff lib/ackclient lib/ackconn lib/ackconn lib/ackmsg lib/copymsg lib/event lib/layout lib/names lib/hash lib/frame lib/pack lib/cursor lib/buf lib/io lib/lockfile lib/opt lib/sock lib/clock lib/err */
/* clang-format on */
#include "lib/intake.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/copyevent.h"

#include "check.h"

/* ---- a stream in words ----
 *
 *     b  begin (the next commit LSN)      c  commit, with the true number of changes
 *     B  begin (an earlier commit LSN)    C  commit of another transaction
 *     r  relation                         x  commit with one change too many
 *     i u d t  changes                    y  commit that ends before a watermark
 *     I  insert with the ordinal before   w  watermark, W a large one
 *     o  origin    m M  message, transactional or not
 *     a  barrier with us as applier, A with another; s one with the number before; z a fourth shard
 *     T  touched   l  life begins, h horizon, L life ends
 *     g  range, n its rows, N its absent keys, G its end
 *     e  end       ?  a frame of type 77  */

static struct buf stream;
static uint64_t lsn, ordinal, events, barrier;
static uint32_t stream_version = STREAM_VERSION;

static void
put_row(uint8_t type)
{
    struct value value = {.kind = VALUE_TEXT, .data = (const uint8_t *)"1", .len = 1};
    struct row_event row = {.header = {.key_hash = 7, .relid = 1, .ordinal = ordinal},
                            .old_kind = type == FRAME_DELETE ? OLD_KEY : OLD_NONE,
                            .old_row = {.count = 1, .values = &value},
                            .new_row = {.count = 1, .values = &value}};

    if (row_encode(&stream, type, &row) != 0)
        abort();
    events++;
}

static void
put_relation(void)
{
    struct relation_column column = {.name = "id",
                                     .key = true,
                                     .type_oid = 23,
                                     .typmod = -1,
                                     .type_schema = "",
                                     .type_name = ""};
    struct relation relation = {.relid = 1,
                                .replica_identity = 'd',
                                .schema = "public",
                                .name = "t",
                                .columns_count = 1,
                                .columns = &column};

    if (relation_encode(&stream, &relation) != 0)
        abort();
}

static int
put_begin(uint64_t commit_lsn)
{
    ordinal = events = 0;
    return begin_encode(&stream, &(struct begin_event){.commit_lsn = commit_lsn});
}

static int
put_commit(uint64_t commit_lsn, uint64_t end_lsn, uint64_t count)
{
    lsn += 0x100;
    return commit_encode(
        &stream,
        &(struct commit_event){.commit_lsn = commit_lsn, .end_lsn = end_lsn, .events = count});
}

static int
put_truncate(void)
{
    uint32_t relid = 1;
    struct truncate_event t = {.ordinal = ++ordinal, .count = 1, .relids = &relid};

    events++;
    return truncate_encode(&stream, &t);
}

static int
put_barrier(uint64_t id, uint32_t applier)
{
    return barrier_encode(&stream, &(struct barrier_event){.id = id, .applier = applier});
}

static int
put_unknown(void)
{
    struct packer p;

    frame_begin(&p, &stream, 77, 1);
    return frame_end(&p);
}

static int
put_touched(void)
{
    return touched_encode(&stream,
                          &(struct touched_event){.relid = 1, .ordinal = ordinal, .whole = true});
}

static struct relation
relation_of_copy(void)
{
    return (struct relation){.relid = 1, .replica_identity = 'd', .schema = "public", .name = "t"};
}

static int
put_copy(char word)
{
    struct rows_event rows = {.life = 1, .number = 1};

    switch (word) {
    case 'l':
        return copytable_encode(
            &stream, &(struct copytable_event){.life = 1, .relation = relation_of_copy()});
    case 'h':
        return horizon_encode(&stream, &(struct snapshot){.xmin = 3, .xmax = 3});
    case 'L':
        return table_end_encode(&stream, 1, LIFE_DONE);
    case 'g':
        return range_encode(&stream, &(struct range_event){.life = 1,
                                                           .number = 1,
                                                           .kind = RANGE_KEYS,
                                                           .relation = relation_of_copy()});
    case 'n':
        return rows_encode(&stream, FRAME_ROWS, &rows);
    case 'N':
        return rows_encode(&stream, FRAME_ABSENT, &rows);
    default:
        return range_end_encode(&stream, &(struct range_end_event){.life = 1, .number = 1});
    }
}

static int
put_other(char word)
{
    switch (word) {
    case 'T':
        return put_touched();
    case 'l':
    case 'h':
    case 'L':
    case 'g':
    case 'n':
    case 'N':
    case 'G':
        return put_copy(word);
    case 'r':
        put_relation();
        return 0;
    case 'o':
        return origin_encode(&stream, &(struct origin_event){.origin_lsn = 1});
    case 'm':
    case 'M':
        return message_encode(&stream, &(struct message_event){.transactional = word == 'm'});
    case 'w':
        return watermark_encode(&stream, lsn - 0x80);
    case 'W':
        return watermark_encode(&stream, lsn + 0x1000);
    case 'O':
        return left_out_encode(&stream, 7);
    case 'a':
    case 'A':
        return put_barrier(++barrier, word == 'a' ? 1 : 0);
    case 's':
        return put_barrier(barrier, 0);
    case 'z':
        return put_barrier(++barrier, 3);
    case 'e':
        return end_encode(&stream, "drain");
    default:
        return put_unknown();
    }
}

static int
put(char word)
{
    switch (word) {
    case 'b':
        return put_begin(lsn);
    case 'B':
        return put_begin(lsn - 0x101);
    case 'c':
        return put_commit(lsn, lsn + 0x28, events);
    case 'C':
        return put_commit(lsn + 1, lsn + 0x28, events);
    case 'x':
        return put_commit(lsn, lsn + 0x28, events + 1);
    case 'y':
        return put_commit(lsn, lsn - 1, events);
    case 'i':
    case 'u':
    case 'd':
        ordinal++;
        put_row(word == 'i' ? FRAME_INSERT : word == 'u' ? FRAME_UPDATE : FRAME_DELETE);
        return 0;
    case 'I':
        put_row(FRAME_INSERT);
        return 0;
    case 't':
        return put_truncate();
    default:
        return put_other(word);
    }
}

/* ---- a worker ---- */

struct worker {
    struct intake in;
    int ackd;     /* ackd's end of the link */
    int input[2]; /* the input and its writer's end, -1 if closed */
    int said;     /* calls of say */
    bool last_was_warning;
    char text[1200];
};

static void
keep_said(void *context, bool warning, const char *text)
{
    struct worker *w = context;

    w->said++;
    w->last_was_warning = warning;
    snprintf(w->text, sizeof w->text, "%s", text);
}

static void
feed(struct worker *w, const char *words)
{
    for (const char *word = words; *word != '\0'; word++)
        if (put(*word) != 0)
            abort();
    if (write(w->input[1], stream.data + stream.start, buf_len(&stream)) !=
        (ssize_t)buf_len(&stream))
        abort();
    buf_reset(&stream, 4096);
}

static void
hang_up(struct worker *w)
{
    close(w->input[1]);
    w->input[1] = -1;
}

/* Worker 1 of 3, after its hello. stream_version is that of the stream. */
static void
start(struct worker *w)
{
    struct hello hello = {.version = stream_version,
                          .stream = "event",
                          .program = "route",
                          .slot = "s",
                          .sink = "dst",
                          .shard = 1,
                          .shards = 3};
    static const char layout[] = "shards 3\nshard_key key\nwhole a.b -> c.d\n";
    struct bytes text = {.data = (const uint8_t *)layout, .len = sizeof layout - 1};
    struct err err;
    int pair[2];

    *w = (struct worker){0};
    lsn = 0x2000;
    barrier = 0;
    if (pipe(w->input) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
        hello_encode(&stream, &hello) != 0 || layout_encode(&stream, text) != 0)
        abort();
    feed(w, "");
    intake_init(&w->in, w->input[0]);
    w->in.copies = stream_version == STREAM_VERSION_COPY;
    w->in.say = keep_said;
    w->in.context = w;
    frame_reader_init(&w->in.ack.reader, ACK_FRAME_MAX);
    w->in.ack.fd = pair[0];
    w->ackd = pair[1];
    check(intake_hello(&w->in, &err) == 0 && w->in.hello.shard == 1 && w->in.layout.count == 1,
          "hello and layout are read");
}

static void
stop(struct worker *w)
{
    intake_free(&w->in);
    close(w->ackd);
    close(w->input[0]);
    if (w->input[1] >= 0)
        close(w->input[1]);
}

/* ackd lets the worker go on. */
static void
let_go_on(struct worker *w)
{
    struct ack_message go = {.type = ACK_GO, .barrier_id = w->in.barrier_id};
    struct buf out = {0};

    if (ackmsg_encode(&out, &go) != 0 ||
        write(w->ackd, out.data, buf_len(&out)) != (ssize_t)buf_len(&out))
        abort();
    buf_free(&out);
}

/* Does with an item as a sink does. */
static int
handle(struct worker *w, const struct intake_item *item, struct err *err)
{
    bool change = item->kind == INTAKE_ROW || item->kind == INTAKE_TRUNCATE;

    if (item->kind == INTAKE_BARRIER) {
        let_go_on(w);
        return intake_barrier_wait(&w->in, item, err);
    }
    return change && w->in.barrier_open ? intake_barrier_done(&w->in, err) : 0;
}

/* The kinds of items until the end or an error, as letters. */
static const char *
drain(struct worker *w, struct err *err)
{
    static const char letters[] = {
        [INTAKE_BEGIN] = 'b',     [INTAKE_ORIGIN] = 'o',  [INTAKE_RELATION] = 'r',
        [INTAKE_TABLEINFO] = 'i', [INTAKE_ROW] = 'R',     [INTAKE_TRUNCATE] = 't',
        [INTAKE_MESSAGE] = 'm',   [INTAKE_BARRIER] = 'a', [INTAKE_COMMIT] = 'c',
        [INTAKE_WATERMARK] = 'w', [INTAKE_TOUCHED] = 'T', [INTAKE_COPY] = 'C',
        [INTAKE_END] = 'e',       [INTAKE_IDLE] = '.',    [INTAKE_TARGET] = '!',
        [INTAKE_LEFT_OUT] = 'h'};
    static char out[100];
    struct intake_item item;
    size_t n = 0;
    int rc;

    while ((rc = intake_next(&w->in, 0, &item, err)) == 0 && n < sizeof out - 2) {
        out[n++] = letters[item.kind];
        rc = handle(w, &item, err);
        if (rc != 0)
            break;
    }
    out[n++] = rc > 0 ? '$' : '!';
    out[n] = '\0';
    return out;
}

static void
expect(const char *words, const char *items, const char *message)
{
    struct worker w;
    struct err err = {0};
    const char *got;

    start(&w);
    feed(&w, words);
    hang_up(&w);
    got = drain(&w, &err);
    check(strcmp(got, items) == 0, "\"%s\" gives \"%s\", expected \"%s\"", words, got, items);
    check(strstr(err.message, message) != NULL, "\"%s\" says \"%s\" (\"%s\")", words, message,
          err.message);
    stop(&w);
}

/* ---- the tests ---- */

static void
test_in_order(void)
{
    expect("e", "e$", "");
    expect("rbicwbomriudtmcMwe", "rbRcwbomrRRRtmcmwe$", "");
    expect("bcbcwwbe", "bcbcwwbe$", "");
    expect("rbiaiatAAice", "rbRaRataaRce$", "");
    expect("rbae", "rbae$", "");
    expect("bOrice", "bhrRce$", "");
}

static void
test_out_of_order(void)
{
    expect("bb", "b!", "begin inside a transaction");
    expect("c", "!", "a commit that belongs to no begin");
    expect("bC", "b!", "a commit that belongs to no begin");
    expect("bcB", "bc!", "a transaction before one that was committed earlier");
    expect("by", "b!", "a commit that belongs to no begin");
    expect("Wbc", "wb!", "a commit before a watermark");
    expect("bx", "b!", "the transaction had 1 changes for this worker, 0 came");
    expect("rbiiI", "rbRR!", "a change's ordinal does not grow");
    expect("i", "!", "a change outside of a transaction");
    expect("t", "!", "a change outside of a transaction");
    expect("bw", "b!", "a watermark inside a transaction");
    expect("o", "!", "an origin that is not right behind begin");
    expect("bro", "br!", "an origin that is not right behind begin");
    expect("boo", "bo!", "an origin that is not right behind begin");
    expect("m", "!", "a transaction's message outside of it");
    expect("bM", "b!", "a message of no transaction inside one");
    expect("A", "!", "a barrier outside of a transaction");
    expect("baA", "ba!", "a barrier where another's change was expected");
    expect("bac", "ba!", "a commit where a barrier's change was expected");
    expect("bAs", "ba!", "a barrier's number does not grow");
    expect("bz", "b!", "malformed barrier event");
    expect("?", "!", "unknown frame type 77 in the event stream");
    expect("ew", "!", "something follows the end frame");
    expect("b", "b!", "without an end frame");
    expect("", "!", "without an end frame");
}

static void
test_copy(void)
{
    expect("l", "!", "unknown frame type 32");
    expect("bT", "b!", "unknown frame type 38");
    stream_version = STREAM_VERSION_COPY;
    expect("rlhbicgnNnGwgGLbce", "rCCbRcCCCCCwCCCbce$", "");
    expect("rbATiciae", "rbaTRc!", "a change outside of a transaction");
    expect("lgne", "CCCe$", "");
    expect("T", "!", "another worker's change outside of a transaction");
    expect("baT", "ba!", "another worker's change where a barrier's was expected");
    for (const char *word = "lghL"; *word != '\0'; word++) {
        char words[] = {'b', *word, '\0'};

        expect(words, "b!", "a frame of a copy inside a transaction");
    }
    expect("n", "!", "rows of a range that was not begun");
    expect("gGN", "CC!", "rows of a range that was not begun");
    expect("G", "!", "rows of a range that was not begun");
    for (const char *word = "lghLbwrM"; *word != '\0'; word++) {
        char words[] = {'g', *word, '\0'};

        expect(words, "C!", "something else inside a range");
    }
    expect("gn?", "CC!", "something else inside a range");
    stream_version = STREAM_VERSION;
}

/* A sink that forgets to make the barrier's change durable must not go on. */
static void
test_barrier_done(void)
{
    struct intake_item item;
    struct worker w;
    struct err err = {0};
    int kinds = 0;

    start(&w);
    feed(&w, "rbaii");
    while (intake_next(&w.in, 0, &item, &err) == 0 && kinds < 10) {
        kinds++;
        if (item.kind == INTAKE_BARRIER)
            check((let_go_on(&w), intake_barrier_wait(&w.in, &item, &err)) == 0, "ackd says go");
    }
    check(kinds == 4 && strstr(err.message, "before the barrier's is done") != NULL,
          "the second change is refused: %s", err.message);
    stop(&w);
}

static void
test_malformed(void)
{
    struct worker w;
    struct err err = {0};

    for (uint8_t type = FRAME_RELATION + 1; type <= FRAME_LEFT_OUT; type++) {
        struct packer p;

        if (type == FRAME_LAYOUT || type == FRAME_TABLEINFO)
            continue;

        start(&w);
        frame_begin(&p, &stream, type, 1);
        if (frame_end(&p) != 0)
            abort();
        feed(&w, "");
        hang_up(&w);
        check(strcmp(drain(&w, &err), "!") == 0 &&
                  (err.code == EXIT_REFUSED || err.code == EXIT_BUG) && err.message[0] != '\0',
              "an empty frame of type %u: %s", type, err.message);
        stop(&w);
    }
}

static void
test_waiting(void)
{
    struct intake_item item;
    struct worker w;
    struct err err = {0};
    uint64_t deadline;

    start(&w);
    check(intake_next(&w.in, 0, &item, &err) == 0 && item.kind == INTAKE_IDLE, "nothing there");
    feed(&w, "b");
    check(intake_next(&w.in, 0, &item, &err) == 0 && item.kind == INTAKE_BEGIN, "something");
    check(intake_next(&w.in, 0, &item, &err) == 0 && item.kind == INTAKE_IDLE, "nothing again");
    deadline = clock_micros() + 20000;
    check(intake_next(&w.in, deadline, &item, &err) == 0 && item.kind == INTAKE_IDLE &&
              clock_micros() >= deadline,
          "the deadline is waited for");
    feed(&w, "c");
    check(intake_next(&w.in, deadline, &item, &err) == 0 && item.kind == INTAKE_COMMIT,
          "a deadline that has passed does not keep the input back");
    feed(&w, "b");
    check(intake_next(&w.in, deadline, &item, &err) == 0 && item.kind == INTAKE_IDLE,
          "nor does the input keep a deadline back");
    check(intake_next(&w.in, deadline, &item, &err) == 0 && item.kind == INTAKE_BEGIN, "begin");
    w.in.target_fd = w.ackd;
    if (write(w.in.ack.fd, "x", 1) != 1)
        abort();
    check(intake_next(&w.in, 0, &item, &err) == 0 && item.kind == INTAKE_TARGET, "the target");
    shutdown(w.ackd, SHUT_WR);
    check(intake_next(&w.in, 0, &item, &err) == -1 && strstr(err.message, "ackd closed") != NULL,
          "ackd is watched: %s", err.message);
    stop(&w);
}

static void
test_target(void)
{
    struct worker w;
    struct err err = {0};
    uint64_t began = clock_micros();

    start(&w);
    for (int i = 0; i < 2; i++)
        check(intake_target_down(&w.in, "it is down", &err) == 0 && intake_wait(&w.in, &err) == 0,
              "try %d", i);
    check(clock_micros() - began >= 150000, "the waits grow");
    check(w.said == 1 && w.last_was_warning && strstr(w.text, "it is down") != NULL, "said once");
    check(intake_target_up(&w.in, &err) == 0 && intake_target_up(&w.in, &err) == 0 && w.said == 2 &&
              !w.last_was_warning,
          "back, said once");
    stop(&w);
}

/* The next item that is not idle. */
static int
next_item(struct worker *w, struct intake_item *item, struct err *err)
{
    int rc;

    do
        rc = intake_next(&w->in, 0, item, err);
    while (rc == 0 && item->kind == INTAKE_IDLE);
    return rc;
}

/* The writer goes while the target is down. `words` is the input that it leaves. */
static int
wait_with(struct worker *w, const char *words, struct err *err)
{
    struct intake_item item;
    struct row_event row;
    static struct row_values values;
    struct cursor body;
    int rc;

    start(w);
    feed(w, "rbi");
    for (int i = 0; i < 3; i++)
        if (next_item(w, &item, err) != 0)
            abort();
    feed(w, words);
    hang_up(w);
    rc = intake_wait(&w->in, err);
    body = item.body;
    check(item.kind == INTAKE_ROW &&
              row_decode_rest(&body, item.type, item.elements, &row, &values) &&
              row.new_row.count == 1 && row.new_row.values[0].data[0] == '1',
          "the row in hand is still there");
    return rc;
}

static void
test_input_dies(void)
{
    struct intake_item item;
    struct worker w;
    struct err err = {0};

    check(wait_with(&w, "ice", &err) == 0, "with end the target is waited for");
    check(intake_wait(&w.in, &err) == 0, "and again");
    check(strcmp(drain(&w, &err), "Rce$") == 0, "and all that was left comes");
    stop(&w);
    check(wait_with(&w, "ic", &err) == -1 && err.code == EXIT_PEER &&
              strstr(err.message, "without an end frame") != NULL,
          "without it there is nothing to wait for: %s", err.message);
    stop(&w);
    check(wait_with(&w, "", &err) == -1, "nor when nothing is left");
    stop(&w);
    start(&w);
    feed(&w, "bce");
    if (write(w.input[1], "\0\0", 2) != 2)
        abort();
    check(next_item(&w, &item, &err) == 0 && item.kind == INTAKE_BEGIN, "begin");
    hang_up(&w);
    check(intake_wait(&w.in, &err) == -1, "bytes behind end are no end");
    stop(&w);
    start(&w);
    close(w.ackd);
    check(intake_wait(&w.in, &err) == -1 && strstr(err.message, "ackd closed") != NULL,
          "ackd is watched while waiting");
    stop(&w);
}

static void
test_connect(void)
{
    struct worker w;
    struct err err = {0};

    start(&w);
    w.in.hello.shards = 1;
    check(intake_connect(&w.in, "sink-x", "/nowhere", &err) == -1 && err.code == EXIT_REFUSED &&
              strstr(err.message, "not for a sink's worker") != NULL &&
              strstr(err.hint, "sink-x") != NULL,
          "shard 1 of 1 is refused");
    stop(&w);
}

int
main(void)
{
    test_in_order();
    test_out_of_order();
    test_copy();
    test_barrier_done();
    test_malformed();
    test_waiting();
    test_target();
    test_input_dies();
    test_connect();
    buf_free(&stream);
    return check_done();
}
