#!/usr/bin/env bats
# walpipe run with copy = yes: a PostgreSQL source that has rows, and that is written to all the
# while, into a PostgreSQL target.

bats_require_minimum_version 1.5.0

load ../lib/copied

# ---- the first copy ----

@test "a source with rows, under load, one worker: copied, followed, equal" {
    bench_tables
    write_conf
    load_start
    pipeline_start "$conf"
    ends_equal 1
    no_restart "$conf"
    pipeline_stop "$conf"
}

@test "the same with three workers, and a sink of version 1 beside it" {
    bench_tables
    write_conf yes "copy_workers = 3" "shards = 3
[sink beside]
type = exec
copy = no
command = exec /usr/bin/python3 $BATS_TEST_DIRNAME/exec_sink.py $dir/beside"
    load_start
    pipeline_start "$conf"
    ends_equal 3
    no_restart "$conf"
    pipeline_stop "$conf"
    # it has the changes, and none of the 100,000 rows that were there
    [ "$(grep -c 'insert public.pgbench_history' "$dir/beside")" -gt 0 ]
    [ "$(grep -c 'insert public.pgbench_accounts' "$dir/beside")" -eq 0 ]
}

# child NAME: the pid of a program of the pipeline; of several workers the first one's.
child() {
    pgrep -o -P "$(pipeline_pid "$conf")" -x "$1"
}

restarted() {
    [ -e "$conf.exit" ] || [ "$(grep -c '"message":"started the pipeline' "$conf.log")" -gt "$1" ]
}

@test "kill -9 of each program during the copy: the next start goes on, and all ends equal" {
    bench_tables 3 # enough for a copy that goes on while six programs are killed, on a busy machine too
    write_conf yes "copy_rate = 1000000" "shards = 2"
    load_start 40
    pipeline_start "$conf"
    local name starts rows=0
    for name in pg-table-read sink-pg route pgout-decode pg-wal-read ackd; do
        wait_until 120 copied_some "$rows"
        run ! noted "bool_and(state = 'streaming')" "AND name = 'pgbench_accounts'"
        starts=$(grep -c '"message":"started the pipeline' "$conf.log")
        kill -KILL "$(child "$name")"
        wait_until 120 restarted "$starts"
        # what a killed run had finished stays
        rows=$(pg_sql dst "SELECT count(*) FROM pgbench_accounts" "$db")
    done
    wait_until 120 copied_some "$rows"
    pipeline_kill "$conf"
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    pipeline_start "$conf"
    ends_equal 2
    pipeline_stop "$conf"
}

@test "SIGTERM during the copy drains; the next run goes on where it was, the third copies nothing" {
    bench_tables
    write_conf yes "copy_rate = 1000000"
    load_start 40
    pipeline_start "$conf"
    wait_until 60 noted "bool_or(rows > 20000)" "AND name = 'pgbench_accounts'"
    pipeline_stop "$conf"
    run ! logged "killing"
    local rows
    rows=$(pg_sql dst "SELECT rows FROM walpipe.tables WHERE name = 'pgbench_accounts'" "$db")
    noted "bool_and(state = 'copying')" "AND name = 'pgbench_accounts'"
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    pipeline_start "$conf"
    ends_equal 1
    pipeline_stop "$conf"
    # the rows that pg-table-read has read in the second life
    local read
    read=$(jq -r 'select(.program == "pg-table-read").message | select(startswith("public.pgbench_accounts: ") and endswith(" rows")) | split(" ")[1]' "$conf.log")
    [ "$read" -le $((100000 - rows + 10000)) ]
    pipeline_start "$conf"
    wait_until 30 logged '"message":"0 of 4 published tables are to be copied'
    pipeline_stop "$conf"
}

@test "a second walpipe with another state directory copies nothing, and goes on with what is not done" {
    bench_tables
    write_conf yes "copy_rate = 2000000"
    pipeline_start "$conf"
    wait_until 60 copied_some 20000
    pipeline_kill "$conf"
    write_conf yes "" "" other
    pipeline_start "$conf"
    ends_equal 1
    pipeline_stop "$conf"
    rm -r "$dir/other"
    pipeline_start "$conf"
    wait_until 30 logged '"message":"0 of 4 published tables are to be copied'
    pg_sql src "UPDATE pgbench_tellers SET tbalance = 7" "$db"
    caught_up "$conf" src "$db"
    equal pgbench_tellers
    pipeline_stop "$conf"
}

# ---- tables that come later ----

@test "tables that are published later are copied while the others flow" {
    bench_tables
    pg_sql src "CREATE TABLE late (id int PRIMARY KEY, v text);
        INSERT INTO late SELECT g, 'old' || g FROM generate_series(1, 30000) g" "$db"
    pg_sql dst "CREATE TABLE late (id int PRIMARY KEY, v text)" "$db"
    write_conf
    load_start
    pipeline_start "$conf"
    wait_until 180 all_streaming 4
    pg_sql src "ALTER PUBLICATION p ADD TABLE late" "$db"
    wait_until 60 all_streaming 5
    pg_sql src "UPDATE late SET v = 'new' WHERE id < 100; DELETE FROM late WHERE id = 100" "$db"
    load_stop
    caught_up "$conf" src "$db"
    no_restart "$conf"
    # shellcheck disable=SC2086 # words
    equal $BENCH late
    pipeline_stop "$conf"
}

@test "a table that is made later in FOR ALL TABLES is copied" {
    pg_sql src "CREATE TABLE first (id int PRIMARY KEY); INSERT INTO first VALUES (1);
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    target_tables
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 1
    pg_sql dst "CREATE TABLE second (id int PRIMARY KEY, v text)" "$db"
    pg_sql src "CREATE TABLE second (id int PRIMARY KEY, v text);
        INSERT INTO second SELECT g, 'v' FROM generate_series(1, 1000) g" "$db"
    wait_until 60 all_streaming 2
    caught_up "$conf" src "$db"
    no_restart "$conf"
    equal first second
    pipeline_stop "$conf"
}

# ---- two walpipes ----

@test "a hot standby takes over during the copy" {
    bench_tables
    write_conf yes "" "" standby
    # slow enough for all that comes before it is killed, on a busy machine too
    sed 's|/standby$|/state|; s/^copy = yes/&\ncopy_rate = 200000/' "$conf" >"$dir/first.conf"
    load_start 40
    pipeline_start "$dir/first.conf"
    wait_until 60 copied_some
    pipeline_begin "$conf"
    wait_until 60 pipeline_waits "$conf"
    # it keeps its hands off the target
    copied_some
    run ! noted "bool_and(state = 'streaming')" "AND name = 'pgbench_accounts'"
    pipeline_kill "$dir/first.conf"
    wait_until 60 logged '"message":"streaming from slot'
    logged '"message":"[1-4] of 4 published tables are to be copied' ||
        wait_until 30 logged '"message":"[1-4] of 4 published tables are to be copied'
    ends_equal 1
    pipeline_stop "$conf"
}
