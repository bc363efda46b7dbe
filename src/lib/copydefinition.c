/* copydefinition.c: see copydefinition.h. */
#include "lib/copydefinition.h"

#include <stdio.h>
#include <string.h>

/* Stands before an entry that does not publish each change. */
#define IN_PART '~'

/* Between the words of an entry: the oids of its rows, the publication's version, its owner and
 * name, and, of an entry for a schema, the table's place in it. An older walpipe wrote the first
 * one only. */
#define WITHIN '.'

bool
copydefinition_same(const char *a, const char *b)
{
    size_t len = strcspn(a, " ");

    return len == strcspn(b, " ") && strncmp(a, b, len) == 0;
}

const char *
copydefinition_publishers(const char *definition)
{
    const char *space = strchr(definition, ' ');

    return space == NULL ? NULL : space + 1;
}

struct entry {
    const char *text; /* without its mark */
    size_t len;
    bool in_part;
};

/* The next one of the word at *at, or with all of any word up to the end. */
static bool
next_entry(const char **at, bool all, struct entry *entry)
{
    const char *text = *at;

    text += all && *text == ' ';
    entry->in_part = *text == IN_PART;
    text += entry->in_part;
    entry->text = text;
    entry->len = strcspn(text, ", ");
    if (text[entry->len] != ',')
        return false;
    *at = text + entry->len + 1;
    return true;
}

/* Its next word. False behind the last one. */
static bool
next_word(struct entry *entry, struct entry *word)
{
    const char *dot;

    if (entry->text == NULL)
        return false;
    dot = memchr(entry->text, WITHIN, entry->len);
    *word = *entry;
    if (dot != NULL)
        word->len = (size_t)(dot - entry->text);
    entry->text = dot == NULL ? NULL : dot + 1;
    entry->len -= word->len + (dot != NULL);
    return true;
}

static bool
same_text(const struct entry *a, const struct entry *b)
{
    return a->len == b->len && strncmp(a->text, b->text, a->len) == 0;
}

/* Whether the table was published by it all the time. A new owner or name gives the publication
 * another version, too, so a change of its options beside that is not seen. */
static bool
same_entry(struct entry a, struct entry b)
{
    struct entry id[2], version[2], owner[2], place[2];

    if (!next_word(&a, &id[0]) || !next_word(&b, &id[1]) || !same_text(&id[0], &id[1]))
        return false;
    if (!next_word(&a, &version[0]) || !next_word(&b, &version[1]) || !next_word(&a, &owner[0]) ||
        !next_word(&b, &owner[1]))
        return true;
    if (!same_text(&version[0], &version[1]) && same_text(&owner[0], &owner[1]))
        return false;
    return !next_word(&a, &place[0]) || !next_word(&b, &place[1]) ||
           same_text(&place[0], &place[1]);
}

static bool
find_entry(const char *entries, bool all, const struct entry *wanted, struct entry *found)
{
    while (next_entry(&entries, all, found))
        if (same_entry(*found, *wanted))
            return true;
    return false;
}

/* Behind the word of the attachment. */
static const char *
entries_of(const char *publishers)
{
    const char *space = strchr(publishers, ' ');

    return space == NULL ? "" : space + 1;
}

static bool
has_whole_entry(const char *before, const char *now)
{
    struct entry entry, old;

    while (next_entry(&now, false, &entry))
        if (!entry.in_part && find_entry(before, true, &entry, &old) && !old.in_part)
            return true;
    return false;
}

static bool
has_all_entries(const char *before, const char *now)
{
    struct entry entry, found;
    size_t count = 0;

    for (; next_entry(&before, false, &entry); count++)
        if (!find_entry(now, false, &entry, &found))
            return false;
    return count > 0;
}

bool
copydefinition_published(const char *before, const char *now)
{
    before = copydefinition_publishers(before);
    now = copydefinition_publishers(now);
    if (before == NULL || now == NULL)
        return true;
    before = entries_of(before);
    now = entries_of(now);
    return has_whole_entry(before, now) || has_all_entries(before, now);
}

bool
copydefinition_stayed(const char *before, const char *now)
{
    const char *old = copydefinition_publishers(before), *new = copydefinition_publishers(now);
    size_t len;

    if (old == NULL || new == NULL)
        return true;
    len = strcspn(old, " ");
    if (old[0] != '-' && new[0] != '-' && (len != strcspn(new, " ") || strncmp(old, new, len) != 0))
        return false;
    return copydefinition_published(before, now);
}

#define WORDS_BEFORE_FILE 4
#define FILE_LETTER       'f'

/* The word of the file, or NULL. */
static const char *
file_of(const char *definition)
{
    for (int i = 0; i < WORDS_BEFORE_FILE && definition != NULL; i++) {
        definition = strchr(definition, ' ');
        definition += definition != NULL;
    }
    return definition != NULL && *definition == FILE_LETTER ? definition : NULL;
}

bool
copydefinition_other_file(const char *before, const char *now)
{
    before = file_of(before);
    now = file_of(now);
    return before != NULL && now != NULL && !copydefinition_same(before, now);
}

bool
copydefinition_forget_file(char *definition)
{
    const char *file = file_of(definition);
    const char *rest;

    if (file == NULL)
        return false;
    rest = file + strcspn(file, " ");
    memmove(definition + (file - 1 - definition), rest, strlen(rest) + 1);
    return true;
}

/* ---- the publications that a run reads ---- */

#define READ_LISTED   's'
#define READ_UNLISTED 'u'

/* Their word, or NULL. */
static char *
read_of(char *definition)
{
    size_t len = strlen(definition);
    char *word = definition + len - COPYDEFINITION_READ_LEN - 1;

    return len > COPYDEFINITION_READ_LEN + 1 && word[-1] == ' ' &&
                   (*word == READ_LISTED || *word == READ_UNLISTED)
               ? word
               : NULL;
}

void
copydefinition_add_read(char *definition, size_t size, const char *publications)
{
    size_t len = strlen(definition);
    const char *at = definition;
    int spaces = 0;

    for (; (at = strchr(at, ' ')) != NULL; at++)
        spaces++;
    if (spaces >= WORDS_BEFORE_FILE - 1 && publications[0] != '\0')
        snprintf(definition + len, size - len, " %c%s", READ_LISTED, publications);
}

enum copydefinition_read
copydefinition_begin_read(char *definition, const char *publications)
{
    char *word = read_of(definition);

    if (word == NULL || strcmp(word + 1, publications) == 0)
        return COPYDEFINITION_READ_SAME;
    if (*word == READ_UNLISTED)
        return COPYDEFINITION_READ_LOST;
    *word = READ_UNLISTED;
    memcpy(word + 1, publications, COPYDEFINITION_READ_LEN);
    return COPYDEFINITION_READ_OTHER;
}
