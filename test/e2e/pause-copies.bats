#!/usr/bin/env bats
# A sink is paused while its tables are copied, or copied again, and tables are published during a pause.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    pg_new dst
    ch_new ch
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    source "$BATS_TEST_DIRNAME/pauses.bash"
    pauses_setup "c$BATS_TEST_NUMBER"
    pg_sql src "ALTER TABLE t ALTER v SET STORAGE PLAIN;
        INSERT INTO t SELECT g, repeat('v', 1000) FROM generate_series(10001, 20000) g" "$db"
    sed -i 's/^copy = yes/&\ncopy_workers = 1\ncopy_rate = 400000/' "$conf"
}

teardown() {
    pauses_teardown
}

# Copies have no limit any more.
hurry() {
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    walpipe reload
}

state_of() { # SINK TABLE
    walpipe tables --json | jq -r --arg s "$1" --arg t "$2" \
        '.sinks[] | select(.sink == $s) | .tables[] | select(.table == $t) | .state'
}

is_state() { # SINK TABLE STATE
    [ "$(state_of "$1" "$2")" = "$3" ]
}

copied_partly() {
    walpipe tables --json | jq -e '.sinks[] | select(.sink == "olap") | .tables[0] | .state == "copying" and .rows > 2000'
}

# The bug was that pg-table-read waited for the safe LSN, which a paused sink holds, so the others' copies stood still.
@test "a copy under way continues at the resume, and a table that was published meanwhile is copied" {
    local rows target
    pipeline_start "$conf"
    wait_until 60 copied_partly
    load_begin
    pause_sink olap
    rows=$(ch_sql ch "SELECT count() FROM t FINAL" "$db")
    is_state olap t copying
    hurry
    wait_until 60 streaming dst three
    for target in "$db" "${db}_three"; do
        pg_sql dst "CREATE TABLE u (id int PRIMARY KEY, v text)" "$target"
    done
    pg_sql src "CREATE TABLE u (id int PRIMARY KEY, v text); INSERT INTO u SELECT g, 'u' FROM generate_series(1, 3000) g" "$db"
    wait_until 60 is_state dst u streaming
    wait_until 60 is_state three u streaming
    pg_sql src "UPDATE u SET v = 'changed' WHERE id % 7 = 0; DELETE FROM u WHERE id % 11 = 0" "$db"
    # a restart of everything in the middle
    pipeline_kill "$conf"
    pipeline_start "$conf"
    moves_on three
    [ "$(ch_sql ch "SELECT count() FROM t FINAL" "$db")" = "$rows" ]
    [ "$(ch_sql ch "SHOW TABLES LIKE 'u'" "$db")" = "" ]
    pg_sql src "INSERT INTO u SELECT g, 'later' FROM generate_series(5001, 5100) g" "$db"
    resume_sink olap
    wait_until 90 streaming olap dst three
    load_end
    caught_up "$conf" src "$db"
    all_equal t u
    pipeline_stop "$conf"
}

@test "a resync under way continues at the resume" {
    local target=${db}_three
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    pipeline_start "$conf"
    wait_until 60 all_streaming
    sed -i 's/^copy_rate.*/copy_rate = 200000/' "$conf"
    walpipe reload
    load_begin
    pg_sql dst "DELETE FROM t WHERE id BETWEEN 12000 AND 12500; UPDATE t SET v = 'damaged' WHERE id BETWEEN 13000 AND 13100;
        INSERT INTO t SELECT g, 'surplus' FROM generate_series(900000, 900100) g" "$target"
    walpipe resync --sink three --table public.t
    wait_until 30 is_state three t resync
    pause_sink three
    is_state three t resync
    pipeline_kill "$conf"
    pipeline_start "$conf"
    moves_on dst
    is_state three t resync
    hurry
    resume_sink three
    wait_until 90 streaming three
    load_end
    caught_up "$conf" src "$db"
    all_equal
    pipeline_stop "$conf"
}

@test "a table without a key in the other sinks has each row once, after restarts during a pause" {
    local target n
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    for target in "$db" "${db}_three"; do
        pg_sql dst "CREATE TABLE log (n int, v text)" "$target"
    done
    pg_sql src "CREATE TABLE log (n int, v text)" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming
    pause_sink dst
    for n in 1 2 3; do
        pg_sql src "INSERT INTO log SELECT g, '$n' FROM generate_series(1, 100) g" "$db"
        moves_on three
        pipeline_kill "$conf"
        pipeline_start "$conf"
    done
    moves_on three
    wait_until 60 eval '[ "$(ch_sql ch "SELECT count() FROM log" "$db")" -ge 300 ]'
    resume_sink dst
    caught_up "$conf" src "$db"
    all_equal t log
    pipeline_stop "$conf"
}
