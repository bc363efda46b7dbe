#!/usr/bin/env bats
# walpipe run with copy = only: it ends with 0 when the targets have the source's rows of one moment,
# and not before, whatever is killed; then it drops the slot that it made.

bats_require_minimum_version 1.5.0

load copy-only

@test "under load: it ends with 0, the targets have the source's rows as of the LSN that it logs, the slot is gone; again: 0 at once" {
    bench_tables
    pg_sql dst "CREATE DATABASE ${db}_2"
    pg_sql dst - "${db}_2" <"$dir/schema.sql" >/dev/null
    write_conf only "copy_workers = 3" "shards = 2
[sink second]
type = pg
conninfo = $(pg_conninfo dst "${db}_2")"
    load_start
    backup_take
    runs 0
    run ! slot_exists
    [ ! -e "$dir/state/slot" ]
    logged 'dropped slot'
    logged '"message":"finished"'
    kill -0 "$load_pid" # it ran to the end
    load_stop
    [ "$(end_lsn dst)" = "$(end_lsn second)" ]
    past_start "$(end_lsn)"
    local table digest
    for table in $BENCH; do
        digest=$(pg_digest "past$BATS_TEST_NUMBER" "$table" "$db")
        [ "$digest" = "$(pg_digest dst "$table" "$db")" ]
        [ "$digest" = "$(pg_digest dst "$table" "${db}_2")" ]
    done
    [ "$(pg_sql "past$BATS_TEST_NUMBER" "SELECT count(*) FROM pgbench_history" "$db")" -gt 0 ]
    # again: at once, and also where the state directory is lost
    local before
    before=$(starts)
    runs 0
    logged "nothing is left to do"
    rm -r "$dir/state"
    runs 0
    [ "$(starts)" -eq "$before" ]
    run ! slot_exists
    run "$WALPIPE_BIN/walpipe" check -c "$conf"
    [ "$status" -eq 0 ]
    [[ $output == *"copy = only: every published table is copied"* ]]
}

@test "kill -9 of each program, and of walpipe, during the copy: it goes on, and ends with 0 and equal" {
    bench_tables 3
    write_conf only "copy_rate = 1500000" "shards = 2"
    load_start 40
    pipeline_begin "$conf"
    local name before rows=0
    for name in pg-table-read sink-pg route pgout-decode pg-wal-read ackd; do
        wait_until 120 more_rows "$rows"
        [ ! -e "$conf.exit" ]
        before=$(starts)
        kill -KILL "$(child "$name")"
        wait_until 120 restarted "$before"
        rows=$(rows pgbench_accounts)
    done
    wait_until 120 more_rows "$rows"
    pipeline_kill "$conf"
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    load_stop
    runs 0
    run ! slot_exists
    # shellcheck disable=SC2086 # words
    equal $BENCH
}

