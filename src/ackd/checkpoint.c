/* checkpoint.c: see checkpoint.h. */
#include "ackd/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/hash.h"
#include "lib/lsn.h"

#define TEMPORARY_NAME "checkpoint.tmp"
#define SWITCH_LSN     "switch_lsn="
#define CHECK_LINE     (sizeof "check=0123456789abcdef\n" - 1)

/* ---- encode and decode ---- */

struct text {
    char *out;
    size_t len;
};

static void
add(struct text *t, const char *s)
{
    size_t n = strlen(s);

    memcpy(t->out + t->len, s, n);
    t->len += n;
}

static bool
needs_escape(unsigned char c)
{
    return c < 0x21 || c == 0x7f || c == '%';
}

static void
add_name(struct text *t, const char *key, const char *value)
{
    add(t, key);
    for (; *value != '\0'; value++) {
        char piece[4] = {*value};

        if (needs_escape((unsigned char)*value))
            snprintf(piece, sizeof piece, "%%%02X", (unsigned)(unsigned char)*value);
        add(t, piece);
    }
    add(t, "\n");
}

static void
add_number(struct text *t, const char *key, uint64_t value)
{
    char line[64];

    snprintf(line, sizeof line, "%s%" PRIu64 "\n", key, value);
    add(t, line);
}

size_t
checkpoint_encode(char out[CHECKPOINT_SIZE_MAX], const struct checkpoint *c)
{
    struct text t = {.out = out};
    char check[CHECK_LINE + 1];

    add_number(&t, "format=", 1);
    add_name(&t, "pipeline=", c->pipeline);
    add_number(&t, "system_identifier=", c->system_identifier);
    add_number(&t, "timeline=", c->timeline);
    add_name(&t, "database=", c->database);
    add_name(&t, "slot=", c->slot);
    add(&t, "sinks=");
    add(&t, c->sinks);
    add(&t, "\nsafe_lsn=");
    add(&t, lsn_format(c->safe_lsn).text);
    add(&t, "\n");
    if (c->switch_lsn != 0) {
        add(&t, SWITCH_LSN);
        add(&t, lsn_format(c->switch_lsn).text);
        add(&t, "\n");
    }
    snprintf(check, sizeof check, "check=%016" PRIx64 "\n", hash_bytes(HASH_SEED, out, t.len));
    add(&t, check);
    return t.len;
}

/* The remaining lines. Each is terminated with NUL when it is taken. */
struct lines {
    char *at;
};

/* Returns the value of the next line, or NULL if the line has another key. */
static char *
next_value(struct lines *l, const char *key)
{
    size_t n = strlen(key);
    char *value = l->at + n;
    char *newline;

    if (strncmp(l->at, key, n) != 0)
        return NULL;
    newline = strchr(value, '\n');
    if (newline == NULL)
        return NULL;
    *newline = '\0';
    l->at = newline + 1;
    return value;
}

static bool
next_number(struct lines *l, const char *key, uint64_t max, uint64_t *out)
{
    char *value = next_value(l, key);
    char *rest;

    if (value == NULL || value[0] < '0' || value[0] > '9')
        return false;
    errno = 0;
    *out = strtoull(value, &rest, 10);
    return errno == 0 && *rest == '\0' && *out <= max;
}

