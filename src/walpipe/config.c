/* config.c: see config.h. One table has the keys that a section may have, and the parser of
 * each. */
#include "walpipe/config.h"

#include <stdio.h>
#include <string.h>

#include "lib/statedir.h"
#include "walpipe/copykeys.h"
#include "walpipe/inifile.h"
#include "walpipe/override.h"

/* libinih's limit for a section header, less "sink ". */
#define SINK_NAME_MAX 40

/* The sections where a key may be. A sink's type decides which of its keys are valid. */
#define IN_PIPELINE 1u
#define IN_SOURCE   2u
#define IN_PG       4u
#define IN_CH       8u
#define IN_EXEC     16u
#define IN_TABLE    32u /* [sink NAME table SCHEMA.TABLE] */
#define IN_SINK     (IN_PG | IN_CH | IN_EXEC)

enum key_flag {
    KEY_OPTIONAL = 0,
    KEY_REQUIRED = 1,
    KEY_MANY = 2,  /* may be given several times */
    KEY_SECRET = 4 /* its value is not shown */
};

struct key {
    const char *name;
    unsigned where;
    unsigned flags;
    value_parser *parse;
    size_t offset; /* into struct config, source_config or sink_config, see target() */
};

#define SINK_TYPE_KEY "type"
#define MAP_KEY       "map"
#define COPY_KEY      "copy"
#define CONNINFO_KEY  "conninfo"
#define COMMAND_KEY   "command"
#define DETACH_KEY    "detach_after"

