/* walpipe_config.c: the meaning of a config file, and the message for each mistake in it. */
/* clang-format off */
/* links: walpipe/config walpipe/copykeys walpipe/values walpipe/inifile walpipe/override walpipe/expand walpipe/pool lib/names lib/tablefilter lib/tablemap lib/pqx lib/opt lib/log lib/lsn lib/err
 * libs: -lpq -linih */
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "walpipe/config.h"
#include "walpipe/override.h"

static char path[] = "/tmp/walpipe-config-XXXXXX";

static void
write_file(const char *text, size_t len)
{
    FILE *file = fopen(path, "w");

    if (file == NULL || fwrite(text, 1, len, file) != len || fclose(file) != 0)
        abort();
}

#define PIPELINE "[pipeline]\nname = orders\nstate_dir = /tmp/x\n"
#define SOURCE   "[source]\nconninfo = host=a\nslot = s\npublication = p\n"
#define CH       "[sink a]\ntype = ch\nurl = http://x\ndatabase = d\n"
#define SINK     "[sink dst]\ntype = pg\nconninfo = host=b\n"

static void
refuses_bytes(const char *text, size_t len, int line, const char *expected)
{
    struct config config;
    struct err err = {0};
    char where[64];

    write_file(text, len);
    snprintf(where, sizeof where, "%s:%d: ", path, line);
    if (check(config_read(path, NULL, &config, &err) != 0, "refused: %s", expected)) {
        check(err.code == EXIT_REFUSED, "with 100");
        check(strncmp(err.message, where, strlen(where)) == 0, "in line %d: %s", line, err.message);
        check(strstr(err.message, expected) != NULL || strstr(err.hint, expected) != NULL,
              "it says \"%s\": %s (%s)", expected, err.message, err.hint);
    }
    config_free(&config);
}

static void
refuses(const char *text, int line, const char *expected)
{
    refuses_bytes(text, strlen(text), line, expected);
}

static bool
reads(const char *text, struct config *config)
{
    struct err err = {0};

    write_file(text, strlen(text));
    if (check(config_read(path, NULL, config, &err) == 0, "read: %s", err.message))
        return true;
    config_free(config);
    return false;
}

static bool
same(const char *a, const char *b)
{
    return a != NULL && strcmp(a, b) == 0;
}

static void
test_defaults(void)
{
    struct config c;

    if (!reads(PIPELINE SOURCE SINK "[sink olap]\ntype=ch\nurl=http://h:1\ndatabase=d\n", &c))
        return;
    check(same(c.name, "orders") && same(c.socket, "/tmp/x/ackd.sock"), "name and socket");
    check(c.http == NULL && c.log_level == LOG_INFO && c.log_format == LOG_AUTO,
          "http off, level info, format auto");
    check(c.source.create_slot && !c.source.binary, "source switches");
    check(c.sinks_count == 2 && c.workers_count == 2, "two sinks, two workers");
    check(c.sinks[0].shards == 1 && same(c.sinks[0].shard_key, "key"), "one shard, by key");
    check(c.sinks[0].batch_rows == 10000 && same(c.sinks[0].flush_interval, "200ms"), "pg batch");
    check(same(c.sinks[1].flush_interval, "1s") && same(c.sinks[1].user, "default"), "ch batch");
    check(c.sinks[1].on_overflow == NULL, "what does not fit is up to sink-ch");
    check(!c.sinks[1].create_tables && c.sinks[0].tables == NULL, "no tables made, all taken");
    check(!c.copies && c.copy_workers == 2 && c.copy_rate == 0, "nothing copied");
    config_free(&c);
}

