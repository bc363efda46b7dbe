#!/usr/bin/env bats
# A PostgreSQL target fails over to an asynchronous standby that lacks its last commits, and these
# had nothing but rows of a copy, so the position in the target is the same without them (trap 99).

bats_require_minimum_version 1.5.0

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    conf=$SCRATCH/walpipe.conf
    pg_new src
    pg_new one
    pg_sql src "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR ALL TABLES;
        ALTER TABLE t ALTER v SET STORAGE PLAIN;
        INSERT INTO t SELECT g, repeat('v', 1000) FROM generate_series(1, 3000) g"
    pg_sql src "VACUUM FREEZE t"
    pg_sql src "ALTER SYSTEM SET autovacuum = off"
    source_is_silent
    pg_sql one "CREATE TABLE t (id int PRIMARY KEY, v text)"
    standby_new
    cat >"$conf" <<CONF
[pipeline]
name = orders
state_dir = $SCRATCH/state
copy = yes
[source]
conninfo = $(pg_conninfo src)
slot = orders
publication = p
[sink dst]
type = pg
conninfo = host=127.0.0.1,127.0.0.1 port=$(pg_port one),$(pg_port two) user=postgres dbname=postgres target_session_attrs=read-write connect_timeout=5
flush_interval = 50ms
CONF
}

# WAL of the source's own processes would move the position. The background writer logs a snapshot every 15 s.
source_is_silent() {
    pg_sql src "SELECT pg_reload_conf()" >/dev/null
    bgwriter=$(pg_sql src "SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'")
    kill -STOP "$bgwriter"
}

teardown() {
    process_continue "$bgwriter" || true
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 30 "$conf.log"
    servers_end
}

# two: a physical standby of one.
standby_new() {
    local dir=$SCRATCH/two
    mkdir "$dir"
    port_new >"$dir/port"
    : >"$dir/log"
    [ "$UID" -ne 0 ] || chown postgres: "$dir" "$dir/log"
    as_postgres "$(pg_bindir)/pg_basebackup" -D "$dir/data" -R -c fast --no-sync -h "$SCRATCH/one" \
        -p "$(pg_port one)" -U postgres
    {
        echo "port = $(pg_port two)"
        echo "unix_socket_directories = '$dir'"
    } >>"$dir/data/postgresql.conf"
    pg_start two
    wait_until 20 eval '[ "$(pg_sql one "SELECT count(*) FROM pg_stat_replication")" = 1 ]'
}

# The standby has what the primary has now, and gets nothing more.
standby_falls_behind() {
    local lsn
    lsn=$(pg_sql one "SELECT pg_current_wal_lsn()")
    wait_until 60 eval "[ \"\$(pg_sql two \"SELECT pg_last_wal_replay_lsn() >= '$lsn'\")\" = t ]"
    pg_sql two "ALTER SYSTEM SET primary_conninfo = ''"
    pg_sql two "SELECT pg_reload_conf()" >/dev/null
    wait_until 30 eval '[ "$(pg_sql one "SELECT count(*) FROM pg_stat_replication")" = 0 ]'
}

fail_over() {
    [ "$(pg_sql one "SELECT lsn FROM walpipe.progress")" = "$(pg_sql two "SELECT lsn FROM walpipe.progress")" ] ||
        echo "the position has moved meanwhile"
    pg_kill one
    as_postgres "$(pg_bindir)/pg_ctl" promote -s -w -t 60 -D "$(pg_data two)" >/dev/null 3>&-
}

streaming() { # SERVER
    [ "$(pg_sql "$1" "SELECT string_agg(DISTINCT state, ',') FROM walpipe.tables WHERE relid <> 0")" = streaming ]
}

connected() {
    [ "$(pg_sql two "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'walpipe sink-pg orders/%'")" -gt 0 ]
}

equal() {
    diff <(pg_digest src t) <(pg_digest two t)
}

lost_was_seen() {
    grep -q "the target lost transactions that this worker had committed" "$conf.log"
}

# Nobody writes into the table meanwhile, so what the worker does next is not in the standby.
lock() {
    pg_sql one "BEGIN; LOCK TABLE t IN SHARE MODE; SELECT pg_sleep(300)" 3>&- &
    locker=$!
    kill_later "$locker"
    wait_until 30 eval '[ "$(pg_sql one "SELECT count(*) FROM pg_locks WHERE relation = '"'t'::regclass"' AND mode = '"'ShareLock'"' AND granted")" = 1 ]'
}

unlock() {
    pg_sql one "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 't'::regclass AND mode = 'ShareLock'" >/dev/null
    wait "$locker" || true
}

a_writer_waits() {
    [ "$(pg_sql one "SELECT count(*) > 0 FROM pg_locks WHERE relation = 't'::regclass AND NOT granted")" = t ]
}

@test "the bug was that rows of a copy were missing in a standby that lacked the commits of their ranges" {
    lock
    pipeline_start "$conf"
    wait_until 60 a_writer_waits
    standby_falls_behind
    unlock
    wait_until 60 streaming one
    fail_over
    wait_until 90 connected
    pg_sql src "INSERT INTO t VALUES (7000, 'new')"
    caught_up "$conf" src orders 90
    wait_until 60 streaming two
    equal
    lost_was_seen
    pipeline_stop "$conf"
}

@test "the bug was that a resync that a standby lacked deleted later rows at the next start" {
    pipeline_start "$conf"
    wait_until 60 streaming one
    pg_sql one "DELETE FROM t WHERE id <= 100"
    lock
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t
    wait_until 60 a_writer_waits
    standby_falls_behind
    unlock
    wait_until 60 streaming one
    fail_over
    wait_until 90 connected
    pg_sql src "INSERT INTO t SELECT g, 'new' FROM generate_series(7001, 7100) g; UPDATE t SET v = 'changed' WHERE id % 10 = 0"
    caught_up "$conf" src orders 90
    pipeline_stop "$conf"
    pipeline_start "$conf"
    pg_sql src "DELETE FROM t WHERE id = 7001"
    caught_up "$conf" src orders
    wait_until 60 streaming two
    equal
    lost_was_seen
    pipeline_stop "$conf"
}
