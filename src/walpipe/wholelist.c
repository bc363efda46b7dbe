/* wholelist.c: see wholelist.h. Each entry of a file is a line "# ENTRY: REASON" and a line "TABLE
 * -> GROUP" or "*". */
#include "walpipe/wholelist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walpipe/plan.h"

static void
add(struct wholelist *list, struct pool *pool, const struct whole_table *table)
{
    if (list->count == list->size) {
        size_t size = list->size == 0 ? 64 : 2 * list->size;
        struct whole_table *more = pool_take(pool, size * sizeof *more);

        if (list->count > 0)
            memcpy(more, list->tables, list->count * sizeof *more);
        list->tables = more;
        list->size = size;
    }
    list->tables[list->count++] = *table;
}

/* The reason in a comment's text, which begins with the entry that it is about, unless that is
 * "*". */
static const char *
reason_of(const char *comment, const char *entry)
{
    size_t len = strlen(entry);

    return strncmp(comment, entry, len) == 0 && strncmp(comment + len, ": ", 2) == 0
               ? comment + len + 2
               : comment;
}

static void
read_file(struct wholelist *list, const char *sink, FILE *file, struct pool *pool)
{
    char *line = NULL, *comment = pool_copy(pool, "");
    size_t size = 0;

    while (getline(&line, &size, file) > 0) {
        struct whole_table table = {.sink = sink};
        char *arrow;

        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "# ", 2) == 0) {
            comment = pool_copy(pool, line + 2);
            continue;
        }
        if (line[0] == '\0')
            continue;
        table.reason = reason_of(comment, line);
        arrow = strstr(line, " -> ");
        table.table =
            pool_copy_bytes(pool, line, arrow == NULL ? strlen(line) : (size_t)(arrow - line));
        add(list, pool, &table);
    }
    free(line);
}

void
wholelist_read(struct wholelist *list, const struct config *config, struct pool *pool)
{
    *list = (struct wholelist){0};
    for (size_t i = 0; i < config->sinks_count; i++) {
        const struct sink_config *sink = &config->sinks[i];
        FILE *file =
            plan_has_layout(sink) ? fopen(plan_layout_path(config, pool, sink), "re") : NULL;

        if (file == NULL)
            continue;
        read_file(list, sink->name, file, pool);
        fclose(file);
    }
}
