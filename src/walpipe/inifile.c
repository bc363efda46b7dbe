/* inifile.c: see inifile.h. libinih calls take_line() for every line, which makes the checks that
 * libinih lacks. It calls take_value() for every value that it found in that line. */
#include "walpipe/inifile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* libinih's own name for its handler. The header's functions are Debian's build of it. */
#include <ini.h>

static const char blanks[] = " \t\r\n\f\v";

struct reading {
    const char *path;
    FILE *file;
    inifile_is_key *is_key;
    struct pool *pool;
    struct err *err;
    bool failed;
    int line;
    bool indented; /* the line begins with a blank */
    char *text;    /* the line, by getline(3) */
    size_t text_size;
    struct inifile_section *first;
    struct inifile_section *section; /* the last one */
    struct inifile_entry *entry;     /* the section's last one */
};

PRINTF_LIKE(3, 4)
static void
fail(struct reading *r, const char *expected, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (r->failed)
        return;
    r->failed = true;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(r->err, EXIT_REFUSED, "%s:%d: %s", r->path, r->line, text);
    err_hint(r->err, "%s", expected);
}

/* "sink dst" to kind and name, in place. */
static void
begin_section(struct reading *r, const char *inside, size_t len)
{
    struct inifile_section *s = pool_take(r->pool, sizeof *s);
    char *kind, *name;

    inside += strspn(inside, blanks);
    kind = pool_copy_bytes(r->pool, inside, len);
    for (size_t n = strlen(kind); n > 0 && strchr(blanks, kind[n - 1]) != NULL; n--)
        kind[n - 1] = '\0';
    name = kind + strcspn(kind, blanks);
    if (*name != '\0') {
        *name++ = '\0';
        name += strspn(name, blanks);
    }
    s->kind = kind;
    s->name = name;
    s->line = r->line;
    if (r->section == NULL)
        r->first = s;
    else
        r->section->next = s;
    r->section = s;
    r->entry = NULL;
}

static void
check_section_line(struct reading *r, const char *start)
{
    const char *end = strchr(start, ']');
    const char *after;

    if (r->indented && r->entry != NULL) {
        fail(r, "begin it at the start of the line", "section header is indented");
        return;
    }
    if (end == NULL) {
        fail(r, "expected [pipeline], [source] or [sink NAME]", "section header without \"]\"");
        return;
    }
    if (end - start - 1 > INIFILE_HEADER_MAX) {
        fail(r, "give it a shorter name", "section header is longer than %d bytes",
             INIFILE_HEADER_MAX);
        return;
    }
    after = end + 1 + strspn(end + 1, blanks);
    if (*after != '\0' && *after != ';' && *after != '#') {
        fail(r, "put it on a line of its own", "unexpected text after the section header");
        return;
    }
    begin_section(r, start + 1, (size_t)(end - start - 1));
}

static void
check_continuation(struct reading *r, const char *start)
{
    size_t len = strcspn(start, " \t=:");
    const char *after = start + len + strspn(start + len, blanks);
    bool conninfo = strcmp(r->entry->key, "conninfo") == 0;

    /* user is libpq's word too. */
    if ((*after == '=' || *after == ':') && r->is_key(start, len) &&
        !(conninfo && len == 4 && memcmp(start, "user", 4) == 0))
        fail(r, "remove the blanks in front of it",
             "\"%.*s\" is indented, and so would continue the value of \"%s\" in line %d", (int)len,
             start, r->entry->key, r->entry->line);
}

static void
check_line(struct reading *r)
{
    const char *start = r->text + strspn(r->text, blanks);

    if (r->line == 1 && strncmp(start, "\xef\xbb\xbf", 3) == 0)
        start += 3;
    r->indented = start != r->text && strchr(blanks, r->text[0]) != NULL;
    if (*start == '\0' || *start == ';' || *start == '#')
        return;
    if (*start == '[')
        check_section_line(r, start);
    else if (r->section == NULL)
        fail(r, "expected [pipeline], [source] or [sink NAME] first", "key outside of a section");
    else if (r->indented && r->entry != NULL)
        check_continuation(r, start);
    else if (strcspn(start, "=:") > INIFILE_NAME_MAX)
        fail(r, "expected KEY = VALUE", "key is longer than %d bytes", INIFILE_NAME_MAX);
}

