#!/usr/bin/env bats
# The source stops, starts again, is another one, or its slot has another position than before.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    fault_servers
}

setup() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    fault_new pg
}

teardown() {
    fault_end
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

# A run, and its clean end.
run_once() {
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
}

@test "a slot that was dropped and created again while we were away is refused (trap 15)" {
    run_once
    insert 101 200
    src "SELECT pg_drop_replication_slot('$db')" >/dev/null
    start_ends 100
    logged "slot .*$db.* \(is gone\|does not exist\)"
    src "SELECT pg_create_logical_replication_slot('$db', 'pgoutput')" >/dev/null
    before=$(slot confirmed_flush_lsn)
    start_ends 100
    logged "$before"
    logged "$(pg_sql dst 'SELECT lsn FROM walpipe.progress' "$db")"
    [ "$(slot confirmed_flush_lsn)" = "$before" ]
    [ "$(dst 'SELECT count(*) FROM t')" -eq 100 ]
}

@test "a slot that somebody advanced is refused with both LSNs (trap 15)" {
    run_once
    insert 101 200
    src "SELECT pg_replication_slot_advance('$db', pg_current_wal_lsn())" >/dev/null
    at=$(slot confirmed_flush_lsn)
    start_ends 100
    logged "$at"
    logged "$(pg_sql dst 'SELECT lsn FROM walpipe.progress' "$db")"
    # without the checkpoint the target's own progress still tells
    rm "$SCRATCH/$db.state/checkpoint"
    : >"$conf.log"
    start_ends 100
    logged "$at"
    [ "$(slot confirmed_flush_lsn)" = "$at" ]
}

@test "another cluster behind the same address is refused (traps 16, 112)" {
    run_once
    local port
    pg_new "other$BATS_TEST_NUMBER"
    pg_sql "other$BATS_TEST_NUMBER" "CREATE DATABASE $db"
    pg_sql "other$BATS_TEST_NUMBER" "CREATE TABLE t (id int PRIMARY KEY, v text);
        CREATE PUBLICATION p FOR ALL TABLES;" "$db"
    pg_sql "other$BATS_TEST_NUMBER" "SELECT pg_create_logical_replication_slot('$db', 'pgoutput')" "$db"
    port=$(pg_port "other$BATS_TEST_NUMBER")
    cp "$conf" "$conf.kept"
    sed -i "0,/^conninfo = .*/s//conninfo = host=127.0.0.1 port=$port user=postgres dbname=$db/" "$conf"
    start_ends 100
    logged "system identifier"
    # without a checkpoint the target's progress still tells
    mv "$SCRATCH/$db.state/checkpoint" "$SCRATCH/$db.checkpoint"
    : >"$conf.log"
    start_ends 100
    logged "system identifier"
    pg_stop "other$BATS_TEST_NUMBER"
    mv "$SCRATCH/$db.checkpoint" "$SCRATCH/$db.state/checkpoint"
    mv "$conf.kept" "$conf"
    pipeline_start "$conf"
    insert 101 110
    caught_up "$conf" src "$db"
    equal pg
}

@test "the source's fast shutdown does not wait for a stuck sink, and nothing is lost (trap 4)" {
    local sink began
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    sink=$(programs sink-pg)
    kill -STOP "$sink"
    insert 101 200
    began=$SECONDS
    pg_stop src fast
    [ $((SECONDS - began)) -le 10 ]
    wait_until 20 logged "disconnected, so that it can end"
    process_continue "$sink"
    pg_start src
    insert 201 300
    caught_up "$conf" src "$db" 90
    equal pg
}

@test "nor when everything up to the source is full (traps 4, 138)" {
    local sink began
    pipeline_start "$conf"
    sink=$(programs sink-pg)
    kill -STOP "$sink"
    src "INSERT INTO t SELECT g, repeat(md5(g::text), 40) FROM generate_series(1, 20000) g"
    # more than all pipes and buffers hold: the walsender waits for us
    wait_until 20 eval '[ "$(src "SELECT wait_event FROM pg_stat_activity WHERE backend_type = '"'walsender'"'")" = WalSenderWriteData ]'
    began=$SECONDS
    pg_stop src fast
    [ $((SECONDS - began)) -le 12 ]
    process_continue "$sink"
    pg_start src
    caught_up "$conf" src "$db" 90
    equal pg
}

@test "the bug was that a walsender told to end while all is full could not, and checkpoints waited for it (trap 22)" {
    local sink walsender
    pipeline_start "$conf"
    sink=$(programs sink-pg)
    kill -STOP "$sink"
    src "INSERT INTO t SELECT g, repeat(md5(g::text), 40) FROM generate_series(1, 20000) g"
    wait_until 30 eval '"$WALPIPE_BIN/walpipe" status -c "$conf" --json | jq -e .slot.output_full'
    wait_until 20 eval '[ "$(src "SELECT wait_event FROM pg_stat_activity WHERE backend_type = '"'walsender'"'")" = WalSenderWriteData ]'
    walsender=$(slot active_pid)
    src "SELECT pg_terminate_backend($walsender)" >/dev/null
    wait_until 40 eval '[ "$(src "SELECT count(*) FROM pg_stat_activity WHERE pid = '"$walsender"'")" = 0 ]'
    process_continue "$sink"
    caught_up "$conf" src "$db" 90
    equal pg
}

@test "the bug was that a reader whose output was emptied while it wrote slept on what libpq still held" {
    src "SELECT pg_create_logical_replication_slot('$db', 'pgoutput')" >/dev/null
    src "INSERT INTO t SELECT g, repeat(md5(g::text), 40) FROM generate_series(1, 20000) g"
    # without a wal_sender_timeout nothing else wakes it for 10 s
    /usr/bin/python3 "$BATS_TEST_DIRNAME/burst.py" "$WALPIPE_BIN/pg-wal-read" --no-ack --slot "$db" \
        --publication p --conninfo "$(pg_conninfo src "$db") options='-c wal_sender_timeout=0'"
}

@test "every sink stopped for 10 s, wal_sender_timeout 2 s: the same connection afterwards (traps 1, 138)" {
    local walsender sink
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    walsender=$(slot active_pid)
    sink=$(programs sink-pg)
    kill -STOP "$sink"
    src "INSERT INTO t SELECT g, repeat(md5(g::text), 40) FROM generate_series(1001, 20000) g"
    sleep 10 # this is the time that is tested
    [ "$(slot active_pid)" = "$walsender" ]
    kill -CONT "$sink"
    caught_up "$conf" src "$db"
    equal pg
    no_restart "$conf"
}

@test "a connection to the source that is dead without a sign of it is left (trap 26)" {
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    proxy src stall
    insert 101 200
    wait_until 25 logged "the source has sent nothing for 10 seconds"
    proxy src cut
    proxy src pass
    caught_up "$conf" src "$db" 60
    equal pg
}

@test "and an idle one is not (trap 26)" {
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    sleep 12 # longer than the 10 s of silence that are allowed
    insert 101 200
    caught_up "$conf" src "$db"
    no_restart "$conf"
}
