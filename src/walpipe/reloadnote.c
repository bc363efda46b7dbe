/* reloadnote.c: see reloadnote.h. */
#include "walpipe/reloadnote.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/statefile.h"

static const char *const names[] = {
    [RELOAD_APPLIED] = "applied", [RELOAD_STARTED] = "started", [RELOAD_REFUSED] = "refused"};

static const char *
path_of(const struct config *config, struct pool *pool)
{
    return pool_print(pool, "%s/reload", config->state_dir);
}

/* Each text is one line. */
static const char *
line(struct pool *pool, const char *text)
{
    char *copy = pool_copy(pool, text);

    for (char *c = copy; *c != '\0'; c++)
        if (*c == '\n')
            *c = ' ';
    return copy;
}

void
reloadnote_write(const struct config *config, enum reload_outcome outcome, const struct err *why,
                 const struct log *log)
{
    struct pool pool = {0};
    struct err err = {0};
    const char *text = pool_print(&pool, "%llu\n%s\n%s\n%s\n", (unsigned long long)clock_micros(),
                                  names[outcome], why == NULL ? "" : line(&pool, why->message),
                                  why == NULL ? "" : line(&pool, why->hint));

    if (statefile_write(path_of(config, &pool), text, &err) != 0)
        log_failure(log, &err);
    pool_free(&pool);
}

static const char *
next_line(char **rest)
{
    char *text = *rest, *end = strchr(text, '\n');

    if (end == NULL)
        return "";
    *end = '\0';
    *rest = end + 1;
    return text;
}

void
reloadnote_read(const struct config *config, struct reloadnote *note)
{
    struct pool pool = {0};
    struct err ignored = {0};
    char *text = NULL, *rest;
    const char *word;

    *note = (struct reloadnote){0};
    if (statefile_read(path_of(config, &pool), &text, &ignored) == 0 && text != NULL) {
        rest = text;
        note->number = strtoull(next_line(&rest), NULL, 10);
        word = next_line(&rest);
        while (note->outcome < RELOAD_REFUSED && strcmp(word, names[note->outcome]) != 0)
            note->outcome++;
        err_set(&note->why, EXIT_REFUSED, "%s", next_line(&rest));
        err_hint(&note->why, "%s", next_line(&rest));
    }
    free(text);
    pool_free(&pool);
}
