/* ackd_checkpoint.c: the checkpoint file survives a crash, and is refused when one byte of it is
 * wrong (traps 151, 163).
 * links: ackd/checkpoint lib/err lib/lsn; */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ackd/checkpoint.h"
#include "check.h"
#include "lib/hash.h"

static struct checkpoint
example(void)
{
    return (struct checkpoint){.pipeline = "orders",
                               .system_identifier = UINT64_MAX,
                               .timeline = UINT32_MAX,
                               .database = "a \n=%\x7f\xc3\xa4",
                               .slot = "orders",
                               .sinks = "dst/1 dst2/16 olap/256",
                               .safe_lsn = UINT64_C(0x16B374D848),
                               .switch_lsn = UINT64_MAX};
}

static bool
same(const struct checkpoint *a, const struct checkpoint *b)
{
    return strcmp(a->pipeline, b->pipeline) == 0 && a->system_identifier == b->system_identifier &&
           a->timeline == b->timeline && strcmp(a->database, b->database) == 0 &&
           strcmp(a->slot, b->slot) == 0 && strcmp(a->sinks, b->sinks) == 0 &&
           a->safe_lsn == b->safe_lsn && a->switch_lsn == b->switch_lsn;
}

static const char *
decode(const char *text, size_t len, struct checkpoint *out)
{
    /* A copy of exactly len bytes, so that the sanitizer sees a read beyond it. */
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    const char *why;

    memcpy(copy, text, len);
    why = checkpoint_decode((struct bytes){copy, len}, out);
    free(copy);
    return why;
}

static void
round_trip(void)
{
    struct checkpoint in = example(), out;
    char text[CHECKPOINT_SIZE_MAX];
    size_t len = checkpoint_encode(text, &in);

    check(decode(text, len, &out) == NULL && same(&in, &out), "what is written is read");
    in.pipeline[0] = in.database[0] = in.sinks[0] = '\0';
    in.switch_lsn = 0;
    len = checkpoint_encode(text, &in);
    check(decode(text, len, &out) == NULL && same(&in, &out),
          "also with empty names, and without the line of a promotion");
}

static void
largest(void)
{
    struct checkpoint in = example(), out;
    char text[CHECKPOINT_SIZE_MAX + 1];
    size_t len;

    memset(in.pipeline, '\n', NAME_MAX_BYTES);
    memset(in.database, '%', NAME_MAX_BYTES);
    memset(in.slot, 1, NAME_MAX_BYTES);
    memset(in.sinks, 'x', sizeof in.sinks - 1);
    len = checkpoint_encode(text, &in);
    check(len <= CHECKPOINT_SIZE_MAX && decode(text, len, &out) == NULL && same(&in, &out),
          "all at their longest: %zu bytes", len);
    check(decode(text, sizeof text, &out) != NULL, "a byte too long is refused");
}

static void
damage(void)
{
    struct checkpoint in = example(), out;
    char text[CHECKPOINT_SIZE_MAX];
    size_t len = checkpoint_encode(text, &in);
    size_t accepted = 0;

    for (size_t cut = 0; cut < len; cut++)
        accepted += decode(text, cut, &out) == NULL;
    check(accepted == 0, "cut short at any of %zu bytes it is refused", len);
    for (size_t at = 0; at < len; at++)
        for (int flip = 1; flip < 256; flip++) {
            text[at] = (char)(text[at] ^ flip);
            accepted += decode(text, len, &out) == NULL;
            text[at] = (char)(text[at] ^ flip);
        }
    check(accepted == 0, "with any byte changed to any other it is refused");
    text[len] = '\n';
    check(decode(text, len + 1, &out) != NULL, "with a byte behind it it is refused");
}

/* A check line that fits the bytes, as an editor with a calculator would make it. */
static const char *
sealed(const char *lines, struct checkpoint *out)
{
    char text[1024];
    int n = snprintf(text, sizeof text, "%scheck=%016llx\n", lines,
                     (unsigned long long)hash_bytes(HASH_SEED, lines, strlen(lines)));

    return decode(text, (size_t)n, out);
}

