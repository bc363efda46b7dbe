/* copynote.c: see copynote.h. */
#include "lib/copynote.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/lsn.h"

static const char *const kinds[] = {"sink", "part", "missing", "error", "lacks", "skip", "parked"};

enum { KINDS = sizeof kinds / sizeof *kinds, FIELDS_MAX = 13 };

/* For each kind, including its name. */
static const size_t fields_of[KINDS] = {8, 13, 3, 2, 6, 4, 6};

/* ---- there ---- */

static void
add(struct buf *out, const char *text)
{
    buf_append(out, text, strlen(text));
}

static void
add_text(struct buf *out, const char *text)
{
    static const char plain[] = "\t\n\r\\", written[] = "tnr\\";

    add(out, "\t");
    for (; *text != '\0'; text++) {
        const char *found = strchr(plain, *text);

        if (found == NULL)
            buf_append(out, text, 1);
        else
            buf_append(out, (const char[]){'\\', written[found - plain]}, 2);
    }
}

static void
add_number(struct buf *out, uint64_t n)
{
    char text[24];

    snprintf(text, sizeof text, "\t%" PRIu64, n);
    add(out, text);
}

static void
add_part(struct buf *out, const struct copynote *n)
{
    add_number(out, n->relid);
    add_number(out, n->part);
    add_number(out, n->shard);
    add_text(out, n->state);
    add_text(out, lsn_format(n->lsn).text);
    add_number(out, n->file);
    add_number(out, n->count);
    add_number(out, n->updated);
    add_number(out, n->behind);
    add_text(out, n->done);
    add_text(out, n->schema);
    add_text(out, n->name);
}

void
copynote_print(const struct copynote *n, struct buf *out)
{
    add(out, kinds[n->kind]);
    switch (n->kind) {
    case COPYNOTE_SINK:
        add_text(out, n->state);
        add_text(out, lsn_format(n->lsn).text);
        add_number(out, n->workers);
        add_number(out, n->noted);
        add_number(out, n->settled);
        add_number(out, n->system);
        add_number(out, n->timeline);
        break;
    case COPYNOTE_PART:
        add_part(out, n);
        break;
    case COPYNOTE_MISSING:
        add_number(out, n->relid);
        add_number(out, n->count);
        break;
    case COPYNOTE_PARKED:
        add_number(out, n->relid);
        add_number(out, n->updated);
        add_text(out, lsn_format(n->lsn).text);
        add_text(out, n->message);
        add_text(out, n->hint);
        break;
    case COPYNOTE_ERROR:
        add_text(out, n->message);
        break;
    case COPYNOTE_LACKS:
        add_number(out, n->relid);
        add_text(out, lsn_format(n->lsn).text);
        add_number(out, n->count);
        add_text(out, n->schema);
        add_text(out, n->name);
        break;
    case COPYNOTE_SKIP:
        add_text(out, lsn_format(n->lsn).text);
        add_text(out, n->schema);
        add_text(out, n->name);
        break;
    }
    add(out, "\n");
}

int
copynote_answer(struct buf *lines, int rc, FILE *out, struct err *err)
{
    if (rc != 0) {
        struct copynote error = {.kind = COPYNOTE_ERROR, .message = err->message};

        buf_reset(lines, 1u << 16);
        copynote_print(&error, lines);
    }
    if (rc == 0 && lines->failed)
        rc = err_set(err, EXIT_PEER, "out of memory for the notes of tables");
    if (fwrite(lines->data + lines->start, 1, buf_len(lines), out) != buf_len(lines) ||
        fflush(out) != 0)
        rc = rc != 0 ? rc : err_set(err, EXIT_PEER, "could not write the output");
    return rc;
}

/* ---- and back ---- */