/* conninfo and password are adjacent in both structs, as in struct conninfo_value. */
static const struct key keys[] = {
    {"name", IN_PIPELINE, KEY_REQUIRED, values_name, offsetof(struct config, name)},
    {"state_dir", IN_PIPELINE, KEY_REQUIRED, values_directory, offsetof(struct config, state_dir)},
    {"http", IN_PIPELINE, KEY_OPTIONAL, values_http, offsetof(struct config, http)},
    {"log_level", IN_PIPELINE, KEY_OPTIONAL, values_level, offsetof(struct config, log_level)},
    {"log_format", IN_PIPELINE, KEY_OPTIONAL, values_format, offsetof(struct config, log_format)},
    {COPY_KEY, IN_PIPELINE, KEY_OPTIONAL, values_copy, offsetof(struct config, copy)},
    {"copy_workers", IN_PIPELINE, KEY_OPTIONAL, values_copy_workers,
     offsetof(struct config, copy_workers)},
    {"copy_rate", IN_PIPELINE, KEY_OPTIONAL, values_copy_rate, offsetof(struct config, copy_rate)},
    {CONNINFO_KEY, IN_SOURCE, KEY_REQUIRED | KEY_SECRET, values_conninfo,
     offsetof(struct source_config, conninfo)},
    {"password_file", IN_SOURCE, KEY_OPTIONAL, values_text,
     offsetof(struct source_config, password_file)},
    {"slot", IN_SOURCE, KEY_REQUIRED, values_slot, offsetof(struct source_config, slot)},
    {"publication", IN_SOURCE, KEY_REQUIRED, values_publication,
     offsetof(struct source_config, publication)},
    {"create_slot", IN_SOURCE, KEY_OPTIONAL, values_switch,
     offsetof(struct source_config, create_slot)},
    {"origin", IN_SOURCE, KEY_OPTIONAL, values_origin, offsetof(struct source_config, local_only)},
    {"binary", IN_SOURCE, KEY_OPTIONAL, values_switch, offsetof(struct source_config, binary)},
    {SINK_TYPE_KEY, IN_SINK, KEY_REQUIRED, values_sink_type, offsetof(struct sink_config, type)},
    {"shards", IN_SINK, KEY_OPTIONAL, values_shards, offsetof(struct sink_config, shards)},
    {"shard_key", IN_SINK, KEY_OPTIONAL, values_shard_key, offsetof(struct sink_config, shard_key)},
    {"tables", IN_SINK, KEY_OPTIONAL, values_tables, offsetof(struct sink_config, tables)},
    {COPY_KEY, IN_SINK, KEY_OPTIONAL, values_copy, offsetof(struct sink_config, copy)},
    {"copy_hold", IN_PG, KEY_OPTIONAL, values_copy_hold, offsetof(struct sink_config, copy_hold)},
    {"on_error", IN_SINK, KEY_OPTIONAL, values_on_error, offsetof(struct sink_config, on_error)},
    {"park_limit", IN_PG | IN_CH, KEY_OPTIONAL, values_park_limit,
     offsetof(struct sink_config, park_limit)},
    {"batch_rows", IN_PG | IN_CH, KEY_OPTIONAL, values_batch_rows,
     offsetof(struct sink_config, batch_rows)},
    {DETACH_KEY, IN_SINK, KEY_OPTIONAL, values_size, offsetof(struct sink_config, detach_after)},
    {"flush_interval", IN_PG | IN_CH, KEY_OPTIONAL, values_duration,
     offsetof(struct sink_config, flush_interval)},
    {MAP_KEY, IN_PG, KEY_MANY, values_map_pg, offsetof(struct sink_config, maps)},
    {MAP_KEY, IN_CH, KEY_MANY, values_map_ch, offsetof(struct sink_config, maps)},
    {CONNINFO_KEY, IN_PG, KEY_REQUIRED | KEY_SECRET, values_conninfo,
     offsetof(struct sink_config, conninfo)},
    {"url", IN_CH, KEY_REQUIRED | KEY_SECRET, values_url, offsetof(struct sink_config, url)},
    {"database", IN_CH, KEY_REQUIRED, values_text, offsetof(struct sink_config, database)},
    {"user", IN_CH, KEY_OPTIONAL, values_text, offsetof(struct sink_config, user)},
    {"password_file", IN_PG | IN_CH, KEY_OPTIONAL, values_text,
     offsetof(struct sink_config, password_file)},
    {"ca_file", IN_CH, KEY_OPTIONAL, values_text, offsetof(struct sink_config, ca_file)},
    {"cert_file", IN_CH, KEY_OPTIONAL, values_text, offsetof(struct sink_config, cert_file)},
    {"key_file", IN_CH, KEY_OPTIONAL, values_text, offsetof(struct sink_config, key_file)},
    {"create_tables", IN_PG | IN_CH, KEY_OPTIONAL, values_switch,
     offsetof(struct sink_config, create_tables)},
    {"on_overflow", IN_CH, KEY_OPTIONAL, values_overflow,
     offsetof(struct sink_config, on_overflow)},
    {"version_column", IN_CH, KEY_OPTIONAL, values_text,
     offsetof(struct sink_config, version_column)},
    {"deleted_column", IN_CH, KEY_OPTIONAL, values_text,
     offsetof(struct sink_config, deleted_column)},
    {"nullable", IN_CH, KEY_OPTIONAL, values_nullable, offsetof(struct sink_config, nullable)},
    {"arrays", IN_CH, KEY_OPTIONAL, values_arrays, offsetof(struct sink_config, arrays)},
    {"json", IN_CH, KEY_OPTIONAL, values_json, offsetof(struct sink_config, json)},
    {"engine", IN_TABLE, KEY_OPTIONAL, values_text, offsetof(struct table_config, engine)},
    {"order_by", IN_TABLE, KEY_OPTIONAL, values_names, offsetof(struct table_config, order_by)},
    {"partition_by", IN_TABLE, KEY_OPTIONAL, values_text,
     offsetof(struct table_config, partition_by)},
    {"column_types", IN_TABLE, KEY_OPTIONAL, values_typed,
     offsetof(struct table_config, column_types)},
    {"leave_out", IN_TABLE, KEY_OPTIONAL, values_names, offsetof(struct table_config, leave_out)},
    {"nullable", IN_TABLE, KEY_OPTIONAL, values_nullable, offsetof(struct table_config, nullable)},
    {"arrays", IN_TABLE, KEY_OPTIONAL, values_arrays, offsetof(struct table_config, arrays)},
    {"json", IN_TABLE, KEY_OPTIONAL, values_json, offsetof(struct table_config, json)},
    {COMMAND_KEY, IN_EXEC, KEY_REQUIRED, values_text, offsetof(struct sink_config, command)},
};