static void
foreign(void)
{
    static const char *const refused[] = {
        "",
        "format=2\npipeline=p\nsystem_identifier=1\ntimeline=1\ndatabase=d\nslot=s\nsinks=\n"
        "safe_lsn=0/1\n",
        "format=1\npipeline=p\nsystem_identifier=1\ntimeline=1\ndatabase=d\nslot=s\nsinks=\n",
        "format=1\npipeline=p\nsystem_identifier=1\ntimeline=1\ndatabase=d\nslot=s\nsinks=\n"
        "safe_lsn=0/0\n",
        "format=1\npipeline=p\nsystem_identifier=1\ntimeline=1\ndatabase=d\nslot=s\nsinks=\n"
        "safe_lsn=0/1\nmore=1\n",
        "format=1\npipeline=p\nsystem_identifier=1\ntimeline=4294967296\ndatabase=d\nslot=s\n"
        "sinks=\nsafe_lsn=0/1\n",
        "format=1\npipeline=p\nsystem_identifier=18446744073709551616\ntimeline=1\ndatabase=d\n"
        "slot=s\nsinks=\nsafe_lsn=0/1\n",
        "format=1\npipeline=p\nsystem_identifier=-1\ntimeline=1\ndatabase=d\nslot=s\nsinks=\n"
        "safe_lsn=0/1\n",
        "format=1\npipeline=p%0\nsystem_identifier=1\ntimeline=1\ndatabase=d\nslot=s\nsinks=\n"
        "safe_lsn=0/1\n",
        "format=1\npipeline=p%00\nsystem_identifier=1\ntimeline=1\ndatabase=d\nslot=s\nsinks=\n"
        "safe_lsn=0/1\n",
        "format=1\npipeline=p\ntimeline=1\nsystem_identifier=1\ndatabase=d\nslot=s\nsinks=\n"
        "safe_lsn=0/1\n",
    };
    struct checkpoint out;

    check(sealed("format=1\npipeline=p\nsystem_identifier=1\ntimeline=1\ndatabase=d\nslot=s\nsinks="
                 "\nsafe_lsn=0/1\n",
                 &out) == NULL &&
              out.safe_lsn == 1,
          "the example itself is good");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        check(sealed(refused[i], &out) != NULL, "refused in spite of a fitting check line: %zu", i);
}

static void
on_disk(void)
{
    char path[] = "/tmp/ackd_checkpoint.XXXXXX", file[64], temporary[64];
    struct checkpoint in = example(), out;
    struct err err = {0};
    int dir;

    if (mkdtemp(path) == NULL)
        abort();
    dir = open(path, O_RDONLY | O_DIRECTORY);
    snprintf(file, sizeof file, "%s/checkpoint", path);
    snprintf(temporary, sizeof temporary, "%s/checkpoint.tmp", path);
    check(checkpoint_read(dir, path, &out, &err) == 0, "no file is no checkpoint");
    check(checkpoint_write(dir, path, &in, &err) == 0 &&
              checkpoint_read(dir, path, &out, &err) == 1 && same(&in, &out),
          "write, then read");
    check(access(temporary, F_OK) != 0, "no temporary file stays behind");
    /* a crash while the temporary file was written */
    close(open(temporary, O_WRONLY | O_CREAT, 0600));
    check(checkpoint_read(dir, path, &out, &err) == 1 && same(&in, &out),
          "a torn temporary file does not matter");
    in.safe_lsn++;
    check(checkpoint_write(dir, path, &in, &err) == 0 &&
              checkpoint_read(dir, path, &out, &err) == 1 && same(&in, &out),
          "nor does it stand in the way");
    check(truncate(file, 0) == 0 && checkpoint_read(dir, path, &out, &err) == -1 &&
              err.code == EXIT_REFUSED && strstr(err.message, file) != NULL,
          "an empty file is refused and named: %s", err.message);
    check(unlink(file) == 0 && mkdir(file, 0700) == 0 &&
              checkpoint_read(dir, path, &out, &err) == -1 && err.code == EXIT_REFUSED,
          "so is a directory: %s", err.message);
    check(checkpoint_write(dir, path, &in, &err) == -1 && err.code == EXIT_PEER,
          "a failed write is reported: %s", err.message);
    unlink(temporary);
    rmdir(file);
    rmdir(path);
    close(dir);
}

static void
sinks(void)
{
    check(checkpoint_shards("dst/1 dst2/16 olap/256", "dst") == 1 &&
              checkpoint_shards("dst/1 dst2/16 olap/256", "dst2") == 16 &&
              checkpoint_shards("dst/1 dst2/16 olap/256", "olap") == 256,
          "shards of a sink");
    check(checkpoint_shards("dst/1 dst2/16", "ds") == 0 && checkpoint_shards("", "dst") == 0 &&
              checkpoint_shards("xdst/1", "dst") == 0,
          "shards of a sink that is not there");
}

int
main(void)
{
    round_trip();
    largest();
    damage();
    foreign();
    on_disk();
    sinks();
    return check_done();
}