static void
test_values(void)
{
    struct config c;

    if (!reads("\xef\xbb\xbf; a comment\r\n" PIPELINE
               "http = 127.0.0.1:9187 ; a comment\nlog_level=debug\nlog_format = text\n" SOURCE
               "create_slot = no\nbinary = yes\norigin = none\n"
               "[sink a-b_1]\ntype = pg\nconninfo = host=b\n   dbname=shop ; more\n\tuser=apply\n"
               "# comment\nshards = 3\nshard_key = column:id\ntables = public.*, !public.audit\n"
               "map = a.b -> c.d\nmap = a.c -> e.c\n"
               "batch_rows = 5\nflush_interval = 2min\n",
               &c))
        return;
    check(same(c.http, "127.0.0.1:9187") && c.log_level == LOG_DEBUG, "http and level");
    check(c.log_format == LOG_TEXT, "log format");
    check(!c.source.create_slot && c.source.binary, "switches");
    check(c.source.local_only, "origin");
    check(same(c.sinks[0].conninfo, "host=b dbname=shop user=apply"), "continued: %s",
          c.sinks[0].conninfo);
    check(c.sinks[0].shards == 3 && c.workers_count == 3, "shards");
    check(c.sinks[0].maps_count == 2 && same(c.sinks[0].maps[1], "a.c -> e.c"), "maps");
    check(c.sinks[0].batch_rows == 5 && same(c.sinks[0].flush_interval, "2min"), "batch");
    config_free(&c);
    if (!reads(PIPELINE SOURCE "[sink o]\ntype=ch\nurl=http://h:1\ndatabase=d\non_overflow=null\n",
               &c))
        return;
    check(same(c.sinks[0].on_overflow, "null"), "what does not fit becomes null");
    config_free(&c);
}