/* libinih's reader, in the manner of fgets(3). */
static char *
take_line(char *out, int size, void *arg)
{
    struct reading *r = arg;
    ssize_t len;

    if (r->failed)
        return NULL;
    errno = 0;
    len = getline(&r->text, &r->text_size, r->file);
    if (len < 0) {
        if (ferror(r->file) || errno == ENOMEM)
            fail(r, "", "could not read on: %s", strerror(errno));
        return NULL;
    }
    r->line++;
    if (strlen(r->text) != (size_t)len)
        fail(r, "the file must be text", "line holds a NUL byte");
    else if (len > INIFILE_LINE_MAX || len > size - 1)
        fail(r, "split it: indented lines continue the line before", "line is longer than %d bytes",
             INIFILE_LINE_MAX);
    else
        check_line(r);
    if (r->failed)
        return NULL;
    memcpy(out, r->text, (size_t)len + 1);
    return out;
}

/* The indented line's text without the comment behind it, which libinih leaves in. */
static void
continue_value(struct reading *r, const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 1; i < len; i++)
        if (text[i] == ';' && strchr(blanks, text[i - 1]) != NULL)
            len = i;
    while (len > 0 && strchr(blanks, text[len - 1]) != NULL)
        len--;
    r->entry->value = pool_print(r->pool, "%s%s%.*s", r->entry->value,
                                 r->entry->value[0] == '\0' ? "" : " ", (int)len, text);
}

/* libinih's handler, in which 0 is an error. */
static int
take_value(void *arg, const char *section, const char *name, const char *value)
{
    struct reading *r = arg;
    struct inifile_entry *e;

    (void)section; /* cut to 49 bytes, while begin_section() took the whole one */
    if (r->failed)
        return 0;
    if (r->section == NULL) {
        fail(r, "expected [pipeline], [source] or [sink NAME] first", "key outside of a section");
        return 0;
    }
    if (r->indented && r->entry != NULL) {
        continue_value(r, value);
        return 1;
    }
    e = pool_take(r->pool, sizeof *e);
    e->key = pool_copy(r->pool, name);
    e->value = pool_copy(r->pool, value);
    e->line = r->line;
    if (r->entry == NULL)
        r->section->entries = e;
    else
        r->entry->next = e;
    r->entry = e;
    return 1;
}

static void
parse(struct reading *r)
{
    int bad_line;

    ini_use_stack = false;
    ini_allow_realloc = false;
    ini_max_line = INIFILE_LINE_MAX + 3;
    ini_initial_alloc = INIFILE_LINE_MAX + 3;
    ini_stop_on_first_error = true;
    bad_line = ini_parse_stream(take_line, r, take_value, r);
    if (bad_line == 0 || r->failed)
        return;
    if (bad_line > 0)
        r->line = bad_line;
    fail(r, "expected KEY = VALUE, [SECTION] or a comment that begins with \";\"",
         bad_line > 0 ? "line is neither a key nor a section" : "out of memory");
}

/* A FIFO would be waited for without O_NONBLOCK. Its content is there once, but walpipe reads the
 * file again at SIGHUP and after an upgrade. */
static FILE *
open_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    FILE *file = NULL;

    if (fd >= 0 && fstat(fd, &info) == 0 && !S_ISREG(info.st_mode)) {
        err_set(err, EXIT_REFUSED, "\"%s\" is not a regular file", path);
        err_hint(err, "write the config into a file, since walpipe reads it again while it runs");
    } else if (fd < 0 || (file = fdopen(fd, "r")) == NULL) {
        err_set(err, EXIT_REFUSED, "could not open \"%s\": %s", path, strerror(errno));
        err_hint(err, "name the config file with -c FILE; see walpipe.conf(5)");
    }
    if (fd >= 0 && file == NULL)
        close(fd);
    return file;
}

int
inifile_read(const char *path, inifile_is_key *is_key, struct pool *pool,
             struct inifile_section **sections, struct err *err)
{
    struct reading r = {.path = path, .is_key = is_key, .pool = pool, .err = err};

    r.file = open_file(path, err);
    if (r.file == NULL)
        return -1;
    parse(&r);
    fclose(r.file);
    free(r.text);
    *sections = r.first;
    return r.failed ? -1 : 0;
}
