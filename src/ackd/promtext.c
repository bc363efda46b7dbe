/* promtext.c: see promtext.h. */
#include "ackd/promtext.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
promtext_add(struct buf *page, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_append(page, text, strlen(text));
}

void
promtext_family(struct buf *page, const char *name, const char *type, const char *help)
{
    promtext_add(page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void
promtext_single(struct buf *page, const char *name, const char *type, const char *help,
                uint64_t value)
{
    promtext_family(page, name, type, help);
    promtext_add(page, "%s %" PRIu64 "\n", name, value);
}

void
promtext_seconds(struct buf *page, const char *name, const char *help, double value)
{
    promtext_family(page, name, "gauge", help);
    if (isinf(value))
        promtext_add(page, "%s +Inf\n", name);
    else
        promtext_add(page, "%s %.6f\n", name, value);
}

void
promtext_label(struct buf *page, const char *text)
{
    for (; *text != '\0'; text++)
        if (*text == '\n')
            buf_append(page, "\\n", 2);
        else if (*text == '"' || *text == '\\')
            buf_append(page, (const char[]){'\\', *text}, 2);
        else
            buf_append(page, text, 1);
}

/* Copies the line of a metric, with the label of the pipeline in front of its other labels. A
 * pipeline without a name has no label. */
static void
add_labelled(struct buf *page, const char *line, size_t len, const char *pipeline)
{
    size_t name = strcspn(line, "{ ");

    if (line[0] == '#' || pipeline[0] == '\0') {
        buf_append(page, line, len);
        return;
    }
    buf_append(page, line, name);
    promtext_add(page, "{pipeline=\"%s\"", pipeline);
    if (line[name] == '{') {
        buf_append(page, ",", 1);
        name++;
    } else
        buf_append(page, "}", 1);
    buf_append(page, line + name, len - name);
}

void
promtext_label_all(struct buf *page, struct buf *lines, const char *pipeline)
{
    const char *at, *end;

    buf_append(lines, "", 1);
    if (lines->failed) {
        page->failed = true;
        return;
    }
    for (at = (const char *)lines->data; *at != '\0'; at = end) {
        end = at + strcspn(at, "\n") + 1; /* every line has its end */
        add_labelled(page, at, (size_t)(end - at), pipeline);
    }
}