static void
test_copies(void)
{
    struct config c;

    if (!reads("[pipeline]\nname=a\nstate_dir=/"
               "x\ncopy=yes\ncopy_workers=32\ncopy_rate=4294967295\n" SOURCE SINK
               "[sink e]\ntype=exec\ncommand=x\ncopy=no\n[sink f]\ntype=pg\n"
               "conninfo=host=b\ncopy=no\n",
               &c))
        return;
    check(c.copies && c.sinks[0].copies, "[pipeline] says it for a sink that says nothing");
    check(!c.sinks[1].copies && !c.sinks[2].copies, "the sink's own word wins");
    check(c.copy_workers == 32 && c.copy_rate == UINT32_MAX, "at the maximum");
    config_free(&c);
    if (reads(PIPELINE "copy_rate = 0\n" SOURCE SINK "copy = yes\n", &c)) {
        check(c.copies && c.sinks[0].copies, "a single sink");
        config_free(&c);
    }
    if (reads(PIPELINE "copy = only\n" SOURCE SINK "[sink f]\ntype=pg\nconninfo=host=b\n", &c)) {
        check(c.copies && c.only && c.sinks[0].copies && !c.copies_open, "only, for all sinks");
        config_free(&c);
    }
    if (reads(PIPELINE "copy = no\n" SOURCE SINK "copy = only\n", &c)) {
        check(c.only, "the only sink says it");
        config_free(&c);
    }
    if (reads(PIPELINE SOURCE CH "copy = yes\n", &c)) {
        check(c.copies && c.sinks[0].copies, "a ClickHouse sink");
        config_free(&c);
    }
    if (reads(PIPELINE SOURCE SINK "copy_hold = 1099511627776\n", &c)) {
        check(c.sinks[0].copy_hold == UINT64_C(1) << 40, "the most that may wait");
        config_free(&c);
    }
    refuses(PIPELINE SOURCE SINK "copy_hold = 1099511627777\n", 11, "to 1099511627776");
    refuses(PIPELINE SOURCE SINK "copy_hold = 0\n", 11, "from 1");
    refuses(PIPELINE SOURCE CH "copy_hold = 1\n", 12, "expected one of");
    if (reads(PIPELINE SOURCE SINK "detach_after = 100GB\n" CH "detach_after = 1kB\n", &c)) {
        check(c.sinks[0].detach_after == UINT64_C(100) << 30 && c.sinks[1].detach_after == 1024,
              "sizes in PostgreSQL's units");
        config_free(&c);
    }
    refuses(PIPELINE SOURCE SINK "detach_after = 100\n", 11, "a size such as 100GB");
    refuses(PIPELINE SOURCE SINK "detach_after = 100gb\n", 11, "a size such as 100GB");
    refuses(PIPELINE SOURCE SINK "detach_after = -1GB\n", 11, "a size such as 100GB");
    refuses(PIPELINE SOURCE SINK "detach_after = 0GB\n", 11, "a size such as 100GB");
    refuses(PIPELINE SOURCE SINK "detach_after = 99999999999999999999TB\n", 11, "a size such");
    refuses(PIPELINE SOURCE "[sink e]\ntype=exec\ncommand=x\ndetach_after = 1GB\n", 11,
            "is not for sinks with type = exec");
    if (reads(PIPELINE SOURCE SINK "copy = yes\non_error = park\npark_limit = 1000\n", &c)) {
        check(same(c.sinks[0].on_error, "park") && c.sinks[0].park_limit == 1000, "a sink parks");
        config_free(&c);
    }
    if (reads(PIPELINE SOURCE CH "copy = yes\non_error = park\npark_limit = 2\n", &c)) {
        check(same(c.sinks[0].on_error, "park") && c.sinks[0].park_limit == 2, "ClickHouse, too");
        config_free(&c);
    }
    refuses(PIPELINE SOURCE "[sink e]\ntype=exec\ncommand=x\non_error = park\n", 8,
            "on_error = stop");
    refuses(PIPELINE SOURCE SINK "park_limit = 1001\n", 11, "from 1 to 1000");
    refuses(PIPELINE SOURCE SINK "on_error = skip\n", 11, "stop or park");
    refuses(PIPELINE "copy = no\n" SOURCE SINK "on_error = park\n", 9, "copy = yes");
    refuses(PIPELINE "copy = only\n" SOURCE SINK "on_error = park\n", 9, "on_error = stop");
    refuses(PIPELINE SOURCE "binary = on\n" SINK "on_error = park\n", 9, "binary = off");
    refuses(PIPELINE "copy = maybe\n", 4, "yes, no (also written on or off) or only");
    refuses(PIPELINE "copy = only\n" SOURCE SINK "[sink f]\ntype=pg\nconninfo=host=b\ncopy=no\n",
            12, "config file of their own");
    refuses(PIPELINE SOURCE SINK "copy = only\n[sink f]\ntype=pg\nconninfo=host=b\n", 12,
            "config file of their own");
    refuses(PIPELINE "copy = only\n" SOURCE "[sink e]\ntype=exec\ncommand=x\n", 9, "of its own");
    refuses(PIPELINE "copy_workers = 33\n", 4, "1 to 32");
    refuses(PIPELINE "copy_workers = 0\n", 4, "1 to 32");
    refuses(PIPELINE "copy_rate = 4294967296\n", 4, "4294967295");
    refuses(PIPELINE SOURCE "binary = on\n" SINK "copy = yes\n", 9, "binary = off");
    refuses(PIPELINE "copy = yes\n" SOURCE "[sink e]\ntype=exec\ncommand=x\n", 9, "copy = no");
    refuses(PIPELINE SOURCE "binary = on\n" CH "copy = yes\n", 9, "binary = off");
    refuses(PIPELINE SOURCE "[sink e]\ntype=exec\ncommand=x\ncopy = yes\n", 8, "copy = no");
}

