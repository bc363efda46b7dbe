#!/usr/bin/env bats
# walpipe reload, and SIGHUP to walpipe run: the config file is read again while the pipeline runs.

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
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    db=r$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    mkdir "$dir"
    pg_sql src "CREATE DATABASE $db"
    pg_sql dst "CREATE DATABASE $db"
    pg_sql src "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR ALL TABLES;
        ALTER TABLE t ALTER v SET STORAGE PLAIN;
        INSERT INTO t SELECT g, repeat('v', 1000) FROM generate_series(1, 40000) g" "$db"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v text)" "$db"
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
copy_workers = 1
copy_rate = 100000
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
flush_interval = 50ms
CONF
}

teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 60 "$conf.log" 2>/dev/null
    [ ! -s "$conf.exit" ] && [ -e "$conf.pid" ] && pipeline_kill "$conf"
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null || true
}

logged() {
    [ "$(grep -c -- "$1" "$conf.log")" -ge "${2:-1}" ]
}

reload() {
    run "$WALPIPE_BIN/walpipe" reload -c "$conf"
    [ "$status" -eq 0 ] && [[ $output == "told walpipe (pid $(pipeline_pid "$conf")) to read"* ]]
}

copied() {
    [ -e "$conf.exit" ] || [ "$(pg_sql dst "SELECT count(*) FROM t" "$db")" -eq 40000 ]
}

connections() { # NUMBER
    [ "$(pg_sql src "SELECT count(*) FROM pg_stat_activity WHERE datname = '$db' AND pid <> pg_backend_pid()
        AND application_name LIKE '%copy%'")" -eq "$1" ]
}

pids() {
    pgrep -P "$(pipeline_pid "$conf")" | sort | tr '\n' ' '
}

@test "copy_rate and copy_workers change while a copy runs, with the same programs" {
    local before
    pipeline_start "$conf"
    wait_until 60 eval '[ "$(pg_sql dst "SELECT count(*) FROM t" "$db")" -gt 0 ]'
    before=$(pids)
    # at 100 kB per second the next range begins in 40 seconds
    sed -i 's/^copy_rate.*/copy_rate = 0/; s/^copy_workers.*/copy_workers = 3/' "$conf"
    reload
    wait_until 10 logged "reading with 3 connections, at most 0 bytes per second"
    logged "read $conf again: copy_workers = 3, copy_rate = 0"
    run ! logged "count from the next start"
    wait_until 20 copied
    [ "$(pids)" = "$before" ]
    sed -i 's/^copy_workers.*/copy_workers = 1/' "$conf"
    kill -HUP "$(pipeline_pid "$conf")"
    wait_until 10 logged "reading with 1 connections"
    no_restart "$conf"
    # the values stay when the programs are started again
    kill -KILL "$(pgrep -P "$(pipeline_pid "$conf")" -x pg-table-read)"
    wait_until 60 logged '"message":"streaming from slot' 2
    [ "$(cat "$dir/state/copy_limits")" = "1 0" ]
    pg_sql src "INSERT INTO t VALUES (50000, 'new')" "$db"
    caught_up "$conf" src "$db"
    pg_digest src t "$db" | diff - <(pg_digest dst t "$db")
    pipeline_stop "$conf"
}

@test "the bug was that SIGHUP ended walpipe run: a file with a mistake changes nothing, other keys are named" {
    local before
    sed -i '/^copy_/d; s/^state_dir.*/&\ncopy = no/' "$conf"
    pipeline_start "$conf"
    before=$(pids)
    cp "$conf" "$dir/good"
    sed -i 's/^copy = no/copy_rate = quick/' "$conf"
    kill -HUP "$(pipeline_pid "$conf")"
    wait_until 10 logged "was not read again, and nothing has changed"
    logged "$conf:4: copy_rate = .*quick"
    # reload itself says it, too, and sends nothing
    run "$WALPIPE_BIN/walpipe" reload -c "$conf"
    [ "$status" -eq 100 ] && [[ $output == *"$conf:4: copy_rate"* ]]
    cp "$dir/good" "$conf"
    sed -i 's/^slot = .*/slot = another/; s/^flush_interval.*/flush_interval = 60ms/' "$conf"
    reload
    wait_until 10 logged "count from the next start of walpipe: \[source\] slot, \[sink dst\]"
    # to the programs as well, as a terminal sends it
    # shellcheck disable=SC2046 # pids
    kill -HUP $(pids) "$(pipeline_pid "$conf")"
    wait_until 10 logged "read $conf again" 2
    [ "$(pids)" = "$before" ]
    pg_sql src "INSERT INTO t VALUES (50000, 'new')" "$db"
    caught_up "$conf" src "$db"
    no_restart "$conf"
    cp "$dir/good" "$conf"
    pipeline_stop "$conf"
    run "$WALPIPE_BIN/walpipe" reload -c "$conf"
    [ "$status" -eq 111 ] && [[ $output == *"the pipeline does not run"* ]]
}
