#!/usr/bin/env bats
# walpipe compare: columns that only the target computes, keys that are NULL, hidden values, tables
# that lack changes, and a pipeline that another machine runs.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    pg_new dst
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/compare.bash"
    compare_setup
}

teardown() {
    compare_teardown
}

@test "a generated column is named, rows without a key are found, and values can be hidden" {
    in_src "CREATE TABLE g (id int PRIMARY KEY, a int, b int); INSERT INTO g VALUES (1, 2, 4);
            CREATE TABLE u (k uuid PRIMARY KEY, v int); INSERT INTO u VALUES ('ffffffff-ffff-ffff-ffff-ffffffffffff', 1);
            CREATE TABLE m (a text, b numeric); INSERT INTO m VALUES ('secret', 1.5), ('other', 2);
            CREATE TABLE n (id int PRIMARY KEY, v text); INSERT INTO n VALUES (1, '1.5'), (2, 'NaN'), (3, '-2');
            CREATE PUBLICATION p FOR ALL TABLES"
    in_dst "CREATE TABLE g (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED);
            CREATE TABLE u (k uuid UNIQUE, v int); CREATE TABLE n (id int PRIMARY KEY, v numeric(5,2))"
    write_conf
    begin
    compare
    [ "$status" -eq 2 ]
    has "    not compared: column b: the target computes it"
    [ "$(grep -c '^  equal ' <<<"$output")" -eq 3 ]

    # the bug was that NULL was looked up as an empty text, which no uuid is
    in_dst "INSERT INTO u VALUES (NULL, 5), (NULL, 6); INSERT INTO m VALUES ('secret', 1.5); UPDATE n SET v = 1.51 WHERE id = 1"
    compare --no-values
    [ "$status" -eq 1 ]
    [ "$(grep -c '^    surplus    k=NULL' <<<"$output")" -ge 1 ]
    has "    number     (hidden): rows"
    has "    different  id=1: v"
    [[ $output != *secret* ]]
    compare --table public.m
    has "    number     a=secret, b=1.5: rows '1' in the source, '2' in the target"
}

@test "a pipeline that another machine runs has its position in the slot" {
    in_src "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'a' FROM generate_series(1, 100) i;
            CREATE PUBLICATION p FOR ALL TABLES"
    write_conf
    begin
    in_dst "UPDATE t SET v = 'b' WHERE id = 7; DELETE FROM t WHERE id = 8"
    compare --set "pipeline.state_dir=$dir/elsewhere"
    [ "$status" -eq 1 ]
    has "    different  id=7: v 'a' in the source, 'b' in the target"
    has "    missing    id=8"
    [ "$(grep -c '^    [a-z]* *id=' <<<"$output")" -eq 2 ]
    pipeline_stop "$conf"
    compare --set "pipeline.state_dir=$dir/elsewhere"
    [ "$status" -eq 2 ]
    grep -q "^    not compared: 2 rows: pipeline .* is not running" <<<"$output"
}

# The transaction's commit LSN, as the last error has it.
error_lsn() {
    grep '"level":"error","program":"sink-pg".*"lsn"' "$conf.log" | tail -n 1 | sed 's/.*"lsn":"\([^"]*\)".*/\1/'
}

@test "the differences of a table that lacks skipped changes are shown as such" {
    in_src "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'); CREATE TABLE o (id int PRIMARY KEY);
            CREATE PUBLICATION p FOR ALL TABLES"
    in_dst "CREATE TABLE t (id int PRIMARY KEY, v varchar(5))"
    write_conf
    begin
    in_src "INSERT INTO t VALUES (2, 'too long'), (3, 'c')"
    wait_until 60 test -s "$conf.exit"
    lsn=$(error_lsn)
    "$WALPIPE_BIN/walpipe" skip -c "$conf" --sink dst --lsn "$lsn"
    pipeline_start "$conf"
    wait_until 60 everything_streams
    caught_up "$conf" src "$db"
    compare
    [ "$status" -eq 1 ]
    has "    it lacks 2 changes that walpipe skip left out, up to the transaction at $lsn"
    has "    missing    id=2"
    has "    missing    id=3"
    has "  equal         public.o, 0 rows"
    compare --json
    jq -e '.sinks[0].tables[] | select(.table == "t") | .lacks | test("left out")' <<<"$output"
}