static void
test_tables(void)
{
    const struct table_config *t;
    struct config c;

    if (!reads(PIPELINE SOURCE CH
               "nullable = source\n[sink a table public.\"Odd t\"]\n"
               "engine = ReplicatedReplacingMergeTree('/p', 'r')\norder_by = b, a\n"
               "partition_by = toYYYYMM(b)\nleave_out = c\njson = json\narrays = array\n"
               "column_types = d -> Enum8('a,b' = 1),\n    e -> Decimal(9, 2)\n" SINK
               "[sink a  table  x.y]\nnullable = always\n",
               &c))
        return;
    t = c.sinks[0].choices;
    check(c.sinks_count == 2 && c.workers_count == 2, "sections of tables are no sinks");
    check(same(c.sinks[0].nullable, "source") && c.sinks[0].arrays == NULL, "for all");
    check(strcmp(t->of.schema, "public") == 0 && strcmp(t->of.table, "Odd t") == 0, "table");
    check(same(t->engine, "ReplicatedReplacingMergeTree('/p', 'r')"), "engine");
    check(same(t->order_by, "b, a") && same(t->partition_by, "toYYYYMM(b)"), "order");
    check(same(t->leave_out, "c") && same(t->json, "json") && same(t->arrays, "array"), "words");
    check(same(t->column_types, "d -> Enum8('a,b' = 1), e -> Decimal(9, 2)"), "types");
    check(strcmp(t->next->of.table, "y") == 0 && t->next->engine == NULL, "the second one");
    config_free(&c);
}

static void
test_passwords(void)
{
    struct config c;

    if (!reads(PIPELINE "[source]\nconninfo = host=a password='ge heim'\nslot=s\npublication=p\n"
                        "[sink d]\ntype=pg\nconninfo=postgresql://u:geh%65im@h/db\n",
               &c))
        return;
    check(same(c.source.password, "ge heim"), "the source's password is taken out");
    check(strstr(c.source.conninfo, "heim") == NULL, "and not left in: %s", c.source.conninfo);
    check(same(c.sinks[0].password, "geheim"), "also out of a url");
    check(strstr(c.sinks[0].conninfo, "heim") == NULL, "and not left in: %s", c.sinks[0].conninfo);
    config_free(&c);
    refuses(PIPELINE "[source]\nconninfo = host=a password=x sslpassword=y\n", 5, "sslpassword");
    refuses(PIPELINE "[source]\nconninfo = host=a password=ge heim\n", 5, "not shown");
}

static void
test_form(void)
{
    static const char nul[] = "[pipeline]\nname = a\0b\n";
    char *text = calloc(1, 9000);

    if (text == NULL)
        abort();
    refuses("name = x\n", 1, "outside of a section");
    refuses("[pipeline]\nname\n", 2, "neither a key nor a section");
    refuses("[pipeline\n", 1, "without \"]\"");
    refuses("[pipeline] x\n", 1, "unexpected text");
    refuses("[pipe]\n", 1, "unknown section");
    refuses("[sink]\n", 1, "malformed sink name");
    refuses("[sink a b]\n", 1, "malformed sink name");
    /* A header of 320 bytes is read whole, so that the name in it is judged. */
    for (int len = 320; len <= 321; len++) {
        snprintf(text, 9000, "[sink %0*d]\n", len - 5, 0);
        refuses(text, 1, len == 320 ? "at most 40" : "longer than 320 bytes");
    }
    refuses("[source x]\n", 1, "unexpected name");
    refuses(PIPELINE "[pipeline]\n", 4, "second section");
    refuses(PIPELINE SOURCE SINK SINK, 11, "second section for sink");
    refuses("[pipeline]\nname = a\n state_dir = /x\n", 3, "indented");
    refuses("[pipeline]\nname = a\n [source]\n", 3, "indented");
    refuses_bytes(nul, sizeof nul - 1, 2, "NUL");
    snprintf(text, 9000, "[pipeline]\nname = %08190d\n", 1);
    refuses(text, 2, "longer than 8189 bytes");
    free(text);
}

static void
test_line_maximum(void)
{
    char *text = calloc(1, 20000);
    struct config c;
    int length = 8189 - (int)strlen("command = \n");

    if (text == NULL)
        abort();
    snprintf(text, 20000, PIPELINE SOURCE "[sink d]\ntype = exec\ncommand = %0*d\n", length, 1);
    if (reads(text, &c)) {
        check(strlen(c.sinks[0].command) == (size_t)length, "a line of 8189 bytes comes whole");
        config_free(&c);
    }
    free(text);
}