#define KEYS_COUNT (sizeof keys / sizeof *keys)

struct reading {
    struct config *config;
    struct err *err;
};

static bool
is_key(const char *word, size_t len)
{
    for (size_t i = 0; i < KEYS_COUNT; i++)
        if (strlen(keys[i].name) == len && memcmp(keys[i].name, word, len) == 0)
            return true;
    return false;
}

/* ---- errors are "FILE:LINE: message", with the expected form as the hint ---- */

static int
refuse_at(const struct reading *r, const char *place, const char *expected, const char *what,
          const char *of)
{
    err_set(r->err, EXIT_REFUSED, "%s: %s%s%s%s", place, what, of[0] == '\0' ? "" : " \"", of,
            of[0] == '\0' ? "" : "\"");
    return err_hint(r->err, "%s", expected);
}

static int
refuse(const struct reading *r, int line, const char *expected, const char *what, const char *of)
{
    return refuse_at(r, pool_print(&r->config->pool, "%s:%d", r->config->path, line), expected,
                     what, of);
}

static const char *
place_of(const struct reading *r, const struct inifile_entry *e)
{
    return e->override != NULL ? e->override
                               : pool_print(&r->config->pool, "%s:%d", r->config->path, e->line);
}

/* err has the message of the value's parser. A variable's value may be a secret, and is not
 * shown. */
static int
refuse_value(const struct reading *r, const char *key, bool secret, const struct inifile_entry *e)
{
    const char *place = place_of(r, e);
    struct err inner = *r->err;

    if (e->value[0] == '\0')
        err_set(r->err, EXIT_REFUSED, "%s: missing value for \"%s\"", place, key);
    else if (secret)
        err_set(r->err, EXIT_REFUSED, "%s: %s: %.700s", place, key, inner.message);
    else
        err_set(r->err, EXIT_REFUSED, "%s: %s = \"%.300s\": %.300s", place, key,
                e->written != NULL ? e->written : e->value, inner.message);
    return err_hint(r->err, "%s", inner.hint);
}

static int
refuse_unknown_key(const struct reading *r, unsigned where, const struct inifile_entry *e)
{
    char list[500];
    size_t at = 0;

    for (size_t i = 0; i < KEYS_COUNT; i++) {
        if (keys[i].where & where)
            at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", at == 0 ? "" : ", ",
                                   keys[i].name);
        if (at >= sizeof list)
            break;
    }
    refuse_at(r, place_of(r, e), "", "unknown key", e->key);
    return err_hint(r->err, "expected one of %s", list);
}

/* ---- keys ---- */

