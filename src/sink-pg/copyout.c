/* copyout.c: see copyout.h. Must not know tables. */
#include "sink-pg/copyout.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPY_CHUNK (128u << 10)

enum copy_format
copyout_format(const struct value *row, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (row[i].kind == VALUE_BINARY)
            return COPY_BINARY;
    return COPY_TEXT;
}

/* Takes results up to the end, or up to COPY's turn. */
static int
take_results(struct session *s, const char *what, bool copy, uint64_t *affected, size_t counts_max,
             struct err *err)
{
    PGresult *result;
    size_t n = 0;
    int rc = 0;

    while ((result = PQgetResult(s->conn)) != NULL) {
        ExecStatusType status = PQresultStatus(result);

        if (status == PGRES_COPY_IN) {
            PQclear(result);
            if (copy && rc == 0)
                return 0;
            PQputCopyEnd(s->conn, "not expected");
            continue;
        }
        if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
            if (n < counts_max)
                affected[n++] = strtoull(PQcmdTuples(result), NULL, 10);
        } else if (rc == 0) {
            rc = pqx_error(s->conn, result, what, err);
        }
        PQclear(result);
        if (PQstatus(s->conn) != CONNECTION_OK)
            break;
    }
    if (rc == 0 && PQstatus(s->conn) != CONNECTION_OK)
        return pqx_error(s->conn, NULL, what, err);
    if (rc == 0 && copy)
        return err_set(err, EXIT_BUG, "could not %s: the server did not ask for data", what);
    return rc;
}

int
copyout_script(struct session *s, const char *what, const char *script, uint64_t *affected,
               size_t counts_max, struct err *err)
{
    if (PQsendQuery(s->conn, script) != 1)
        return pqx_error(s->conn, NULL, what, err);
    return take_results(s, what, false, affected, counts_max, err);
}

int
copyout_begin(struct copyout *c, struct session *session, const char *script,
              enum copy_format format, uint64_t *affected, size_t counts_max, struct err *err)
{
    static const uint8_t header[19] = "PGCOPY\n\377\r\n";

    c->session = session;
    c->format = format;
    c->not_recoded = false;
    buf_reset(&c->out, 4 * COPY_CHUNK);
    if (PQsendQuery(session->conn, script) != 1)
        return pqx_error(session->conn, NULL, "copy rows", err);
    if (take_results(session, "copy rows", true, affected, counts_max, err) != 0)
        return -1;
    if (format == COPY_BINARY)
        buf_append(&c->out, header, sizeof header);
    return 0;
}

static void
append_u16(struct buf *out, uint16_t n)
{
    n = htons(n);
    buf_append(out, &n, sizeof n);
}

static void
append_u32(struct buf *out, uint32_t n)
{
    n = htonl(n);
    buf_append(out, &n, sizeof n);
}

void
copyout_row(struct copyout *c, uint32_t fields)
{
    c->fields = 0;
    if (c->format == COPY_BINARY)
        append_u16(&c->out, (uint16_t)fields);
}

static void
separate(struct copyout *c)
{
    if (c->format == COPY_TEXT && c->fields++ > 0)
        buf_append(&c->out, "\t", 1);
}

/* The byte that stands for this one behind a backslash. 0: it stays as it is. NUL is marked by 1.
 */
static const uint8_t escapes[256] = {[0] = 1,      ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n',
                                     ['\r'] = 'r', ['\t'] = 't', ['\v'] = 'v', ['\\'] = '\\'};

bool
copyout_escape(struct buf *out, const uint8_t *data, size_t len)
{
    size_t done = 0;

    for (size_t i = 0; i < len; i++) {
        char pair[2] = {'\\', (char)escapes[data[i]]};

        if (pair[1] == 0)
            continue;
        if (data[i] == 0)
            return false;
        buf_append(out, data + done, i - done);
        buf_append(out, pair, 2);
        done = i + 1;
    }
    buf_append(out, data + done, len - done);
    return true;
}

static int
send_out(struct copyout *c, struct err *err)
{
    const char *at = (const char *)c->out.data + c->out.start;
    size_t left = buf_len(&c->out);

    if (c->out.failed)
        return err_set(err, EXIT_PEER, "out of memory for COPY");
    while (left > 0) {
        int n = left > (1u << 30) ? 1 << 30 : (int)left;

        if (PQputCopyData(c->session->conn, at, n) != 1)
            return pqx_error(c->session->conn, NULL, "copy rows", err);
        at += n;
        left -= (size_t)n;
    }
    buf_reset(&c->out, 4 * COPY_CHUNK);
    return 0;
}

static bool
append_piece(struct copyout *c, enum recode way, struct bytes piece)
{
    if (c->format == COPY_TEXT)
        return copyout_escape(&c->out, piece.data, piece.len);
    if (way == RECODE_BYTEA)
        return recode_hex(&c->out, piece);
    buf_append(&c->out, piece.data, piece.len);
    return true;
}