static void
test_mistakes(void)
{
    refuses("[pipeline]\nname = x\nname = y\n", 3, "key given twice");
    refuses("[pipeline]\nnam = x\n", 2, "unknown key \"nam\"");
    refuses("[pipeline]\nname =\n", 2, "missing value");
    refuses("[pipeline]\nname = a-b\n", 2, "letters, digits and _");
    refuses("[pipeline]\nstate_dir = var\n", 2, "absolute");
    refuses("[pipeline]\nname = x\n", 1, "needs the key \"state_dir\"");
    refuses("[pipeline]\nhttp = 127.0.0.1\n", 2, "ADDRESS:PORT");
    refuses("[pipeline]\nhttp = 127.0.0.1:0\n", 2, "ADDRESS:PORT");
    refuses("[pipeline]\nhttp = 127.0.0.300:80\n", 2, "ADDRESS:PORT");
    refuses("[pipeline]\nlog_level = loud\n", 2, "debug, info");
    refuses("[pipeline]\nlog_format = xml\n", 2, "text, json or auto");
    refuses("[source]\nslot = A\n", 2, "lower case");
    refuses("[source]\npublication = a,,b\n", 2, "expected a name");
    refuses("[source]\npublication = \"a\n", 2, "not closed");
    /* The bug was that check passed it and run could not read a transaction. */
    refuses("[source]\nstreaming = on\n", 2, "unknown key \"streaming\"");
    refuses("[source]\nbinary = maybe\n", 2, "yes or no");
    refuses("[source]\nconninfo = hots=x\n", 2, "hots");
    refuses("[sink a]\n", 1, "needs the key \"type\"");
    refuses("[sink a]\ntype = mysql\n", 2, "pg, ch or exec");
    refuses("[sink a]\ntype = pg\n", 1, "needs the key \"conninfo\"");
    refuses("[sink a]\ntype = pg\nurl = http://x\n", 3, "unknown key \"url\"");
    refuses("[sink a]\ntype = pg\non_overflow = clamp\n", 3, "unknown key \"on_overflow\"");
    refuses("[sink a]\ntype = ch\non_overflow = wrap\n", 3, "error, clamp or null");
    refuses("[sink a]\ntype = exec\ncommand = x\nshards = 257\n", 4, "1 to 256");
    refuses("[sink a]\ntype = exec\ncommand = x\nshard_key = column:\n", 4, "column:NAME");
    refuses("[sink a]\ntype = exec\ncommand = x\ntables = public\n", 4, "SCHEMA.TABLE");
    refuses("[sink a]\ntype = pg\nconninfo = host=x\nmap = a.b\n", 4, "->");
    refuses("[sink a]\ntype = pg\nconninfo = host=x\nmap = a.b -> c\n", 4, "no schema");
    refuses("[sink a]\ntype = pg\nconninfo = host=x\nmap = a.b -> c.d\nmap = a.b -> c.e\n", 5,
            "twice");
    refuses("[sink a]\ntype = ch\nurl = http://x\ndatabase = d\nmap = a.B -> c\n", 5, "upper-case");
    refuses(CH "[sink b table a.b]\n", 5, "no sink \"b\"");
    refuses("[sink a table a.b]\n" CH, 1, "no sink \"a\"");
    refuses("[sink a]\ntype = pg\nconninfo = host=x\n[sink a table a.b]\n", 4, "type = ch");
    refuses(CH "[sink a table b]\n", 5, "SCHEMA.TABLE");
    refuses(CH "[sink a table a.b]\n[sink a table \"a\".b]\n", 6, "second section for table");
    refuses(CH "[sink a table a.b]\nshards = 2\n", 6, "expected one of engine, order_by");
    refuses(CH "[sink a table a.b]\norder_by = a b\n", 6, "comma");
    refuses(CH "[sink a table a.b]\ncolumn_types = a Int8\n", 6, "COLUMN -> TYPE");
    refuses(CH "[sink a table a.b]\nnullable = yes\n", 6, "always or source");
    refuses(CH "json = yes\n", 5, "text or json");
    refuses(CH "arrays = json\n", 5, "text or array");
    refuses("[sink a]\ntype = pg\nconninfo = host=x\nflush_interval = 5\n", 4, "duration");
    refuses("[sink a]\ntype = pg\nconninfo = host=x\nbatch_rows = 0\n", 4, "1 to 500000");
    refuses("[sink a]\ntype = pg\nconninfo = host=x\nbatch_rows = 500001\n", 4, "1 to 500000");
    refuses("[sink a]\ntype = ch\nurl = http://u:p@h\n", 3, "password_file");
    refuses("[sink a]\ntype = exec\ncommand = x\nshards = 200\n"
            "[sink b]\ntype = exec\ncommand = x\nshards = 57\n",
            5, "more than 256 workers");
}

