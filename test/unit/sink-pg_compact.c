/* sink-pg_compact.c: the table of trap 80, and random histories. Rows changed one by one and rows
 * changed by the net changes end alike (traps 79, 80, 81, 88). The same with keys that two rows
 * share for a moment (trap 115). */
/* clang-format off
 * links: lib/loginnote lib/pgtype sink-pg/compact sink-pg/signature sink-pg/pipe sink-pg/outcome sink-pg/batch sink-pg/readable sink-pg/tables sink-pg/neighbours sink-pg/plan sink-pg/columns sink-pg/typerule sink-pg/match sink-pg/notes sink-pg/catalog sink-pg/recode lib/moment sink-pg/fits sink-pg/sqltext sink-pg/mapping lib/tablemap lib/names sink-pg/session lib/err lib/buf lib/lsn lib/cursor lib/pack lib/frame lib/event lib/relmap lib/pqx lib/pqconn lib/secretfile lib/log lib/clock lib/verdict
 * libs: -lpq
 * clang-format on */
#include "sink-pg/compact.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

#define KEYS    6
#define COLUMNS 3 /* key, a, b, of which b may be unchanged TOAST */

static struct relation_column source_columns[COLUMNS] = {
    {.name = "k", .key = true, .type_oid = 25, .typmod = -1, .type_schema = "", .type_name = ""},
    {.name = "a", .type_oid = 25, .typmod = -1, .type_schema = "", .type_name = ""},
    {.name = "b", .type_oid = 25, .typmod = -1, .type_schema = "", .type_name = ""}};
static struct plan_column plan_columns[COLUMNS] = {{.source = 0, .name = "k", .key = true},
                                                   {.source = 1, .name = "a"},
                                                   {.source = 2, .name = "b"}};
static uint32_t plan_keys[1] = {0};
static struct plan plan = {.columns_count = COLUMNS,
                           .columns = plan_columns,
                           .keys_count = 1,
                           .keys = plan_keys,
                           .match = MATCH_KEY,
                           .index = INDEX_ARBITER};
static struct table table = {.relation = {.relid = 1,
                                          .replica_identity = 'd',
                                          .schema = "s",
                                          .name = "t",
                                          .columns_count = COLUMNS,
                                          .columns = source_columns},
                             .label = "s.t",
                             .plan = &plan};
static struct batch batch;
static struct compact compact;
static struct row_values values;
static struct err err;

/* A row of the model, in which key n has these values. */
struct cell {
    bool there;
    int a, b;
};

static struct value
text_value(char *room, size_t size, const char *fmt, int n)
{
    int len = snprintf(room, size, fmt, n);

    return (struct value){.kind = VALUE_TEXT, .len = (uint32_t)len, .data = (uint8_t *)room};
}

/* Adds a change to the batch. a or b < 0 is unchanged. old < 0 means no old key. */
static void
add(uint8_t type, int key, int a, int b, int old)
{
    char room[4][16];
    struct value new_row[COLUMNS],
        old_row[COLUMNS] = {{.kind = VALUE_NULL}, {.kind = VALUE_NULL}, {.kind = VALUE_NULL}};
    struct row_event row = {.header = {.relid = 1, .ordinal = 1}};
    struct value unchanged = {.kind = VALUE_UNCHANGED};
    struct buf frame = {0};

    new_row[0] = text_value(room[0], sizeof room[0], "%d", key);
    new_row[1] = a < 0 ? unchanged : text_value(room[1], sizeof room[1], "%d", a);
    new_row[2] = b < 0 ? unchanged : text_value(room[2], sizeof room[2], "%d", b);
    old_row[0] = text_value(room[3], sizeof room[3], "%d", old < 0 ? key : old);
    row.new_row = (struct tuple){.count = COLUMNS, .values = new_row};
    if (type == FRAME_DELETE || old >= 0) {
        row.old_kind = OLD_KEY;
        row.old_row = (struct tuple){.count = COLUMNS, .values = old_row};
    }
    if (row_encode(&frame, type, &row) != 0 ||
        batch_add_row(&batch, &table, type,
                      (struct bytes){frame.data + FRAME_HEADER, buf_len(&frame) - FRAME_HEADER}, 1,
                      &err) != 0)
        abort();
    buf_free(&frame);
}