@test "kill -9 between the end of the copy and the drop of the slot: the next start drops it, and copies nothing" {
    small_tables
    write_conf
    # it waits where it would drop the slot
    mkdir "$dir/bin"
    ln -s "$WALPIPE_BIN"/* "$dir/bin"
    rm "$dir/bin/pg-wal-read"
    cat >"$dir/bin/pg-wal-read" <<'SH'
#!/bin/bash
[[ " $* " != *" --drop-slot "* ]] || { touch "${0%/*}/reached"; sleep 60; }
exec REAL/pg-wal-read "$@"
SH
    sed -i "s|REAL|$WALPIPE_BIN|" "$dir/bin/pg-wal-read"
    chmod 755 "$dir/bin/pg-wal-read"
    export WALPIPE_LIBEXEC=$dir/bin
    pipeline_begin "$conf"
    wait_until 60 test -e "$dir/bin/reached"
    pipeline_kill "$conf"
    unset WALPIPE_LIBEXEC
    slot_exists
    grep -q ' made ' "$dir/state/slot"
    # what is written meanwhile comes through the slot
    pg_sql src "UPDATE a SET v = 'late' WHERE id < 100" "$db"
    local copied
    copied=$(grep -c '"message":"public.a: 3000 rows' "$conf.log")
    runs 0
    [ "$copied" -eq 1 ] && [ "$(grep -c '"message":"public.a: 3000 rows' "$conf.log")" -eq 1 ]
    run ! slot_exists
    equal a b
    runs 0
}

@test "a table that is published while it runs is copied too" {
    small_tables
    pg_sql src "CREATE TABLE c (id int PRIMARY KEY, v text); INSERT INTO c VALUES (1, 'c');
        DROP PUBLICATION p; CREATE PUBLICATION p FOR TABLE a" "$db"
    pg_sql dst "CREATE TABLE c (id int PRIMARY KEY, v text)" "$db"
    write_conf only "copy_rate = 100000"
    pipeline_begin "$conf"
    wait_until 60 eval '[ "$(rows a)" -gt 0 ]'
    pg_sql src "ALTER PUBLICATION p ADD TABLE b, c" "$db"
    ends 0
    run ! slot_exists
    equal a b c
    logged "sink dst: 3 tables are copied, with 6001 rows"
}

@test "a table that leaves the publication during its copy is not waited for, but named" {
    small_tables
    pg_sql src "INSERT INTO a SELECT g, repeat('a', 200) FROM generate_series(3001, 60000) g" "$db"
    pg_sql src "DROP PUBLICATION p; CREATE PUBLICATION p FOR TABLE a, b" "$db"
    write_conf only "copy_rate = 500000"
    pipeline_begin "$conf"
    wait_until 60 eval '[ "$(rows a)" -gt 0 ]'
    pg_sql src "ALTER PUBLICATION p DROP TABLE a" "$db"
    ends 0
    equal b
    [ "$(rows a)" -lt 60000 ]
    grep '"level":"warning"' "$conf.log" | grep "public.a is no longer published, and its copy had not ended"
    # the same while walpipe is down
    write_conf only "copy_rate = 500000"
    pg_sql dst "TRUNCATE a, b; DROP SCHEMA walpipe CASCADE" "$db"
    rm -r "$dir/state"
    pg_sql src "ALTER PUBLICATION p ADD TABLE a" "$db"
    pipeline_begin "$conf"
    wait_until 60 eval '[ "$(rows a)" -gt 0 ]'
    kill -TERM "$(pipeline_pid "$conf")"
    ends 111
    pg_sql src "ALTER PUBLICATION p DROP TABLE a" "$db"
    runs 0
    grep '"level":"warning"' "$conf.log" | grep "public.a is not published any more, and was not copied to its end"
}

@test "SIGTERM before the end: 111, since 0 means that all is copied; the next start goes on" {
    bench_tables
    write_conf only "copy_rate = 1000000"
    pipeline_begin "$conf"
    wait_until 60 more_rows 0
    kill -TERM "$(pipeline_pid "$conf")"
    ends 111
    logged "stopped before everything was copied"
    slot_exists
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    runs 0
    # shellcheck disable=SC2086 # words
    equal $BENCH
}

# into_clickhouse: the server "ch", with a kill.
into_clickhouse() {
    bench_tables
    pg_sql src "ALTER TABLE pgbench_history ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY" "$db"
    ch_sql ch "CREATE DATABASE $db"
    write_conf only "copy_rate = 3000000"
    sed -i '/^\[sink dst\]/,$d' "$conf"
    cat >>"$conf" <<CONF
[sink dst]
type = ch
url = $(ch_url ch)
database = $db
create_tables = yes
shards = 2
flush_interval = 50ms
CONF
    load_start 40
    pipeline_begin "$conf"
    wait_until 60 eval '[ "$(ch_sql ch "SELECT count() FROM pgbench_accounts" "$db")" -gt 0 ]'
    pipeline_kill "$conf"
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    backup_take
    runs 0
    run ! slot_exists
    load_stop
    past_start "$(end_lsn)"
    local table
    for table in $BENCH; do
        [ "$(pg_digest "past$BATS_TEST_NUMBER" "$table" "$db")" = "$(ch_digest ch "$table" "$db" src "$db")" ]
    done
    runs 0
    rm -r "$dir/state"
    runs 0
    # one worker that is beyond the other: what is between is missing
    ch_sql ch "INSERT INTO walpipe_progress SELECT pipeline, sink, shard, shards, system_identifier, timeline,
        slot, lsn + 8, now(), layout FROM walpipe_progress WHERE shard = 1 AND shards = 2 ORDER BY lsn DESC LIMIT 1" "$db"
    runs 100
    last_error | jq -e '.message | contains("the workers of sink dst did not stop at one position")'
}

@test "into ClickHouse, with a kill" {
    ch_new ch
    into_clickhouse
}

@test "into a ClickHouse of today, with a kill" {
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    chdb_install >/dev/null || skip "there is no engine"
    ch_stop ch || true
    rm -rf "$SCRATCH/ch"
    chdb_new ch
    into_clickhouse
}
