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

/* ---- the table's storage ---- */

#define WORDS_BEFORE_STORAGE 4
#define TOAST_LETTER         't'
#define FILE_LETTER          'f'

/* Its word, or NULL. */
static const char *
storage_of(const char *definition)
{
    for (int i = 0; i < WORDS_BEFORE_STORAGE && definition != NULL; i++) {
        definition = strchr(definition, ' ');
        definition += definition != NULL;
    }
    return definition != NULL && (*definition == TOAST_LETTER || *definition == FILE_LETTER)
               ? definition
               : NULL;
}

/* The words of its word. */
struct storage {
    char letter;
    struct entry number; /* of the TOAST table, or of the file */
    struct entry method; /* the access method */
    struct entry types;  /* of its columns */
    struct entry own;    /* its oldest entry in a publication, 0 without one */
};

/* An older walpipe wrote the number only. */
static bool
read_storage(const char *definition, struct storage *s)
{
    const char *word = storage_of(definition);
    struct entry rest;

    if (word == NULL)
        return false;
    s->letter = *word;
    rest = (struct entry){.text = word + 1, .len = strcspn(word + 1, " ")};
    return next_word(&rest, &s->number) && next_word(&rest, &s->method) &&
           next_word(&rest, &s->types) && next_word(&rest, &s->own);
}

/* Rewriting ALTER TABLEs give a table another TOAST table, too. They change types or the access
 * method, or they compute the values of a column anew. */
enum copydefinition_storage
copydefinition_storage(const char *before, const char *now)
{
    struct storage a, b;
    bool altered, entered;

    if (!read_storage(before, &a) || !read_storage(now, &b) ||
        (a.letter == b.letter && same_text(&a.number, &b.number)))
        return COPYDEFINITION_STORAGE_SAME;
    altered = !same_text(&a.method, &b.method) || !same_text(&a.types, &b.types);
    entered = b.own.text[0] != '0' && same_text(&a.own, &b.own);
    if (entered && (altered || b.letter == FILE_LETTER))
        return COPYDEFINITION_STORAGE_SAME;
    /* A wide column that is added gives it a TOAST table. When wide columns are gone, a rewrite
     * takes the TOAST table away. */
    if (a.letter != b.letter && (entered || (altered && b.letter == TOAST_LETTER)))
        return COPYDEFINITION_STORAGE_SAME;
    if (a.letter != b.letter)
        return COPYDEFINITION_STORAGE_OTHER;
    return entered || altered || b.letter == FILE_LETTER ? COPYDEFINITION_STORAGE_OTHER
                                                         : COPYDEFINITION_STORAGE_LOST;
}

bool
copydefinition_refiled(const char *before, const char *now)
{
    struct storage a, b;

    return read_storage(before, &a) && read_storage(now, &b) && a.letter == FILE_LETTER &&
           b.letter == FILE_LETTER && !same_text(&a.number, &b.number);
}

bool
copydefinition_forget_file(char *definition)
{
    const char *file = storage_of(definition);
    const char *rest;

    if (file == NULL || *file != FILE_LETTER)
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
    if (spaces >= WORDS_BEFORE_STORAGE - 1 && publications[0] != '\0')
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