static void
test_missing_sections(void)
{
    struct config c;
    struct err err = {0};

    write_file("", 0);
    check(config_read(path, NULL, &c, &err) != 0 && strstr(err.message, "[pipeline]") != NULL,
          "empty");
    config_free(&c);
    write_file(PIPELINE SOURCE, strlen(PIPELINE SOURCE));
    check(config_read(path, NULL, &c, &err) != 0 && strstr(err.message, "[sink NAME]") != NULL,
          "no sink");
    config_free(&c);
    check(config_read("/nonexistent/file", NULL, &c, &err) != 0 && err.code == EXIT_REFUSED,
          "no file");
    config_free(&c);
}

/* The longest state_dir whose socket has a path of SOCKET_PATH_MAX bytes, and one byte more (trap
 * 144). */
static void
test_state_dir_maximum(void)
{
    char text[512];
    struct config c;

    snprintf(text, sizeof text, "[pipeline]\nname = x\nstate_dir = /%096d\n" SOURCE SINK, 1);
    if (reads(text, &c)) {
        check(strlen(c.socket) == SOCKET_PATH_MAX, "97 bytes fit");
        config_free(&c);
    }
    snprintf(text, sizeof text, "[pipeline]\nname = x\nstate_dir = /%097d\n", 1);
    refuses(text, 3, "too long");
}

/* Up to three --set, the others NULL. */
static int
reads_with(const char *text, const char *a, const char *b, const char *c, struct config *config,
           struct err *err)
{
    static struct overrides o;
    const char *all[] = {a, b, c};

    o.count = 0;
    for (size_t i = 0; i < 3; i++)
        if (all[i] != NULL)
            o.given[o.count++] = all[i];
    write_file(text, strlen(text));
    return config_read(path, &o, config, err);
}

static void
set_refused(const char *set, const char *message)
{
    struct config c;
    struct err err = {0};

    check(reads_with(PIPELINE SOURCE SINK CH, set, NULL, NULL, &c, &err) != 0, "%s refused", set);
    check(err.code == EXIT_REFUSED && strncmp(err.message, message, strlen(message)) == 0,
          "--set %s: \"%s\"", set, err.message);
    check(strstr(err.message, "geheim") == NULL && strstr(err.hint, "geheim") == NULL, "no secret");
    config_free(&c);
}

