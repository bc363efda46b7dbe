/* intake.c: an event stream as it comes from a pipe. The items must be in the order of
 * events(7). */
/* clang-format off: make reads one line
 * links: lib/intake lib/grammar lib/tablecounts lib/relmap lib/backoff lib/ackclient lib/ackconn lib/ackconn lib/ackmsg lib/copymsg lib/sinklist lib/event lib/tableinfo lib/layout lib/names lib/hash lib/frame lib/pack lib/cursor lib/buf lib/io lib/lockfile lib/opt lib/sock lib/clock lib/err */
/* clang-format on */
#include "lib/intake.h"
#include "lib/tableinfo.h"

#include <sys/mman.h>
#include <unistd.h>

#include "input.h"

struct model {
    bool in_transaction;
    bool ended;
    bool range_open;
    uint64_t changes;
    uint64_t ordinal;
    uint64_t lsn; /* of the last commit */
};

static void
follow_change(struct model *m, uint64_t ordinal)
{
    require(m->in_transaction && ordinal > m->ordinal);
    m->ordinal = ordinal;
    m->changes++;
}

static void
follow_row(struct model *m, struct intake_item *item)
{
    static struct row_values values;
    static struct row_event row;

    follow_change(m, item->header.ordinal);
    if (row_decode_rest(&item->body, item->type, item->elements, &row, &values))
        require(row.new_row.count <= COLUMNS_MAX && row.old_row.count <= COLUMNS_MAX);
}

static void
follow_relation(struct intake_item *item)
{
    struct relation relation;
    struct err err = {0};

    if (relation_decode(&item->body, item->elements, &relation, &err) == 0)
        relation_free(&relation);
}

static void
follow_tableinfo(struct intake_item *item)
{
    struct tableinfo info;
    struct err err = {0};

    if (tableinfo_decode(&item->body, item->elements, &info, &err) == 0)
        tableinfo_free(&info);
}

static void
follow_transaction(struct model *m, const struct intake_item *item)
{
    if (item->kind == INTAKE_BEGIN) {
        require(!m->in_transaction && item->begin.commit_lsn >= m->lsn);
        *m = (struct model){.in_transaction = true, .lsn = m->lsn};
        return;
    }
    require(m->in_transaction && item->commit.events == m->changes &&
            item->commit.end_lsn >= m->lsn);
    m->in_transaction = false;
    m->lsn = item->commit.end_lsn;
}

static void
follow_copy(struct model *m, const struct intake_item *item)
{
    bool of_range = item->type >= FRAME_ROWS && item->type <= FRAME_RANGE_END;

    require(!m->in_transaction && of_range == m->range_open);
    m->range_open = item->type == FRAME_RANGE || (of_range && item->type != FRAME_RANGE_END);
}

static void
follow(struct model *m, struct intake_item *item)
{
    require(!m->ended);
    require(!m->range_open || item->kind == INTAKE_COPY || item->kind == INTAKE_END);
    switch (item->kind) {
    case INTAKE_BEGIN:
    case INTAKE_COMMIT:
        follow_transaction(m, item);
        break;
    case INTAKE_ROW:
        follow_row(m, item);
        break;
    case INTAKE_TRUNCATE:
        for (uint32_t i = 0; i < item->truncate->count; i++)
            require(item->truncate->relids[i] <= UINT32_MAX);
        follow_change(m, item->truncate->ordinal);
        break;
    case INTAKE_RELATION:
        follow_relation(item);
        break;
    case INTAKE_TABLEINFO:
        follow_tableinfo(item);
        break;
    case INTAKE_LEFT_OUT:
        break;
    case INTAKE_WATERMARK:
        require(!m->in_transaction);
        break;
    case INTAKE_END:
        m->ended = true;
        break;
    case INTAKE_COPY:
        follow_copy(m, item);
        break;
    case INTAKE_ORIGIN:
    case INTAKE_BARRIER:
    case INTAKE_TOUCHED:
        require(m->in_transaction);
        break;
    case INTAKE_MESSAGE:
        require(m->in_transaction == item->message.transactional);
        break;
    case INTAKE_IDLE:
    case INTAKE_TARGET:
        require(false); /* the input is a file, and there is no target */
    }
}

/* The messages as frames behind a hello of worker 0 of 2. */
static int
file_of(const uint8_t *data, size_t size, bool copies)
{
    struct hello hello = {.version = copies ? STREAM_VERSION_COPY : STREAM_VERSION,
                          .stream = "event",
                          .program = "route",
                          .sink = "s",
                          .shard = 0,
                          .shards = 2};
    static const char text[] = "shards 2\nshard_key key\n";
    struct bytes message, layout = {.data = (const uint8_t *)text, .len = sizeof text - 1};
    struct cursor input = cursor_over(data, size);
    struct buf out = {0};
    int fd = memfd_create("stream", MFD_CLOEXEC);

    require(fd >= 0 && hello_encode(&out, &hello) == 0 && layout_encode(&out, layout) == 0);
    while (input_next(&input, &message)) {
        uint8_t *memory;
        struct frame frame = input_frame(message, &memory);

        buf_append(&out, frame.raw.data, frame.raw.len);
        free(memory);
    }
    require(!out.failed && pwrite(fd, out.data, out.end, 0) == (ssize_t)out.end);
    buf_free(&out);
    return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool copies = size > 0 && (data[size - 1] & 2) != 0;
    int fd = file_of(data, size, copies), rc;
    struct model model = {0};
    struct err err = {0};
    struct intake_item item;
    struct intake in;

    intake_init(&in, fd);
    in.copies = copies;
    require(intake_hello(&in, &err) == 0);
    while ((rc = intake_next(&in, 0, &item, &err)) == 0) {
        follow(&model, &item);
        if (size > 0 && data[size - 1] % 2 == 0)
            intake_release(&in);
    }
    require(rc == 1 ? model.ended : err.message[0] != '\0' && err.code != EXIT_DONE);
    intake_free(&in);
    close(fd);
    return 0;
}
