/* chanswers.c: ClickHouse's answers to queries about its version, settings, tables and columns,
 * about a truncate's note, and about values that were not sent. The input replaces http.c. */
/* clang-format off: make reads one line
 * links: lib/loginnote lib/pgtype sink-ch/convert/ lib/moment sink-ch/server sink-ch/settings sink-ch/describe sink-ch/schema sink-ch/schema_create sink-ch/schema_choice sink-ch/choice sink-ch/items sink-ch/schema_default sink-ch/shape sink-ch/seen lib/tableinfo sink-ch/schema_mapping sink-ch/table sink-ch/options sink-ch/mapping lib/tablemap lib/names sink-ch/report sink-ch/schema_type sink-ch/view sink-ch/truncate sink-ch/mark sink-ch/history sink-ch/journal lib/intake lib/grammar lib/tablecounts lib/relmap lib/layout lib/backoff sink-ch/readback sink-ch/misses sink-ch/copymissing sink-ch/notetable lib/copydetail sink-ch/batch lib/ackclient lib/ackconn lib/ackmsg lib/copymsg lib/sinklist lib/sock lib/lockfile lib/io lib/opt lib/event lib/hash lib/log lib/clock lib/lsn lib/frame lib/pack lib/cursor lib/buf lib/err */
/* clang-format on */
#include <stdio.h>

#include "input.h"
#include "sink-ch/describe.h"
#include "sink-ch/history.h"
#include "sink-ch/readback.h"
#include "sink-ch/rows.h"
#include "sink-ch/schema.h"
#include "sink-ch/schema_mapping.h"
#include "sink-ch/truncate.h"

static struct cursor answers;

/* ---- http.c ---- */

int
http_set_settings(struct http *http, const char *settings, struct err *err)
{
    (void)http, (void)settings, (void)err;
    return 0;
}

void
http_free(struct http *http)
{
    (void)http;
}

enum http_outcome
http_post(struct http *http, const struct http_request *request, struct http_answer *answer)
{
    struct bytes body;

    (void)http;
    buf_free(&answer->body);
    answer->code = 0;
    snprintf(answer->message, sizeof answer->message, "no more answers");
    if (!input_next(&answers, &body))
        return HTTP_STOP;
    /* Memory of just its size, so that a read past its end is seen. */
    if (!request->expect_empty && body.len > 0) {
        answer->body = (struct buf){.data = malloc(body.len), .end = body.len, .size = body.len};
        require(answer->body.data != NULL);
        memcpy(answer->body.data, body.data, body.len);
    }
    return HTTP_DONE;
}

/* ---- rows.c ---- */

struct version
rows_version(const struct worker *worker, const struct table *table, uint64_t ordinal)
{
    return version_make(table->version_width, worker->transaction.commit_lsn, ordinal);
}

int
rows_check_version(const struct worker *worker, const struct table *table, struct err *err)
{
    (void)worker, (void)table, (void)err;
    return 0;
}

/* ---- the worker that asks ---- */

static void
say(void *context, enum finding finding, const char *text, const char *hint)
{
    (void)context, (void)finding, (void)hint;
    require(text[0] != '\0');
}

/* public.t (id int8 primary key, v text, a int4[], d with the domain of numeric) */
static struct table *
make_table(const struct options *options, char identity)
{
    static struct relation_column columns[] = {
        {.name = "id", .key = true, .type_oid = 20, .typmod = -1},
        {.name = "v", .type_oid = 25, .typmod = -1},
        {.name = "a", .type_oid = 1007, .typmod = -1},
        {.name = "d", .type_oid = 20000, .typmod = -1, .type_name = "numeric"}};
    struct relation relation = {.relid = 1,
                                .replica_identity = identity,
                                .schema = "public",
                                .name = "t",
                                .columns_count = 4,
                                .columns = columns};
    struct err err = {0};

    for (size_t i = 0; i < 4; i++) {
        columns[i].type_schema = "";
        if (columns[i].type_name == NULL)
            columns[i].type_name = "";
    }
    return table_new(&relation, 0, options, &err);
}