static void
test_set(void)
{
    static const char text[] = PIPELINE SOURCE SINK
        "map = a.b -> c.d\nmap = a.c -> c.e\n" CH "[sink a  table public.\"x.=y\"]\njson = json\n";
    struct config c;
    struct err err = {0};

    if (check(reads_with(text, "source.slot=other", "sink.dst.shards=3", "sink.dst.map=a.b -> x.y",
                         &c, &err) == 0,
              "overridden: %s", err.message)) {
        check(same(c.source.slot, "other") && c.sinks[0].shards == 3, "changed and added");
        check(c.sinks[0].maps_count == 1 && same(c.sinks[0].maps[0], "a.b -> x.y"),
              "instead of all lines");
    }
    config_free(&c);
    if (check(reads_with(text, "pipeline.http=[::1]:80",
                         "pipeline.http=", "sink.a.table.public.\"x.=y\".json=text", &c, &err) == 0,
              "overridden: %s", err.message)) {
        check(c.http == NULL, "the last one counts");
        check(same(c.sinks[1].choices->json, "text"), "of a table");
    }
    config_free(&c);
    if (check(reads_with(text, "source.conninfo=host=b ;c dbname=${x}", NULL, NULL, &c, &err) != 0,
              "a comment's mark is not one here"))
        check(strncmp(err.message, "--set source.conninfo: conninfo: ", 33) == 0, "%s",
              err.message);
    config_free(&c);
    if (check(reads_with(text, "sink.a.user=${x} ;y", NULL, NULL, &c, &err) == 0, "literally"))
        check(same(c.sinks[1].user, "${x} ;y"), "as given: %s", c.sinks[1].user);
    config_free(&c);
    set_refused("source.slot", "option --set number 1: expected SECTION.KEY=VALUE");
    set_refused("postgresql://u:geheim@db.h?sslmode=x", "option --set number 1: expected");
    set_refused("source.conninfo host=h password=geheim", "option --set number 1: expected");
    set_refused("slot=x", "option --set number 1: expected");
    set_refused("=x", "option --set number 1: expected");
    set_refused("sink.b.shards=2", "--set sink.b.shards: there is no section [sink b] in /tmp/");
    set_refused("sink.shards=2", "--set sink.shards: there is no section [sink]");
    set_refused("source.slots=x", "--set source.slots: unknown key \"slots\"");
    set_refused("source.slot=X", "--set source.slot: slot = \"X\": malformed value");
    set_refused("sink.dst.type=mysql", "--set sink.dst.type: type = \"mysql\": malformed");
    set_refused("sink.dst.conninfo=", "--set sink.dst.conninfo: missing value");
    set_refused("sink.dst.conninfo=host=a password=geheim",
                "--set sink.dst.conninfo: the value has a password");
    set_refused("source.conninfo=postgresql://u:geheim@h", "--set source.conninfo: the value has");
    set_refused("sink.a.url=http://u:geheim@h", "--set sink.a.url: url: malformed");
    set_refused("source.slot=a\nb", "--set source.slot: value has a line break");
}

static void
expands(const char *value, const char *expected)
{
    struct config c;
    struct err err = {0};
    char text[1000];

    snprintf(text, sizeof text,
             PIPELINE SOURCE "[sink a]\ntype = ch\nurl = http://x\ndatabase = %s\n", value);
    write_file(text, strlen(text));
    if (check(config_read(path, NULL, &c, &err) == 0, "%s: %s", value, err.message))
        check(same(c.sinks[0].database, expected), "%s is %s", value, c.sinks[0].database);
    config_free(&c);
}

static void
connects(const char *conninfo, const char *without, const char *password)
{
    struct config c;
    struct err err = {0};
    char text[1000];

    snprintf(text, sizeof text,
             PIPELINE "[source]\nslot = s\npublication = p\nconninfo = %s\n" SINK, conninfo);
    write_file(text, strlen(text));
    if (check(config_read(path, NULL, &c, &err) == 0, "%s: %s", conninfo, err.message)) {
        check(same(c.source.conninfo, without), "%s is %s", conninfo, c.source.conninfo);
        check(password == NULL ? c.source.password == NULL : same(c.source.password, password),
              "%s has the password %s", conninfo, c.source.password);
        check(!c.holds_password, "which the file does not hold");
        check(c.variables != NULL && c.variables->secret, "noted");
    }
    config_free(&c);
}

