/* configdiff.c: see configdiff.h. */
#include "walpipe/configdiff.h"

#include <libpq-fe.h>
#include <string.h>

#include "walpipe/inifile.h"

struct listing {
    struct pool *pool;
    enum configdiff_kind kind;
    const char *text;
};

static void
add(struct listing *l, const struct inifile_section *section, const char *key)
{
    l->text = pool_print(l->pool, "%s%s[%s%s%s]%s%s", l->text, l->text[0] == '\0' ? "" : ", ",
                         section->kind, section->name[0] == '\0' ? "" : " ", section->name,
                         key[0] == '\0' ? "" : " ", key);
}

static const struct inifile_section *
find_section(const struct config *config, const struct inifile_section *like)
{
    const struct inifile_section *s = config->sections;

    while (s != NULL && (strcmp(s->kind, like->kind) != 0 || strcmp(s->name, like->name) != 0))
        s = s->next;
    return s;
}

/* The entry with the key at or behind e. */
static const struct inifile_entry *
find_entry(const struct inifile_entry *e, const char *key)
{
    while (e != NULL && strcmp(e->key, key) != 0)
        e = e->next;
    return e;
}

/* A key may be given several times. Then the order counts, too. */
static bool
same_values(const struct inifile_section *a, const struct inifile_section *b, const char *key)
{
    const struct inifile_entry *left = find_entry(a->entries, key);
    const struct inifile_entry *right = find_entry(b->entries, key);

    while (left != NULL && right != NULL && strcmp(left->value, right->value) == 0) {
        left = find_entry(left->next, key);
        right = find_entry(right->next, key);
    }
    return left == NULL && right == NULL;
}

static bool
changes_while_running(const struct inifile_section *section, const char *key)
{
    return strcmp(section->kind, "pipeline") == 0 &&
           (strcmp(key, "copy_workers") == 0 || strcmp(key, "copy_rate") == 0);
}

static bool
is_identity(const struct inifile_section *section, const char *key)
{
    return strcmp(section->kind, "source") == 0
               ? strcmp(key, "slot") == 0
               : strcmp(section->kind, "pipeline") == 0 &&
                     (strcmp(key, "name") == 0 || strcmp(key, "state_dir") == 0);
}

/* Who logs in. The other words of a connection to a target say where it is. */
static bool
is_login(const char *key)
{
    static const char *const keys[] = {"user",          "password",  "ca_file",
                                       "password_file", "cert_file", "key_file"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

static bool
is_login_word(const char *word)
{
    return strcmp(word, "user") == 0 || strcmp(word, "passfile") == 0 ||
           strstr(word, "password") != NULL || strncmp(word, "ssl", 3) == 0;
}

static bool
same_places(const PQconninfoOption *a, const PQconninfoOption *b)
{
    for (; a->keyword != NULL; a++, b++)
        if (!is_login_word(a->keyword) &&
            strcmp(a->val == NULL ? "" : a->val, b->val == NULL ? "" : b->val) != 0)
            return false;
    return true;
}

/* Text that libpq cannot read is another place. */
static bool
is_same_target(const char *before, const char *after)
{
    PQconninfoOption *a = PQconninfoParse(before, NULL), *b = PQconninfoParse(after, NULL);
    bool same = a != NULL && b != NULL && same_places(a, b);

    PQconninfoFree(a);
    PQconninfoFree(b);
    return same;
}

/* Of a key that differs. Another target may be behind the LSN that was confirmed with this one. */
static bool
concerns_rows(const struct inifile_section *section, const struct inifile_section *other,
              const char *key)
{
    const struct inifile_entry *before = find_entry(section->entries, key);
    const struct inifile_entry *after = find_entry(other->entries, key);

    if (strcmp(section->kind, "pipeline") == 0)
        return strcmp(key, "copy") == 0;
    if (strcmp(key, "conninfo") != 0)
        return !is_login(key);
    return strcmp(section->kind, "sink") == 0 &&
           (before == NULL || after == NULL || !is_same_target(before->value, after->value));
}

static bool
is_wanted(const struct listing *l, const struct inifile_section *section,
          const struct inifile_section *other, const char *key)
{
    switch (l->kind) {
    case CONFIGDIFF_IDENTITY:
        return is_identity(section, key);
    case CONFIGDIFF_ROWS:
        return concerns_rows(section, other, key);
    case CONFIGDIFF_RENEW:
        break;
    }
    return !is_identity(section, key);
}

/* Adds the keys of one section that differ. Those that both have are looked at once. */
static void
add_keys(struct listing *l, const struct inifile_section *of, const struct inifile_section *other,
         bool both)
{
    for (const struct inifile_entry *e = of->entries; e != NULL; e = e->next) {
        bool first = find_entry(of->entries, e->key) == e;
        bool only_here = find_entry(other->entries, e->key) == NULL;

        if (first && (both || only_here) && !changes_while_running(of, e->key) &&
            is_wanted(l, of, other, e->key) && !same_values(of, other, e->key))
            add(l, of, e->key);
    }
}

static bool
same_section(const struct inifile_section *a, const struct inifile_section *b)
{
    for (const struct inifile_entry *e = a->entries; e != NULL; e = e->next)
        if (!same_values(a, b, e->key))
            return false;
    for (const struct inifile_entry *e = b->entries; e != NULL; e = e->next)
        if (!same_values(a, b, e->key))
            return false;
    return true;
}

static void
compare(struct listing *l, const struct inifile_section *before,
        const struct inifile_section *after)
{
    if (before->name[0] == '\0' || l->kind == CONFIGDIFF_ROWS) {
        add_keys(l, before, after, true);
        add_keys(l, after, before, false);
    } else if (l->kind == CONFIGDIFF_RENEW && !same_section(before, after)) {
        add(l, before, "");
    }
}

static bool
has_sink(const struct config *config, const char *name, size_t len)
{
    const struct inifile_section *s = config->sections;

    while (s != NULL && (strncmp(s->name, name, len) != 0 || s->name[len] != '\0'))
        s = s->next;
    return s != NULL;
}

/* Of a section that only one of them has, whether it is one of a table, [sink NAME table TABLE],
 * and both have the sink. */
static bool
is_of_common_sink(const struct config *before, const struct config *after,
                  const struct inifile_section *section)
{
    size_t len = strcspn(section->name, " ");

    return section->name[len] != '\0' && has_sink(before, section->name, len) &&
           has_sink(after, section->name, len);
}

static void
add_lone(struct listing *l, const struct config *before, const struct config *after,
         const struct inifile_section *section)
{
    if (l->kind == CONFIGDIFF_RENEW ||
        (l->kind == CONFIGDIFF_ROWS && is_of_common_sink(before, after, section)))
        add(l, section, "");
}

const char *
configdiff_list(const struct config *before, const struct config *after, enum configdiff_kind kind,
                struct pool *pool)
{
    struct listing l = {.pool = pool, .kind = kind, .text = ""};

    for (const struct inifile_section *s = before->sections; s != NULL; s = s->next) {
        const struct inifile_section *other = find_section(after, s);

        if (other != NULL)
            compare(&l, s, other);
        else
            add_lone(&l, before, after, s);
    }
    for (const struct inifile_section *s = after->sections; s != NULL; s = s->next)
        if (find_section(before, s) == NULL)
            add_lone(&l, before, after, s);
    return l.text;
}