/* A row with key 7 whose v was not sent. */
static void
put_row_with_hole(struct worker *w, const struct table *table, struct bytes row)
{
    struct batch *batch = &w->batch;
    struct batch_entry entry = {.at = batch->arena.end, .len = row.len, .key_len = 8};
    struct batch_hole hole = {.key_at = entry.at, .key_len = entry.key_len, .before = BATCH_NONE};

    for (uint32_t i = table->keys_count; i < table->columns_count; i++)
        hole_map_set(&hole.map, i);
    entry.hole = batch_add_hole(batch, &hole);
    buf_append(&batch->arena, row.data, row.len);
    entry.len = batch->arena.end - entry.at;
    require(entry.hole != BATCH_NONE && batch_add(batch, &entry) == 0);
}

static void
try_readback(struct worker *w, const struct table *table)
{
    uint8_t row[8 + 16 + 1] = {7};
    size_t len = 8 + table->version_width + 1;
    struct err err = {0};

    if (!table->keyed || table->keys_count != 1 || table->columns[0].type.width != 8 ||
        table->columns[0].type.nullable || table->columns_count < 2)
        return;
    row[8 + 4] = 1;
    put_row_with_hole(w, table, (struct bytes){row, len});
    require(readback_fill(w, table, &err) == 0 || err.message[0] != '\0');
    batch_reset(&w->batch);
}

static void
try_table(struct worker *w, bool may_create, char identity)
{
    struct table *table = make_table(w->options, identity);
    struct report report = {.say = say};
    struct err err = {0};
    enum schema_status status;

    require(table != NULL);
    status = schema_load(&w->server, w->options, table, may_create, &report, &err);
    require(status != SCHEMA_ERROR || err.message[0] != '\0');
    require(status != SCHEMA_UNFIT || report.failed);
    if (status == SCHEMA_READY && history_open(w, &err) == 0 &&
        history_admit(w, table, &err) == 0) {
        try_readback(w, table);
        w->transaction.commit_lsn = 0x1000;
        (void)!truncate_apply(w, table, 1, &err);
        (void)schema_changed(&w->server, table);
    }
    table->relation.columns = NULL; /* static ones */
    table_free(table);
}

/* The first message is the value of --map. */
static bool
take_mappings(struct options *options)
{
    struct err err = {0};
    struct bytes text;
    char *copy;
    int rc = 0;

    if (!input_next(&answers, &text))
        return false;
    copy = strndup((const char *)text.data, text.len);
    require(copy != NULL);
    if (copy[0] != '\0')
        rc = tablemap_add(&options->map, copy, TABLEMAP_ANY, &err);
    require(rc == 0 || err.code == EXIT_REFUSED);
    free(copy);
    return rc == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct worker w;
    static const struct log log = {.program = "fuzz", .level = LOG_ERROR};
    static const struct hello hello = {.system_identifier = 7,
                                       .timeline = 2,
                                       .previous_timeline = 1,
                                       .switch_lsn = 0x800,
                                       .start_lsn = 0x700};
    struct options options = {
        .database = "d", .version_column = "_version", .deleted_column = "_is_deleted"};
    static const char identities[] = "dfni";
    struct err err = {0};
    uint8_t flags;

    answers = cursor_over(data, size);
    if (!cursor_u8(&answers, &flags))
        return 0;
    options.create_tables = (flags & 1) != 0;
    w = (struct worker){
        .options = &options,
        .log = &log,
        .server.log = &log,
        .journal = {.server = &w.server, .hello = &hello, .pipeline = "p", .database = "d"}};
    batch_init(&w.batch);
    w.convert.limits = &convert_limits_old;
    if (!take_mappings(&options))
        goto out;
    if (server_probe(&w.server, options.database, &err) == 0)
        try_table(&w, options.create_tables, identities[flags >> 1 & 3]);
    else
        require(err.message[0] != '\0');
out:
    options_free(&options);
    batch_free(&w.batch);
    buf_free(&w.server.answer.body);
    convert_free(&w.convert);
    return 0;
}