/* Decodes the escapes of the text, in its place. */
static bool
read_text(char *text)
{
    char *to = text;

    for (; *text != '\0'; text++) {
        if (*text == '\\')
            switch (*++text) {
            case 't':
                *text = '\t';
                break;
            case 'n':
                *text = '\n';
                break;
            case 'r':
                *text = '\r';
                break;
            case '\\':
                break;
            default:
                return false;
            }
        *to++ = *text;
    }
    *to = '\0';
    return true;
}

static bool
read_number(const char *text, uint64_t most, uint64_t *n)
{
    char *end;

    if (text[0] < '0' || text[0] > '9' || strlen(text) > 19)
        return false;
    *n = strtoull(text, &end, 10);
    return *end == '\0' && *n <= most;
}

static bool
read_u32(const char *text, uint32_t *out)
{
    uint64_t n;

    if (!read_number(text, UINT32_MAX, &n))
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool
read_bool(const char *text, bool *out)
{
    *out = text[0] == '1';
    return (text[0] == '0' || text[0] == '1') && text[1] == '\0';
}

static bool
read_part(char *const *fields, struct copynote *n)
{
    n->state = fields[4];
    n->done = fields[10];
    n->schema = fields[11];
    n->name = fields[12];
    return read_u32(fields[1], &n->relid) && read_u32(fields[2], &n->part) &&
           read_u32(fields[3], &n->shard) && lsn_parse(fields[5], &n->lsn) &&
           read_u32(fields[6], &n->file) && read_number(fields[7], UINT64_MAX, &n->count) &&
           read_number(fields[8], UINT64_MAX, &n->updated) && read_bool(fields[9], &n->behind);
}

static bool
read_fields(char *const *fields, size_t count, struct copynote *n)
{
    size_t kind = 0;

    while (kind < KINDS && strcmp(fields[0], kinds[kind]) != 0)
        kind++;
    if (kind == KINDS || count != fields_of[kind])
        return false;
    for (size_t i = 1; i < count; i++)
        if (!read_text(fields[i]))
            return false;
    *n = (struct copynote){.kind = (enum copynote_kind)kind};
    switch (n->kind) {
    case COPYNOTE_SINK:
        n->state = fields[1];
        return lsn_parse(fields[2], &n->lsn) && read_u32(fields[3], &n->workers) &&
               read_bool(fields[4], &n->noted) && read_bool(fields[5], &n->settled) &&
               read_number(fields[6], UINT64_MAX, &n->system) && read_u32(fields[7], &n->timeline);
    case COPYNOTE_PART:
        return read_part(fields, n);
    case COPYNOTE_MISSING:
        return read_u32(fields[1], &n->relid) && read_number(fields[2], UINT64_MAX, &n->count);
    case COPYNOTE_PARKED:
        n->message = fields[4];
        n->hint = fields[5];
        return read_u32(fields[1], &n->relid) && read_number(fields[2], UINT64_MAX, &n->updated) &&
               lsn_parse(fields[3], &n->lsn);
    case COPYNOTE_ERROR:
        n->message = fields[1];
        return true;
    case COPYNOTE_LACKS:
        n->schema = fields[4];
        n->name = fields[5];
        return read_u32(fields[1], &n->relid) && lsn_parse(fields[2], &n->lsn) &&
               read_number(fields[3], UINT64_MAX, &n->count);
    case COPYNOTE_SKIP:
        n->schema = fields[2];
        n->name = fields[3];
        return lsn_parse(fields[1], &n->lsn);
    }
    return false;
}

int
copynote_next(char **at, struct copynote *n)
{
    char *fields[FIELDS_MAX], *end = strchr(*at, '\n'), *tab = *at;
    size_t count = 0;

    if (**at == '\0')
        return 0;
    if (end == NULL)
        return -1;
    *end = '\0';
    while (tab != NULL && count < FIELDS_MAX) {
        fields[count++] = tab;
        tab = strchr(tab, '\t');
        if (tab != NULL)
            *tab++ = '\0';
    }
    *at = end + 1;
    return tab == NULL && read_fields(fields, count, n) ? 1 : -1;
}