static const struct key *
find_key(unsigned where, const char *name)
{
    for (size_t i = 0; i < KEYS_COUNT; i++)
        if ((keys[i].where & where) && strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static int
refuse_second(const struct reading *r, const struct inifile_entry *first,
              const struct inifile_entry *second)
{
    refuse(r, second->line, "", "key given twice:", second->key);
    return err_hint(r->err, "remove this one or the one in line %d", first->line);
}

static const struct inifile_entry *
find_entry(const struct inifile_section *section, const char *key)
{
    for (const struct inifile_entry *e = section->entries; e != NULL; e = e->next)
        if (strcmp(e->key, key) == 0)
            return e;
    return NULL;
}

static int
check_required(const struct reading *r, unsigned where, const struct inifile_section *section)
{
    for (size_t i = 0; i < KEYS_COUNT; i++)
        if ((keys[i].where & where) && (keys[i].flags & KEY_REQUIRED) &&
            find_entry(section, keys[i].name) == NULL) {
            refuse(r, section->line, "", "section needs the key", keys[i].name);
            return err_hint(r->err, "walpipe.conf(5) describes this key");
        }
    return 0;
}

/* Everybody can see a command line. */
static int
check_password(const struct reading *r, const struct inifile_entry *e, const char *password)
{
    if (password == NULL)
        return 0;
    r->config->holds_password = r->config->holds_password || e->written == NULL;
    if (e->override == NULL)
        return 0;
    err_set(r->err, EXIT_REFUSED, "%s: the value has a password", e->override);
    return err_hint(r->err, "every user can see it in the list of processes: leave it out, and put "
                            "it into a passfile or a password_file (walpipe.conf(5))");
}

/* Reads the section's keys into the struct at base. */
static int
read_keys(const struct reading *r, unsigned where, const struct inifile_section *section,
          void *base)
{
    struct pool *pool = &r->config->pool;

    for (const struct inifile_entry *e = section->entries; e != NULL; e = e->next) {
        const struct key *key = find_key(where, e->key);
        const struct inifile_entry *first = find_entry(section, e->key);
        const char *map;
        void *out;

        if (key == NULL)
            return refuse_unknown_key(r, where, e);
        if (first != e && !(key->flags & KEY_MANY))
            return refuse_second(r, first, e);
        /* maps are collected by read_maps(). */
        out = key->flags & KEY_MANY ? (void *)&map : (char *)base + key->offset;
        if (key->parse(e->value, out, pool, r->err) != 0)
            return refuse_value(r, key->name, key->flags & KEY_SECRET, e);
        if (strcmp(e->key, CONNINFO_KEY) == 0 &&
            check_password(r, e, ((const struct conninfo_value *)out)->password) != 0)
            return -1;
    }
    return check_required(r, where, section);
}

/* ---- sections ---- */

static unsigned
sink_keys(enum sink_type type)
{
    return type == SINK_PG ? IN_PG : type == SINK_CH ? IN_CH : IN_EXEC;
}

/* The lines of map, each one unchanged and all together, because a table may not be in two of
 * them. */
static int
read_maps(const struct reading *r, const struct inifile_section *section, struct sink_config *sink)
{
    enum tablemap_target target = sink->type == SINK_PG ? TABLEMAP_QUALIFIED : TABLEMAP_ANY;
    size_t count = 0;

    for (const struct inifile_entry *e = section->entries; e != NULL; e = e->next)
        count += strcmp(e->key, MAP_KEY) == 0;
    sink->maps = pool_take(&r->config->pool, (count + 1) * sizeof *sink->maps);
    for (const struct inifile_entry *e = section->entries; e != NULL; e = e->next) {
        if (strcmp(e->key, MAP_KEY) != 0)
            continue;
        sink->maps[sink->maps_count++] = e->value;
        if (tablemap_add(&sink->map, e->value, target, r->err) != 0)
            return refuse_value(r, MAP_KEY, false, e);
    }
    return sink->tables == NULL ? 0 : tablefilter_add(&sink->filter, sink->tables, r->err);
}

static int
check_sink_name(const struct reading *r, const struct inifile_section *section)
{
    if (!values_is_name(section->name, true, SINK_NAME_MAX))
        return refuse(r, section->line,
                      "expected [sink NAME], NAME of letters, digits, _ and -, at most 40",
                      "malformed sink name", section->name);
    for (size_t i = 0; i < r->config->sinks_count; i++)
        if (strcmp(r->config->sinks[i].name, section->name) == 0) {
            refuse(r, section->line, "", "second section for sink", section->name);
            return err_hint(r->err, "the first one is in line %d", r->config->sinks[i].line);
        }
    return 0;
}

/* Nobody could bring back such a sink: what its program does with the rows is not known. */
static int
check_detach(const struct reading *r, const struct inifile_section *section,
             const struct sink_config *sink)
{
    const struct inifile_entry *e = find_entry(section, DETACH_KEY);

    if (e == NULL || sink->type != SINK_EXEC)
        return 0;
    return refuse_at(r, place_of(r, e),
                     "a detached sink comes back when all its tables are copied again, which "
                     "walpipe does for type = pg and ch; remove this line",
                     "detach_after is not for sinks with type = exec: sink", sink->name);
}

static int
read_sink(const struct reading *r, const struct inifile_section *section)
{
    struct config *config = r->config;
    struct sink_config *sink = &config->sinks[config->sinks_count];
    const struct inifile_entry *type = find_entry(section, SINK_TYPE_KEY);

    if (check_sink_name(r, section) != 0)
        return -1;
    config->sinks_count++;
    *sink = (struct sink_config){.name = section->name, .line = section->line, .shards = 1};
    if (type == NULL)
        return refuse(r, section->line, "expected type = pg, ch or exec", "section needs the key",
                      SINK_TYPE_KEY);
    if (values_sink_type(type->value, &sink->type, &config->pool, r->err) != 0)
        return refuse_value(r, SINK_TYPE_KEY, false, type);
    sink->shard_key = "key";
    sink->batch_rows = 10000;
    sink->flush_interval = sink->type == SINK_CH ? "1s" : "200ms";
    sink->user = "default";
    if (read_keys(r, sink_keys(sink->type), section, sink) != 0 ||
        read_maps(r, section, sink) != 0 || check_detach(r, section, sink) != 0)
        return -1;
    config->workers_count += sink->shards;
    if (config->workers_count > WORKERS_MAX)
        return refuse(r, section->line, "use fewer shards",
                      "more than 256 workers in all with the sink", sink->name);
    return 0;
}

/* Reads [sink NAME table SCHEMA.TABLE]. table is the text behind the word. */
static int
read_table(const struct reading *r, const struct inifile_section *section, const char *sink_name,
           const char *table)
{
    struct table_config *choice = pool_take(&r->config->pool, sizeof *choice), **last;
    struct sink_config *sink = NULL;

    for (size_t i = 0; i < r->config->sinks_count; i++)
        if (strcmp(r->config->sinks[i].name, sink_name) == 0)
            sink = &r->config->sinks[i];
    if (sink == NULL)
        return refuse(r, section->line, "the section [sink NAME] comes before those of its tables",
                      "there is no sink", sink_name);
    if (sink->type != SINK_CH)
        return refuse(r, section->line, "only a sink with type = ch makes tables",
                      "no section for a table may be of sink", sink_name);
    *choice = (struct table_config){.name = table, .line = section->line};
    if (names_table(table, &choice->of, r->err) != 0) {
        struct err inner = *r->err;

        return refuse(r, section->line, inner.hint, inner.message, "");
    }
    for (last = &sink->choices; *last != NULL; last = &(*last)->next)
        if (strcmp((*last)->of.schema, choice->of.schema) == 0 &&
            strcmp((*last)->of.table, choice->of.table) == 0) {
            refuse(r, section->line, "", "second section for table", table);
            return err_hint(r->err, "the first one is in line %d", (*last)->line);
        }
    *last = choice;
    return read_keys(r, IN_TABLE, section, choice);
}

/* Reads [sink NAME], or the section of one of its tables. */
static int
read_any_sink(const struct reading *r, const struct inifile_section *section)
{
    static const char word[] = "table";
    size_t len = strcspn(section->name, " \t");
    const char *behind = section->name + len + strspn(section->name + len, " \t");
    const char *table;

    if (strncmp(behind, word, strlen(word)) != 0 || strcspn(behind, " \t") != strlen(word))
        return read_sink(r, section);
    table = behind + strlen(word);
    return read_table(r, section, pool_copy_bytes(&r->config->pool, section->name, len),
                      table + strspn(table, " \t"));
}

/* [pipeline] and [source] occur once. */
static int
read_single(const struct reading *r, const struct inifile_section *section, unsigned where,
            void *base, int *seen_in)
{
    if (section->name[0] != '\0')
        return refuse(r, section->line, "expected [pipeline] or [source], without a name",
                      "unexpected name in the section header:", section->name);
    if (*seen_in != 0) {
        refuse(r, section->line, "", "second section", section->kind);
        return err_hint(r->err, "the first one is in line %d", *seen_in);
    }
    *seen_in = section->line;
    return read_keys(r, where, section, base);
}

static int
read_sections(const struct reading *r, const struct inifile_section *sections)
{
    struct config *config = r->config;
    int pipeline = 0, source = 0;
    size_t count = 0;

    for (const struct inifile_section *s = sections; s != NULL; s = s->next)
        count++;
    config->sinks = pool_take(&config->pool, (count + 1) * sizeof *config->sinks);
    for (const struct inifile_section *s = sections; s != NULL; s = s->next) {
        int result;

        if (strcmp(s->kind, "pipeline") == 0)
            result = read_single(r, s, IN_PIPELINE, config, &pipeline);
        else if (strcmp(s->kind, "source") == 0)
            result = read_single(r, s, IN_SOURCE, &config->source, &source);
        else if (strcmp(s->kind, "sink") == 0)
            result = read_any_sink(r, s);
        else
            result = refuse(r, s->line, "expected [pipeline], [source] or [sink NAME]",
                            "unknown section", s->kind);
        if (result != 0)
            return -1;
    }
    if (pipeline != 0 && source != 0 && config->sinks_count > 0)
        return copykeys_apply(config, r->err);
    err_set(r->err, EXIT_REFUSED, "%s: there is no section [%s]", config->path,
            pipeline == 0 ? "pipeline"
            : source == 0 ? "source"
                          : "sink NAME");
    return err_hint(r->err, "a pipeline needs [pipeline], [source] and at least one [sink NAME]");
}

/* ---- the file ---- */

/* The shell that runs a command looks up its variables. --set gets them from the user's shell. */
static int
expand_entry(const struct reading *r, struct inifile_entry *e)
{
    struct config *config = r->config;
    enum expand_form form = strcmp(e->key, CONNINFO_KEY) == 0 ? EXPAND_CONNINFO : EXPAND_TEXT;
    const char *value;

    if (e->override != NULL || strcmp(e->key, COMMAND_KEY) == 0)
        return 0;
    if (expand_value(e->value, form, &value, &config->variables, &config->pool, r->err) != 0)
        return refuse_value(r, e->key, true, e);
    if (value != e->value) {
        e->written = e->value;
        e->value = value;
    }
    return 0;
}

static int
expand_sections(const struct reading *r, struct inifile_section *sections)
{
    for (struct inifile_section *s = sections; s != NULL; s = s->next)
        for (struct inifile_entry *e = s->entries; e != NULL; e = e->next)
            if (expand_entry(r, e) != 0)
                return -1;
    return 0;
}

int
config_read(const char *path, const struct overrides *overrides, struct config *config,
            struct err *err)
{
    struct reading r = {.config = config, .err = err};
    struct inifile_section *sections;

    *config = (struct config){.log_level = LOG_INFO,
                              .copy_workers = 2,
                              .source.create_slot = true,
                              .overrides = overrides};
    config->path = pool_copy(&config->pool, path);
    if (inifile_read(path, is_key, &config->pool, &sections, err) != 0)
        return -1;
    if (overrides != NULL && override_sections(overrides, path, sections, &config->pool, err) != 0)
        return -1;
    config->sections = sections;
    if (expand_sections(&r, sections) != 0 || read_sections(&r, sections) != 0)
        return -1;
    config->socket = pool_print(&config->pool, "%s/%s", config->state_dir, STATEDIR_SOCKET);
    return 0;
}

const char *
config_variables(const struct config *config, struct pool *pool)
{
    const char *text = "";

    for (const struct variable *v = config->variables; v != NULL; v = v->next)
        text = pool_print(pool, "%s%s%s", text, text[0] == '\0' ? "" : ", ", v->name);
    return text;
}

void
config_free(struct config *config)
{
    for (size_t i = 0; i < config->sinks_count; i++) {
        tablefilter_free(&config->sinks[i].filter);
        tablemap_free(&config->sinks[i].map);
    }
    pool_free(&config->pool);
    *config = (struct config){0};
}