static int
hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
next_name(struct lines *l, const char *key, char out[NAME_MAX_BYTES + 1])
{
    const char *in = next_value(l, key);
    size_t n = 0;

    if (in == NULL)
        return false;
    while (*in != '\0') {
        int c = (unsigned char)*in++;

        if (c == '%') {
            int high = hex_digit(in[0]);
            int low = high < 0 ? -1 : hex_digit(in[1]);

            if (low < 0)
                return false;
            c = high << 4 | low;
            in += 2;
        }
        if (c == 0 || n == NAME_MAX_BYTES)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

static bool
next_sinks(struct lines *l, char out[CHECKPOINT_SINKS_SIZE])
{
    const char *value = next_value(l, "sinks=");

    if (value == NULL || strlen(value) >= CHECKPOINT_SINKS_SIZE)
        return false;
    memcpy(out, value, strlen(value) + 1);
    return true;
}

static bool
next_lsn(struct lines *l, const char *key, uint64_t *out)
{
    const char *value = next_value(l, key);

    return value != NULL && lsn_parse(value, out) && *out != 0;
}

/* Older checkpoints have no such line. */
static bool
next_switch(struct lines *l, uint64_t *out)
{
    *out = 0;
    return *l->at == '\0' || next_lsn(l, SWITCH_LSN, out);
}

static bool
check_matches(struct bytes text)
{
    char expected[CHECK_LINE + 1];
    size_t covered;

    if (text.len < CHECK_LINE)
        return false;
    covered = text.len - CHECK_LINE;
    snprintf(expected, sizeof expected, "check=%016" PRIx64 "\n",
             hash_bytes(HASH_SEED, text.data, covered));
    return memcmp(text.data + covered, expected, CHECK_LINE) == 0;
}

const char *
checkpoint_decode(struct bytes text, struct checkpoint *c)
{
    char copy[CHECKPOINT_SIZE_MAX + 1];
    struct lines l = {.at = copy};
    uint64_t format, timeline;

    if (text.len == 0)
        return "it is empty";
    if (text.len > CHECKPOINT_SIZE_MAX)
        return "it is too long";
    if (!check_matches(text))
        return "its check line does not match: it was cut short, damaged or edited";
    memcpy(copy, text.data, text.len);
    copy[text.len - CHECK_LINE] = '\0';
    if (!next_number(&l, "format=", UINT64_MAX, &format))
        return "it does not begin with \"format=\"";
    if (format != 1)
        return "its format is not 1: another release of walpipe wrote it";
    if (!next_name(&l, "pipeline=", c->pipeline) ||
        !next_number(&l, "system_identifier=", UINT64_MAX, &c->system_identifier) ||
        !next_number(&l, "timeline=", UINT32_MAX, &timeline) ||
        !next_name(&l, "database=", c->database) || !next_name(&l, "slot=", c->slot) ||
        !next_sinks(&l, c->sinks) || !next_lsn(&l, "safe_lsn=", &c->safe_lsn) ||
        !next_switch(&l, &c->switch_lsn) || *l.at != '\0' || l.at != copy + text.len - CHECK_LINE)
        return "a line is missing, malformed or unknown";
    c->timeline = (uint32_t)timeline;
    return NULL;
}

uint32_t
checkpoint_shards(const char *sinks, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = sinks; at != NULL && *at != '\0'; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, name, n) == 0 && at[n] == '/')
            return (uint32_t)strtoul(at + n + 1, NULL, 10);
    }
    return 0;
}

/* ---- the file ---- */

static int
refuse_file(const char *dir_path, const char *why, struct err *err)
{
    err_set(err, EXIT_REFUSED, "cannot use checkpoint \"%s/%s\": %s", dir_path, CHECKPOINT_NAME,
            why);
    return err_hint(err,
                    "restore the file from a backup; or, when the targets are known to have all "
                    "changes up to the slot's confirmed_flush_lsn, remove it");
}

int
checkpoint_read(int dir, const char *dir_path, struct checkpoint *c, struct err *err)
{
    char text[CHECKPOINT_SIZE_MAX + 1];
    size_t len = 0;
    ssize_t n;
    const char *why;
    int fd = openat(dir, CHECKPOINT_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return errno == ENOENT ? 0 : refuse_file(dir_path, strerror(errno), err);
    do {
        n = read(fd, text + len, sizeof text - len);
        len += n > 0 ? (size_t)n : 0;
    } while ((n > 0 && len < sizeof text) || (n < 0 && errno == EINTR));
    why = n < 0 ? strerror(errno) : NULL;
    close(fd);
    if (why == NULL)
        why = checkpoint_decode((struct bytes){(const uint8_t *)text, len}, c);
    return why == NULL ? 1 : refuse_file(dir_path, why, err);
}

static bool
write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool
write_temporary(int dir, const char *text, size_t len)
{
    int fd =
        openat(dir, TEMPORARY_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int why;
    bool ok;

    if (fd < 0)
        return false;
    ok = write_all(fd, text, len) && fsync(fd) == 0;
    why = errno;
    close(fd);
    errno = why;
    return ok;
}

int
checkpoint_write(int dir, const char *dir_path, const struct checkpoint *c, struct err *err)
{
    char text[CHECKPOINT_SIZE_MAX];
    size_t len = checkpoint_encode(text, c);

    if (!write_temporary(dir, text, len) ||
        renameat(dir, TEMPORARY_NAME, dir, CHECKPOINT_NAME) != 0 || fsync(dir) != 0)
        return err_set(err, EXIT_PEER, "could not write checkpoint \"%s/%s\": %s", dir_path,
                       CHECKPOINT_NAME, strerror(errno));
    return 0;
}