static enum outcome
run_as(bool by_row)
{
    struct op_list list = {
        .batch = &batch, .table = &table, .end = batch.count, .count = batch.count};
    enum outcome result = OUTCOME_DONE;

    if (compact_start(&compact, &list, by_row, &err) != 0)
        abort();
    for (uint32_t i = 0; i < batch.count && result == OUTCOME_DONE; i++) {
        struct change change;

        if (change_decode(&batch, &batch.ops[i], &values, &change, &err) != 0)
            abort();
        result = compact_add(&compact, i, &change, &err);
    }
    compact_count(&compact);
    return result;
}

static enum outcome
run(void)
{
    return run_as(false);
}

static int
number(const struct value *v)
{
    char text[16] = "";

    memcpy(text, v->data, v->len);
    return (int)strtol(text, NULL, 10);
}

static const struct value *
row_of(const struct net *net)
{
    const struct value *row;

    if (compact_row(&compact, net, &values, &row, &err) != 0)
        abort();
    return row;
}

/* The net changes as merge.c applies them, which is deletes, updates, inserts. */
static bool
apply_net(struct cell *cells)
{
    bool found = true;

    for (uint32_t i = 0; i < compact.count; i++)
        if (compact.nets[i].kind == NET_DELETE || compact.nets[i].kind == NET_REPLACE)
            cells[number(&row_of(&compact.nets[i])[0])].there = false;
    for (uint32_t i = 0; i < compact.count; i++) {
        const struct value *row = row_of(&compact.nets[i]);
        struct cell *cell = &cells[number(&row[0])];

        if (compact.nets[i].kind != NET_UPDATE)
            continue;
        found = found && cell->there;
        cell->a = row[1].kind == VALUE_UNCHANGED ? cell->a : number(&row[1]);
        cell->b = row[2].kind == VALUE_UNCHANGED ? cell->b : number(&row[2]);
    }
    for (uint32_t i = 0; i < compact.count; i++) {
        const struct value *row = row_of(&compact.nets[i]);

        if (compact.nets[i].kind == NET_INSERT || compact.nets[i].kind == NET_REPLACE)
            cells[number(&row[0])] = (struct cell){true, number(&row[1]), number(&row[2])};
    }
    return found;
}

/* One random change that a source could make. */
static void
random_change(struct cell *cells)
{
    int key = rand() % KEYS, to = rand() % KEYS, a = rand() % 1000, b = rand() % 1000;
    bool toast = rand() % 2 == 0;
    struct cell *cell = &cells[key];

    if (!cell->there) {
        add(FRAME_INSERT, key, a, b, -1);
        *cell = (struct cell){true, a, b};
    } else if (rand() % 3 == 0) {
        add(FRAME_DELETE, key, 0, 0, -1);
        cell->there = false;
    } else if (rand() % 3 == 0 && !cells[to].there) {
        add(FRAME_UPDATE, to, a, toast ? -1 : b, key);
        cells[to] = (struct cell){true, a, toast ? cell->b : b};
        cell->there = false;
    } else {
        add(FRAME_UPDATE, key, a, toast ? -1 : b, -1);
        cell->a = a;
        cell->b = toast ? cell->b : b;
    }
}

static void
test_random(unsigned seed)
{
    int odd = 0, wrong = 0, missing = 0;

    srand(seed);
    for (int round = 0; round < 20000; round++) {
        struct cell before[KEYS], after[KEYS];

        batch_drop(&batch, batch.count);
        for (int k = 0; k < KEYS; k++)
            before[k] = (struct cell){rand() % 2 == 0, rand() % 1000, rand() % 1000};
        memcpy(after, before, sizeof after);
        for (int n = rand() % 12; n >= 0; n--)
            random_change(after);
        if (run() != OUTCOME_DONE) {
            odd++;
            continue;
        }
        missing += !apply_net(before);
        for (int k = 0; k < KEYS; k++)
            wrong += before[k].there != after[k].there ||
                     (after[k].there && (before[k].a != after[k].a || before[k].b != after[k].b));
    }
    check(wrong == 0, "net changes end as the changes one by one (seed %u)", seed);
    check(missing == 0, "no net update misses its row (seed %u)", seed);
    check(odd < 8000, "most histories can be compacted: %d of 20000 were odd (seed %u)", odd, seed);
}

