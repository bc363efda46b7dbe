#!/usr/bin/env bats
# Unusual cases of copy = only: a second walpipe, another value of copy before and after the run, a
# table that is published too late, and slots that walpipe did not make.

bats_require_minimum_version 1.5.0

load copy-only

@test "a target that refuses: 100, the slot stays, and the next start ends with 0" {
    small_tables
    pg_sql dst "INSERT INTO b VALUES (1, 'theirs')" "$db"
    write_conf
    runs 100
    slot_exists
    last_error | jq -e '.message | contains("public.b is to be copied and has rows already")'
    pg_sql dst "TRUNCATE b" "$db"
    runs 0
    run ! slot_exists
    equal a b
}

@test "a hot standby ends with 0 after the first one, and makes no slot; it ends the work of one that died" {
    bench_tables
    # slow, until the second one waits
    write_conf only "copy_rate = 300000"
    sed 's|/state$|/other|; s/^copy_rate.*/copy_rate = 0/' "$conf" >"$dir/second.conf"
    pipeline_begin "$conf"
    wait_until 60 more_rows 0
    pipeline_begin "$dir/second.conf"
    wait_until 60 pipeline_waits "$dir/second.conf"
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    "$WALPIPE_BIN/walpipe" reload -c "$conf"
    ends 0
    ends 0 "$dir/second.conf"
    run ! slot_exists
    run ! logged "created replication slot" "$dir/second.conf"
    # the first one dies: the second one ends its work, and does not know who made the slot
    pg_sql dst "TRUNCATE pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history; DROP SCHEMA walpipe CASCADE" "$db"
    rm -r "$dir/state" "$dir/other"
    sed -i 's/^copy_rate.*/copy_rate = 300000/' "$conf"
    pipeline_begin "$conf"
    wait_until 60 more_rows 0
    pipeline_begin "$dir/second.conf"
    wait_until 60 pipeline_waits "$dir/second.conf"
    pipeline_kill "$conf"
    ends 0 "$dir/second.conf"
    # shellcheck disable=SC2086 # words
    equal $BENCH
    slot_exists
    local statement
    statement=$(grep '^{' "$dir/second.conf.log" |
        jq -r 'select(.level == "warning").message | capture("to drop it: (?<s>.*)$").s' | tail -n 1)
    pg_sql src "$statement" "$db"
    runs 0 "$dir/second.conf"
    run ! slot_exists
}

@test "from only to yes: before the end the pipeline goes on and follows; after it 100, and its way out" {
    bench_tables
    write_conf only "copy_rate = 2000000"
    pipeline_begin "$conf"
    wait_until 60 more_rows 0
    kill -TERM "$(pipeline_pid "$conf")"
    ends 111
    write_conf yes
    pipeline_start "$conf"
    wait_until 60 eval '[ "$(rows pgbench_accounts)" -eq 100000 ]'
    pg_sql src "UPDATE pgbench_tellers SET tbalance = 7" "$db"
    caught_up "$conf" src "$db"
    equal pgbench_tellers
    # a pipeline that follows is not made to end
    pipeline_stop "$conf"
    write_conf only
    runs 100
    slot_exists
    last_error | jq -e '(.message | contains("follows the source")) and (.hint | contains("set copy = yes") and contains("walpipe drop"))'
    # the way out, as for one whose end was forgotten
    "$WALPIPE_BIN/walpipe" drop -c "$conf" --yes
    pg_sql dst "TRUNCATE pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history" "$db"
    runs 0
    write_conf yes
    for state in state lost; do
        pg_sql src "UPDATE pgbench_tellers SET tbalance = 8" "$db"
        write_conf yes "" "" $state
        runs 100
        [[ $state != state ]] || run ! slot_exists
    done
    last_error | jq -e '.message | contains("the slot is ahead of what sink dst/0 found in its target")'
    "$WALPIPE_BIN/walpipe" drop -c "$conf" --yes
    write_conf yes
    "$WALPIPE_BIN/walpipe" drop -c "$conf" --yes
    pg_sql dst "TRUNCATE pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history" "$db"
    pipeline_start "$conf"
    wait_until 60 eval '[ "$(rows pgbench_accounts)" -eq 100000 ]'
    caught_up "$conf" src "$db"
    # shellcheck disable=SC2086 # words
    equal $BENCH
    pipeline_stop "$conf"
}

@test "a sink that followed without copies is refused, with and without its state directory" {
    small_tables
    write_conf no
    pipeline_start "$conf"
    pg_sql src "INSERT INTO b VALUES (4000, 'new')" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    write_conf only
    runs 100
    last_error | jq -e '.hint | contains("set copy = no")'
    rm -r "$dir/state"
    runs 100
    last_error | jq -e '(.message | contains("follows the source")) and (.hint | contains("set copy = no"))'
    slot_exists
    [ "$(rows b)" -eq 1 ]
}

