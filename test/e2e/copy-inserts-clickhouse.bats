#!/usr/bin/env bats
# A copy into ClickHouse comes in few inserts, whether its source is idle or busy. ClickHouse makes a
# part of each, and refuses more when it has too many.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    ch_new ch
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    db=i$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    mkdir "$dir"
    pg_sql src "CREATE DATABASE $db"
    ch_sql ch "CREATE DATABASE $db"
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
        INSERT INTO t SELECT i, repeat(md5(i::text), 16) FROM generate_series(1, 128000) AS i;
        CREATE TABLE busy (k int PRIMARY KEY, n int); INSERT INTO busy SELECT i, 0 FROM generate_series(1, 1000) AS i;
        CREATE PUBLICATION p FOR TABLE t, busy" "$db"
    pg_sql src "VACUUM ANALYZE" "$db"
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
copy = yes
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink olap]
type = ch
url = $(ch_url ch)
database = $db
create_tables = yes
CONF
}

teardown() {
    load_stop
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 30 "$conf.log"
    [ ! -s "$conf.exit" ] && [ -e "$conf.pid" ] && pipeline_kill "$conf"
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null
}

load_start() {
    echo "\\set k random(1, 1000)
UPDATE busy SET n = n + 1 WHERE k = :k" >"$dir/update"
    "$(pg_bindir)/pgbench" -n -c 2 -R 400 -T 600 -f "$dir/update" "$(pg_conninfo src "$db")" \
        >"$dir/load" 2>&1 3>&- &
    load_pid=$!
    kill_later "$load_pid"
}

load_stop() {
    [ -n "${load_pid:-}" ] || return 0
    kill "$load_pid" 2>/dev/null || true
    wait "$load_pid" || true
    load_pid=
}

streaming() {
    [ -e "$conf.exit" ] || [ "$(ch_sql ch "SELECT countIf(state = 'streaming') FROM walpipe_tables FINAL
        WHERE relid <> 0" "$db")" = 2 ]
}

# inserts TABLE: each gets a number.
inserts() {
    ch_sql ch "SELECT max(max_block_number) FROM system.parts WHERE database = '$db' AND table = '$1'"
}

# copied_in INSERTS
copied_in() {
    local began=$SECONDS
    pipeline_start "$conf"
    wait_until 120 streaming
    pipeline_lives "$conf"
    echo "$((SECONDS - began)) s, $(inserts t) inserts of rows, $(inserts walpipe_tables) of notes, $(inserts busy) of changes"
    [ "$(ch_sql ch "SELECT count() FROM t FINAL" "$db")" = 128000 ]
    [ "$(inserts t)" -le "$1" ]
    [ "$(inserts walpipe_tables)" -le "$1" ]
    [ "$(inserts busy)" -le "$1" ]
    load_stop
    pipeline_stop "$conf"
}

@test "64 MiB of an idle source come in few inserts" {
    copied_in 150
}

@test "so do those of a busy source" {
    load_start
    copied_in 150
}