static void
test_table_of_trap_80(void)
{
    batch_drop(&batch, batch.count);
    add(FRAME_INSERT, 1, 1, 1, -1);
    add(FRAME_UPDATE, 1, 2, -1, -1);
    check(run() == OUTCOME_DONE && compact.inserts == 1 && compact.count == 1 &&
              number(&row_of(&compact.nets[0])[2]) == 1,
          "insert + update is an insert that keeps the unchanged value");
    add(FRAME_DELETE, 1, 0, 0, -1);
    check(run() == OUTCOME_DONE && compact.deletes == 1 && !compact.nets[0].expected,
          "insert + delete is a delete, of a row that need not be there");
    add(FRAME_INSERT, 1, 3, 3, -1);
    check(run() == OUTCOME_DONE && compact.replaces == 1, "delete + insert is a replace");
    add(FRAME_UPDATE, 1, -1, 4, -1);
    check(run() == OUTCOME_DONE && compact.replaces == 1 &&
              number(&row_of(&compact.nets[0])[1]) == 3,
          "and stays one after an update");
    batch_drop(&batch, batch.count);
    add(FRAME_UPDATE, 1, 1, 5, -1);
    add(FRAME_UPDATE, 1, 2, -1, -1);
    check(run() == OUTCOME_DONE && compact.updates == 1 && compact.nets[0].expected &&
              number(&row_of(&compact.nets[0])[2]) == 5,
          "update + update keeps the earlier value where the later has none");
    add(FRAME_DELETE, 1, 0, 0, -1);
    check(run() == OUTCOME_DONE && compact.deletes == 1 && compact.nets[0].expected,
          "update + delete is a delete");
    add(FRAME_UPDATE, 1, 1, 1, -1);
    check(run() == OUTCOME_NOT, "an update of a deleted row is odd");
    batch_drop(&batch, batch.count);
    add(FRAME_UPDATE, 2, 1, -1, 1);
    check(run() == OUTCOME_NOT, "a key change without all values is odd (trap 81)");
    batch_drop(&batch, batch.count);
    add(FRAME_UPDATE, 9, 1, 1, 1);
    add(FRAME_UPDATE, 1, 2, 2, 2);
    add(FRAME_UPDATE, 2, 3, 3, 9);
    check(run() == OUTCOME_DONE && compact.replaces == 2 && compact.deletes == 1,
          "a swap of two keys over a third");
}

/* ---- REPLICA IDENTITY FULL and a deferrable key ---- */

#define ROWS 7

/* Key 0 if it is not there. */
struct full_row {
    int key, a;
};

/* old or new_row is NULL for an insert or a delete. */
static void
add_full(const struct full_row *old, const struct full_row *new_row)
{
    char room[4][16];
    struct value old_values[COLUMNS] = {{.kind = VALUE_NULL},
                                        {.kind = VALUE_NULL},
                                        {.kind = VALUE_NULL}},
                 new_values[COLUMNS] = {
                     {.kind = VALUE_NULL}, {.kind = VALUE_NULL}, {.kind = VALUE_NULL}};
    struct row_event row = {.header = {.relid = 1, .ordinal = 1}};
    uint8_t type = old == NULL ? FRAME_INSERT : new_row == NULL ? FRAME_DELETE : FRAME_UPDATE;
    struct buf frame = {0};

    if (new_row != NULL) {
        new_values[0] = text_value(room[0], sizeof room[0], "%d", new_row->key);
        new_values[1] = text_value(room[1], sizeof room[1], "%d", new_row->a);
        row.new_row = (struct tuple){.count = COLUMNS, .values = new_values};
    }
    if (old != NULL) {
        old_values[0] = text_value(room[2], sizeof room[2], "%d", old->key);
        old_values[1] = text_value(room[3], sizeof room[3], "%d", old->a);
        row.old_kind = OLD_FULL;
        row.old_row = (struct tuple){.count = COLUMNS, .values = old_values};
    }
    if (row_encode(&frame, type, &row) != 0 ||
        batch_add_row(&batch, &table, type,
                      (struct bytes){frame.data + FRAME_HEADER, buf_len(&frame) - FRAME_HEADER}, 1,
                      &err) != 0)
        abort();
    buf_free(&frame);
}

static int
count_key(const struct full_row *rows, int key)
{
    int n = 0;

    for (int i = 0; i < ROWS; i++)
        n += rows[i].key == key;
    return n;
}