@test "after the end a table is published: 100 without a slot, and what the hint says helps" {
    small_tables
    write_conf
    runs 0
    pg_sql src "CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (1)" "$db"
    pg_sql dst "CREATE TABLE c (id int PRIMARY KEY)" "$db"
    runs 100
    last_error | jq -e '(.message | contains("has not copied public.c to its end")) and (.hint | contains("walpipe drop"))'
    rm -r "$dir/state"
    runs 100
    run ! slot_exists
    write_conf only "" "tables = !public.c"
    runs 0
    write_conf only
    "$WALPIPE_BIN/walpipe" drop -c "$conf" --yes
    pg_sql dst "TRUNCATE a, b, c" "$db"
    runs 0
    equal a b c
}

@test "a slot that a person made is used, and stays; it may be made by hand with create_slot = no" {
    small_tables
    pg_sql src "SELECT pg_create_logical_replication_slot('$db', 'pgoutput')" "$db" >/dev/null
    write_conf
    sed -i "s/^slot = .*/&\ncreate_slot = no/" "$conf"
    run "$WALPIPE_BIN/walpipe" check -c "$conf"
    [ "$status" -eq 0 ]
    [[ $output == *"copy = only: "*"stays"* ]]
    runs 0
    equal a b
    slot_exists
    logged "stays, since this walpipe did not make it"
    drop_slot
    runs 0
}

# gone_with: the slot is gone, and the next start refuses, with a message that contains the text.
gone_with() {
    runs 100
    run ! slot_exists
    last_error | jq -e --arg t "$1" '(.message | contains($t)) and (.hint | contains("run walpipe drop, empty the tables"))'
    rm -rf "$dir/state"
    runs 100
    last_error | jq -e --arg t "$1" '.message | contains($t)'
}

target() {
    pg_sql dst "$1" "$db"
}

@test "the slot is gone, all tables stream, and the workers are at two positions: 100, not 0" {
    small_tables
    pg_sql src "CREATE TABLE e (id int PRIMARY KEY)" "$db"
    pg_sql dst "CREATE TABLE e (id int PRIMARY KEY)" "$db"
    write_conf only "" "shards = 2"
    runs 0
    runs 0
    target "CREATE TABLE kept AS SELECT * FROM walpipe.progress"
    target "UPDATE walpipe.progress SET lsn = lsn - 8 WHERE shard = 1"
    gone_with "the workers of sink dst did not stop at one position"
    # a part of a transaction, and a worker that has no row
    target "UPDATE walpipe.progress SET lsn = kept.lsn, partial_commit_lsn = kept.lsn + 8, partial_ordinal = 1
        FROM kept WHERE kept.shard = progress.shard"
    gone_with "did not stop at one position"
    target "DELETE FROM walpipe.progress; INSERT INTO walpipe.progress SELECT * FROM kept WHERE shard = 0"
    gone_with "did not stop at one position"
    # no row at all: the notes of the tables remain
    target "DELETE FROM walpipe.progress"
    gone_with "no position in its target"
    # an older layout whose worker was beyond
    target "INSERT INTO walpipe.progress SELECT * FROM kept;
        INSERT INTO walpipe.progress_before (pipeline, sink, generation, shard, timeline, lsn)
        SELECT pipeline, sink, 1, 0, timeline, lsn + 8 FROM kept WHERE shard = 0"
    gone_with "did not stop at one position"
    target "DELETE FROM walpipe.progress_before"
    runs 0
    # the way out
    target "UPDATE walpipe.progress SET lsn = lsn - 8 WHERE shard = 1"
    runs 100
    "$WALPIPE_BIN/walpipe" drop -c "$conf" --yes
    target "TRUNCATE a, b, e"
    runs 0
    equal a b e
}

@test "empty tables of an idle source: 0, and 0 again, also without the state directory" {
    pg_sql src "CREATE TABLE a (id int PRIMARY KEY); CREATE PUBLICATION p FOR ALL TABLES" "$db"
    target_tables
    write_conf only "" "shards = 2"
    runs 0
    runs 0
    rm -r "$dir/state"
    runs 0
    run ! slot_exists
}

@test "after the end the source is promoted: 0 if it has the position in its history, else 100" {
    small_tables
    write_conf
    runs 0
    target "UPDATE walpipe.progress SET system_identifier = '7'"
    gone_with "of another cluster"
    target "UPDATE walpipe.progress SET system_identifier = '$(pg_sql src "SELECT system_identifier FROM pg_control_system()")'"
    target "UPDATE walpipe.progress SET timeline = 2"
    gone_with "sink dst has rows of timeline 2, the source is on timeline 1"
    target "UPDATE walpipe.progress SET timeline = 1"
    # a promoted copy of the source
    backup_take
    local lsn name=past$BATS_TEST_NUMBER
    lsn=$(pg_sql src "SELECT pg_current_wal_insert_lsn()")
    pg_sql src "SELECT pg_create_restore_point('behind')" >/dev/null
    past_start "$lsn"
    sed -i "/^\[source\]/,/^slot/s|^conninfo = .*|conninfo = $(pg_conninfo "$name" "$db")|" "$conf"
    runs 0
    target "UPDATE walpipe.progress SET lsn = lsn + 1000000000"
    runs 100
    last_error | jq -e '.message | contains("the source left timeline 1 at") and contains("which the source never had")'
    pg_stop "$name"
}
