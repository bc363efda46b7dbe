/* conn.c: see conn.h. */
#include "ackd/conn.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/io.h"

void
conn_open(struct conn *conn, int fd)
{
    /* accept(2) made this open file description, so no other process shares it. */
    fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
    *conn = (struct conn){.fd = fd, .role = CONN_NEW, .out_max = CONN_OUT_MAX};
    frame_reader_init(&conn->in, ACK_FRAME_MAX);
}

void
conn_close(struct conn *conn)
{
    close(conn->fd);
    frame_reader_free(&conn->in);
    buf_free(&conn->out);
    *conn = (struct conn){.fd = -1};
}

void
conn_flush(struct conn *conn)
{
    struct buf *out = &conn->out;
    struct err ignored;

    while (buf_len(out) > 0 && !conn->broken) {
        int64_t n =
            io_write_some(conn->fd, (struct bytes){out->data + out->start, buf_len(out)}, &ignored);

        if (n < 0)
            conn->broken = true;
        if (n <= 0)
            break;
        buf_consume(out, (size_t)n);
    }
    if (conn->broken)
        buf_reset(out, 0);
    if (buf_len(out) == 0)
        buf_reset(out, CONN_OUT_MAX);
}

static int
after_append(struct conn *conn, struct err *err)
{
    conn_flush(conn);
    if (buf_len(&conn->out) > conn->out_max)
        return err_set(err, EXIT_PEER, "a peer on the ack socket does not read: %zu bytes wait",
                       buf_len(&conn->out));
    return 0;
}

int
conn_send(struct conn *conn, const struct ack_message *message, struct err *err)
{
    if (conn->broken)
        return 0;
    if (ackmsg_encode(&conn->out, message) != 0)
        return err_set(err, EXIT_PEER, "out of memory for a message on the ack socket");
    return after_append(conn, err);
}

int
conn_send_frames(struct conn *conn, struct buf *frames, struct err *err)
{
    if (conn->broken)
        return 0;
    buf_append(&conn->out, frames->data + frames->start, buf_len(frames));
    buf_consume(frames, buf_len(frames));
    if (conn->out.failed)
        return err_set(err, EXIT_PEER, "out of memory for a message on the ack socket");
    return after_append(conn, err);
}