/* Any change that a deferrable key permits. */
static void
random_full_change(struct full_row *rows)
{
    struct full_row *row = &rows[rand() % ROWS];
    struct full_row next = {1 + rand() % KEYS, rand() % 1000};

    if (row->key == 0) {
        add_full(NULL, &next);
        *row = next;
    } else if (rand() % 3 == 0) {
        add_full(row, NULL);
        row->key = 0;
    } else {
        next.key = rand() % 2 == 0 ? row->key : next.key;
        add_full(row, &next);
        *row = next;
    }
}

/* One row per key, as the end of the transaction requires. */
static void
leave_one_row_a_key(struct full_row *rows)
{
    for (int i = 0; i < ROWS; i++)
        if (rows[i].key != 0 && count_key(rows, rows[i].key) > 1) {
            add_full(&rows[i], NULL);
            rows[i].key = 0;
        }
}

/* As merge.c does, deletes, updates, plain inserts. *taken counts the latter's collisions. */
static void
apply_full(struct full_row *cells, int *taken)
{
    for (uint32_t i = 0; i < compact.count; i++)
        if (compact.nets[i].kind == NET_DELETE || compact.nets[i].kind == NET_REPLACE)
            cells[number(&row_of(&compact.nets[i])[0])].key = 0;
    for (uint32_t i = 0; i < compact.count; i++) {
        enum net_kind kind = compact.nets[i].kind;
        struct full_row got;

        if (kind == NET_DELETE || kind == NET_NONE)
            continue;
        got.key = number(&row_of(&compact.nets[i])[0]);
        got.a = number(&row_of(&compact.nets[i])[1]);
        *taken += kind == NET_UPDATE ? cells[got.key].key == 0 : cells[got.key].key != 0;
        cells[got.key] = got;
    }
}

/* The bug was that an insert took the place of the row that left its key later in the same
 * transaction, and went with it. */
static void
test_full(unsigned seed, bool by_row)
{
    int odd = 0, wrong = 0, taken = 0;

    srand(seed);
    table.relation.replica_identity = 'f';
    for (int round = 0; round < 20000; round++) {
        struct full_row rows[ROWS] = {{0, 0}}, cells[KEYS + 1] = {{0, 0}};

        batch_drop(&batch, batch.count);
        for (int k = 1; k <= KEYS; k++)
            if (rand() % 2 == 0)
                rows[k - 1] = cells[k] = (struct full_row){k, rand() % 1000};
        for (int n = rand() % 8; n >= 0; n--)
            random_full_change(rows);
        leave_one_row_a_key(rows);
        if (run_as(by_row) != OUTCOME_DONE) {
            odd++;
            continue;
        }
        apply_full(cells, &taken);
        for (int k = 1; k <= KEYS; k++) {
            wrong += count_key(rows, k) != (cells[k].key == k);
            for (int i = 0; i < ROWS; i++)
                wrong += rows[i].key == k && rows[i].a != cells[k].a;
        }
    }
    table.relation.replica_identity = 'd';
    check(wrong == 0 && taken == 0,
          "the bug was that a row was lost whose deferrable key another one had (seed %u, by %s)",
          seed, by_row ? "row" : "key");
    check(odd < (by_row ? 100 : 14000), "%d of 20000 were odd (seed %u, by %s)", odd, seed,
          by_row ? "row" : "key");
}

static void
test_full_by_name(void)
{
    const struct full_row was = {1, 10}, comes = {1, 20};

    table.relation.replica_identity = 'f';
    batch_drop(&batch, batch.count);
    add_full(NULL, &comes);
    add_full(&was, NULL);
    check(run() == OUTCOME_NOT, "full: insert onto a key, then delete of its old row: odd");
    check(run_as(true) == OUTCOME_DONE && compact.count == 2 && compact.inserts == 1 &&
              compact.deletes == 1,
          "by row: one comes, one goes");
    batch_drop(&batch, batch.count);
    add_full(NULL, &comes);
    add_full(&comes, NULL);
    check(run() == OUTCOME_DONE &&
              compact.deletes + compact.replaces + compact.inserts + compact.updates == 0,
          "full: a row that comes and goes leaves the key's old row alone");
    table.relation.replica_identity = 'd';
}

int
main(void)
{
    test_table_of_trap_80();
    test_random(1);
    test_random(2);
    test_full_by_name();
    for (unsigned seed = 1; seed <= 2; seed++) {
        test_full(seed, false);
        test_full(seed, true);
    }
    compact_free(&compact);
    batch_free(&batch);
    return check_done();
}
