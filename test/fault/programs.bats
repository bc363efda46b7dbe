#!/usr/bin/env bats
# The pipeline's own programs are killed, stopped, started twice, and run out of disk.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    fault_servers ch
}

setup() {
    source "$BATS_TEST_DIRNAME/fault.bash"
}

teardown() {
    for pid in "${zombies[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
    done
    [ -z "${mounted:-}" ] || umount "$mounted"
    fault_end
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

zombies=()


@test "a stopped worker of an older run cannot commit any more (trap 161)" {
    fault_new pg
    local sink
    # not under walpipe, which would take it along: the script of `walpipe print`
    "$WALPIPE_BIN/walpipe" print -c "$conf" >"$SCRATCH/$db.script"
    touch "$conf.log"
    setsid bash "$SCRATCH/$db.script" </dev/null >>"$conf.log" 2>&1 3>&- &
    disown
    wait_until 20 logged '"message":"streaming from slot'
    insert 1 100
    wait_until 20 equal pg
    sink=$(pgrep -f "^[^ ]*sink-pg .*--pipeline $db .*$SCRATCH/")
    [ "$(wc -w <<<"$sink")" -eq 1 ]
    zombies+=("$sink")
    # it stops in the middle of a transaction: its rows are in the target, its COMMIT is not
    dst "BEGIN; LOCK TABLE log IN SHARE MODE; SELECT pg_sleep(600)" >/dev/null 2>&1 3>&- &
    local locker=$!
    wait_until 10 eval '[ "$(dst "SELECT count(*) FROM pg_locks WHERE relation = '"'log'::regclass"' AND granted")" -ge 1 ]'
    insert 101 200
    wait_until 20 eval '[ "$(dst "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '"'walpipe sink-pg%'"' AND wait_event_type = '"'Lock'"'")" -ge 1 ]'
    kill -STOP "$sink"
    # the rest of that pipeline dies
    pkill -KILL -f "^[^ ]*ackd .*$SCRATCH/.*--pipeline $db( |\$)"
    wait_until 10 eval '! pgrep -f "^[^ ]*pg-wal-read .*--slot '"$db"' .*$SCRATCH/"'
    dst "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()" >/dev/null
    wait "$locker" || true
    wait_until 20 slot_is_free
    # a new one takes over
    pipeline_start "$conf"
    insert 201 300
    caught_up "$conf" src "$db"
    equal pg
    kill -CONT "$sink"
    wait_until 20 process_gone "$sink"
    insert 301 400
    caught_up "$conf" src "$db"
    equal pg
}

@test "two pipelines of one name: the second waits for the slot, nothing comes twice (trap 169)" {
    fault_new pg
    local first=$conf second=$SCRATCH/$db.second.conf pid
    pipeline_start "$first"
    insert 1 100
    sed "s,^state_dir = .*,state_dir = $SCRATCH/$db.second.state," "$first" >"$second"
    pipeline_begin "$second"
    wait_until 20 grep -q "is in use by the source's process" "$second.log"
    insert 101 200
    caught_up "$first" src "$db"
    equal pg
    [ "$(pipeline_starts "$second")" -eq 0 ]
    # and takes over when the first one is gone
    pipeline_kill "$first"
    insert 201 300
    caught_up "$second" src "$db" 60
    equal pg
    pid=$(pipeline_pid "$second")
    end_process "$pid" TERM 30
}

@test "two sinks of one name and shard: the one that began last goes on (traps 161, 169)" {
    fault_new pg
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    # a stranger takes the row: every commit with the old epoch must fail
    dst "UPDATE walpipe.progress SET epoch = epoch + 1" >/dev/null
    insert 101 200
    wait_until 20 logged "another walpipe took over"
    # the unit starts again and takes it back
    caught_up "$conf" src "$db" 60
    equal pg
}

@test "kill -9 of each program in turn: the unit restarts, rows equal (trap 162)" {
    fault_new pg pg3 ch
    pipeline_start "$conf"
    insert 1 50
    local name n=0 pid load
    wait_until 30 grep -q 'all 5 workers are registered' "$conf.log"
    for name in ackd sink-pg sink-ch route pgout-decode pg-wal-read; do
        n=$((n + 1))
        pid=$(programs "$name" | tail -n 1)
        insert $((n * 1000)) $((n * 1000 + 500)) &
        load=$!
        kill -KILL "$pid"
        wait "$load"
        wait_until 30 eval "[ \$(pipeline_starts '$conf') -gt $n ]"
        wait_until 30 eval "[ \$(grep -c 'all 5 workers are registered' '$conf.log') -gt $n ]"
    done
    caught_up "$conf" src "$db" 90
    equal pg pg3 ch
    [ "$(grep -c 'the pipeline ended because' "$conf.log")" -eq "$n" ]
    run ! grep -E 'exit code (99|101)' "$conf.log"
}

@test "kill -9 of walpipe leaves nothing behind, and the next one has the slot (trap 143)" {
    fault_new pg ch
    pipeline_start "$conf"
    insert 1 1000 &
    local load=$! pids
    pids=$(programs)
    [ "$(wc -w <<<"$pids")" -eq 6 ]
    pipeline_kill "$conf"
    for pid in $pids; do
        wait_until 5 process_gone "$pid"
    done
    wait "$load"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    equal pg ch
}

@test "the bug was that a target far ahead of the slot could not take part in a replay" {
    fault_new pg ch
    pipeline_start "$conf"
    insert 1 10
    caught_up "$conf" src "$db"
    # ClickHouse holds the slot back, PostgreSQL goes on
    kill -STOP "$(programs sink-ch)"
    src "INSERT INTO t SELECT g, repeat(md5(g::text), 20) FROM generate_series(11, 3000) g"
    insert 3001 3100
    wait_until 30 equal pg
    pipeline_kill "$conf"
    pipeline_start "$conf"
    insert 3101 3200
    caught_up "$conf" src "$db"
    equal pg ch
    run ! grep 'exit_code":101' "$conf.log"
}

@test "SIGTERM to the process group under load: drained, exit 0, nothing is replayed (trap 142)" {
    fault_new pg pg3 ch
    local n at pid status=0
    setsid "$WALPIPE_BIN/walpipe" run -c "$conf" </dev/null >>"$conf.log" 2>&1 3>&- &
    pid=$!
    kill_later "$pid"
    wait_until 30 logged "all 5 workers are registered"
    for n in 1 2 3 4 5; do insert $((n * 1000)) $((n * 1000 + 999)); done &
    n=$!
    wait_until 20 eval '[ "$(dst "SELECT count(*) FROM t")" -gt 100 ]'
    kill -TERM -- "-$pid"
    wait_until 75 process_gone "$pid"
    wait "$pid" || status=$?
    [ "$status" -eq 0 ]
    run ! grep '"level":"error"' "$conf.log"
    # the slot is where the last worker stopped: nobody gets anything twice
    at=$(slot "confirmed_flush_lsn")
    [ "$(dst "SELECT min(lsn) = '$at' FROM walpipe.progress")" = t ]
    [ "$(dst3 "SELECT min(lsn) = '$at' AND max(lsn) = min(lsn) FROM walpipe.progress")" = t ]
    wait "$n"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    equal pg pg3 ch
    [ "$(olap "SELECT count() FROM log")" -eq "$(src "SELECT count(*) FROM log")" ]
}

@test "the state directory's disk is full: nothing is confirmed, and it goes on when there is room (trap 151)" {
    [ "$UID" -eq 0 ] || skip "mounting needs root"
    fault_new pg
    mkdir "$SCRATCH/$db.state"
    mount -t tmpfs -o size=64k,mode=700 tmpfs "$SCRATCH/$db.state" || skip "mounting is not allowed here"
    mounted=$SCRATCH/$db.state
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    dd if=/dev/zero of="$mounted/full" bs=4k 2>/dev/null || true
    local at pid
    pid=$(programs ackd)
    insert 101 200
    wait_until 20 logged "could not write checkpoint .*No space left"
    wait_until 20 equal pg
    at=$(sed -n 's/^safe_lsn=//p' "$mounted/checkpoint")
    [ "$(src "SELECT confirmed_flush_lsn <= '$at' FROM pg_replication_slots WHERE slot_name = '$db'")" = t ]
    rm "$mounted/full"
    caught_up "$conf" src "$db"
    logged "the checkpoint can be written again"
    [ "$(programs ackd)" = "$pid" ]
    pipeline_stop "$conf"
    umount "$mounted"
    mounted=
}
