#!/usr/bin/env bats
# Another session holds a lock on the target's table, so sink-pg waits in a statement. Then ackd,
# walpipe or the whole pipeline is ended.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    fault_servers
}

setup() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    fault_new pg
    pipeline_start "$conf"
    insert 1 1000
    caught_up "$conf" src "$db"
    hold_lock
    insert 1001 2000
    wait_until 30 blocked 1
}

teardown() {
    [ -z "${holder:-}" ] || kill -KILL "$holder" 2>/dev/null || true
    fault_end
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

hold_lock() {
    mkfifo "$SCRATCH/$db.lock"
    psql -XAtq -d "$(pg_conninfo dst "$db")" <"$SCRATCH/$db.lock" >/dev/null 2>&1 3>&- &
    holder=$!
    exec 8>"$SCRATCH/$db.lock"
    echo "BEGIN; LOCK TABLE t IN SHARE MODE;" >&8
    wait_until 30 eval "[ \"\$(pg_sql dst \"SELECT count(*) FROM pg_locks WHERE mode = 'ShareLock' AND granted AND relation = 't'::regclass\" $db)\" = 1 ]"
}

# The programs that were started meanwhile have the descriptor too: no end of file.
release_lock() {
    echo 'ROLLBACK; \q' >&8
    exec 8>&-
    wait "$holder" || true
    holder=
}

# So many of sink-pg's sessions wait for the lock.
blocked() {
    [ "$(dst "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                AND application_name LIKE 'walpipe%' AND wait_event_type = 'Lock'")" -eq "$1" ]
}

# What was committed is there, the lock's holder sees nothing more.
goes_on() {
    [ "$(dst "SELECT count(*) FROM t")" -eq 1000 ]
    release_lock
    caught_up "$conf" src "$db"
    equal pg
    blocked 0
}

@test "ackd is killed while sink-pg waits for a lock: all begin again, one session waits" {
    kill -KILL "$(programs ackd)"
    wait_until 60 eval '[ "$(pipeline_starts "$conf")" -ge 2 ]'
    wait_until 60 blocked 1
    goes_on
}

@test "walpipe is killed: its session leaves the target though the lock stays" {
    pipeline_kill "$conf"
    wait_until 60 blocked 0
    pipeline_start "$conf"
    wait_until 60 blocked 1
    goes_on
}

# It would wait for a minute.
@test "SIGTERM twice: walpipe ends though the lock stays, and nothing is lost" {
    local pid
    pid=$(pipeline_pid "$conf")
    kill -TERM "$pid"
    wait_until 30 logged "draining the pipeline"
    wait_until 30 eval "kill -TERM $pid 2>/dev/null; test -s $conf.exit"
    [ "$(cat "$conf.exit")" -eq 111 ]
    wait_until 60 blocked 0
    pipeline_start "$conf"
    wait_until 60 blocked 1
    goes_on
}