static void
test_variables(void)
{
    struct pool pool = {0};
    struct config c;

    setenv("WT_A", "aa ;#", 1);
    setenv("WT_EMPTY", "", 1);
    setenv("WT_AGAIN", "${WT_A}$${", 1);
    setenv("WT_PW", "ge 'h\\eim", 1);
    setenv("WT_ALL", "host=h password='x y' user=u", 1);
    setenv("WT_URI", "postgresql://u:p%20w@h/db", 1);
    unsetenv("WT_NONE");
    expands("${WT_A}", "aa ;#");
    expands("x${WT_A}${WT_EMPTY}y ; ${WT_NONE}", "xaa ;#y");
    expands("${WT_AGAIN}", "${WT_A}$${");
    expands("$${WT_NONE}", "${WT_NONE}");
    expands("$WT_A $$ $5 {WT_A} a$", "$WT_A $$ $5 {WT_A} a$");
    refuses(PIPELINE "[source]\nslot = ${WT_NONE}\n", 5, "variable WT_NONE is not set");
    refuses(PIPELINE "[source]\nslot = ${WT-NONE}\n", 5, "expected ${NAME}");
    refuses(PIPELINE "[source]\nslot = ${1A}\n", 5, "expected ${NAME}");
    refuses(PIPELINE "[source]\nslot = ${\n", 5, "expected ${NAME}");
    refuses(PIPELINE "[source]\nslot = ${WT_A}\n", 5, "slot = \"${WT_A}\": malformed");
    refuses(PIPELINE "[source]\nslot = ${WT_EMPTY}\n", 5, "missing value");
    refuses(PIPELINE "[${WT_A}]\nslot = x\n", 4, "unknown section \"${WT_A}\"");
    refuses(PIPELINE "${WT_A} = x\n", 4, "unknown key \"${WT_A}\"");
    /* a part of a value is no syntax of libpq's */
    connects("host=h password=${WT_PW} user=u", "user='u' host='h' ", "ge 'h\\eim");
    connects("host=h password = '-${WT_PW}' user=u", "user='u' host='h' ", "-ge 'h\\eim");
    connects("host=h password=${WT_EMPTY} user=u", "user='u' host='h' ", "");
    connects("host=a\\ ${WT_A}", "host=a\\ aa\\ ;#", NULL);
    /* in the place of parameters it is */
    connects("dbname=d ${WT_ALL}", "user='u' dbname='d' host='h' ", "x y");
    connects("${WT_URI}", "user='u' dbname='db' host='h' ", "p w");
    refuses(PIPELINE "[source]\nconninfo = postgresql://u:${WT_PW}@h/db\n", 5, "of a URI");
    if (reads(PIPELINE SOURCE "[sink a]\ntype=exec\ncommand = echo ${WT_NONE:-x}\n", &c)) {
        check(same(c.sinks[0].command, "echo ${WT_NONE:-x}"), "the shell's own");
        check(same(config_variables(&c, &pool), ""), "no variable");
        config_free(&c);
    }
    if (reads(PIPELINE SOURCE
              "[sink a]\ntype=ch\nurl=http://${WT_EMPTY}x\ndatabase=${WT_EMPTY}${WT_A}\n",
              &c)) {
        check(same(config_variables(&c, &pool), "WT_EMPTY, WT_A"), "each once");
        check(!c.variables->secret, "no password");
        config_free(&c);
    }
    pool_free(&pool);
}

int
main(void)
{
    int fd = mkstemp(path);

    if (fd < 0)
        abort();
    close(fd);
    test_defaults();
    test_values();
    test_copies();
    test_tables();
    test_passwords();
    test_form();
    test_line_maximum();
    test_mistakes();
    test_missing_sections();
    test_state_dir_maximum();
    test_set();
    test_variables();
    unlink(path);
    return check_done();
}