/* In pieces, so that a large value is held neither here nor in libpq. */
static bool
put_pieces(struct copyout *c, enum recode way, struct bytes value, int *sent, struct err *err)
{
    for (;;) {
        size_t n = value.len < COPY_CHUNK ? value.len : COPY_CHUNK;

        if (!append_piece(c, way, (struct bytes){.data = value.data, .len = n}))
            return false;
        value.len -= n;
        if (value.len == 0)
            return true;
        value.data += n;
        if (buf_len(&c->out) >= COPY_CHUNK && (*sent = send_out(c, err)) != 0)
            return true;
    }
}

static int
put_same(struct copyout *c, const struct value *v, struct err *err)
{
    struct bytes all = {.data = v->data, .len = v->len};
    int sent = 0;

    if (c->format == COPY_BINARY)
        append_u32(&c->out, v->len);
    if (!put_pieces(c, RECODE_SAME, all, &sent, err))
        return err_set(err, EXIT_REFUSED, "a text value holds a NUL byte");
    return sent;
}

static int
put_recoded(struct copyout *c, const struct value *v, enum recode way, struct err *err)
{
    struct bytes text = {.data = v->data, .len = v->len};
    int sent = 0;
    bool known;

    switch (way) {
    case RECODE_SAME:
        return put_same(c, v, err);
    case RECODE_JSONB:
        append_u32(&c->out, v->len + 1);
        buf_append(&c->out, "\1", 1); /* the version of the format */
        known = put_pieces(c, RECODE_SAME, text, &sent, err);
        break;
    case RECODE_BYTEA:
        known = text.len >= 2 && text.len % 2 == 0 && memcmp(text.data, "\\x", 2) == 0;
        if (!known)
            break;
        text.data += 2;
        text.len -= 2;
        append_u32(&c->out, (uint32_t)(text.len / 2));
        known = put_pieces(c, RECODE_BYTEA, text, &sent, err);
        break;
    default:
        known = recode_small(&c->out, way, text);
    }
    if (known)
        return sent;
    c->not_recoded = true;
    return err_set(err, EXIT_REFUSED, "a text without a known binary form");
}

int
copyout_value(struct copyout *c, const struct value *v, enum recode way, struct err *err)
{
    if (v->kind == VALUE_NULL) {
        copyout_null(c);
        return 0;
    }
    if (v->kind == VALUE_UNCHANGED || (v->kind == VALUE_BINARY && c->format != COPY_BINARY) ||
        (v->kind == VALUE_TEXT && c->format == COPY_BINARY && way == RECODE_NONE))
        return err_set(err, EXIT_REFUSED, "values in text and in binary format side by side");
    separate(c);
    if (v->kind == VALUE_TEXT && c->format == COPY_BINARY)
        return put_recoded(c, v, way, err);
    return put_same(c, v, err);
}

void
copyout_char(struct copyout *c, char value)
{
    separate(c);
    if (c->format == COPY_BINARY)
        append_u32(&c->out, 1);
    buf_append(&c->out, &value, 1);
}

void
copyout_number(struct copyout *c, uint32_t value)
{
    char text[16];

    separate(c);
    if (c->format == COPY_BINARY) {
        append_u32(&c->out, 4);
        append_u32(&c->out, value);
        return;
    }
    buf_append(&c->out, text, (size_t)snprintf(text, sizeof text, "%u", value));
}

void
copyout_null(struct copyout *c)
{
    separate(c);
    if (c->format == COPY_BINARY)
        append_u32(&c->out, UINT32_MAX);
    else
        buf_append(&c->out, "\\N", 2);
}

int
copyout_row_end(struct copyout *c, struct err *err)
{
    if (c->format == COPY_TEXT)
        buf_append(&c->out, "\n", 1);
    return buf_len(&c->out) < COPY_CHUNK ? 0 : send_out(c, err);
}

int
copyout_end(struct copyout *c, struct err *err)
{
    if (c->format == COPY_BINARY)
        append_u16(&c->out, UINT16_MAX);
    if (send_out(c, err) != 0) {
        copyout_abort(c);
        return -1;
    }
    if (PQputCopyEnd(c->session->conn, NULL) != 1)
        return pqx_error(c->session->conn, NULL, "copy rows", err);
    return take_results(c->session, "copy rows", false, NULL, 0, err);
}

void
copyout_abort(struct copyout *c)
{
    struct err ignored;

    if (PQputCopyEnd(c->session->conn, "the sink gave the batch up") == 1 &&
        take_results(c->session, "copy rows", false, NULL, 0, &ignored) == 0)
        return;
}

void
copyout_free(struct copyout *c)
{
    buf_free(&c->out);
}
