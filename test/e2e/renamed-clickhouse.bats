#!/usr/bin/env bats
# A table that ClickHouse has copied gets another name in the source.

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
    db=n$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    mkdir "$dir"
    pg_sql src "CREATE DATABASE $db"
    ch_sql ch "CREATE DATABASE $db"
}

teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 40 "$conf.log"
    [ ! -s "$conf.exit" ] && [ -e "$conf.pid" ] && pipeline_kill "$conf"
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null
}

in_ch() {
    ch_sql ch "$1" "$db"
}

streaming() {
    [ -e "$conf.exit" ] || [ "$(in_ch "SELECT count(), countIf(state = 'streaming') FROM walpipe_tables FINAL
        WHERE relid <> 0 AND state <> 'gone'")" = "$1"$'\t'"$1" ]
}

begin() {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, n int NOT NULL); CREATE TABLE u (k int PRIMARY KEY, n int NOT NULL);
        INSERT INTO t SELECT g, 1 FROM generate_series(1, 100) AS g; CREATE PUBLICATION p FOR ALL TABLES" "$db"
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
flush_interval = 50ms
CONF
    pipeline_start "$conf"
    wait_until 60 streaming 2
}

refused() {
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep '^{' "$conf.log" | jq -r 'select(.level == "error").message' | tail -n 8 | grep -F "$1"
}

rows() {
    in_ch "SELECT count(), sum(n) FROM $1 FINAL WHERE _is_deleted = 0"
}

@test "the bug was that a renamed table went on in a table that was made for it, without its rows" {
    local renamed="its changes go to \`$db\`.\`t2\` now"
    begin
    pg_sql src "UPDATE t SET n = 2 WHERE k = 1; ALTER TABLE t RENAME TO t2; UPDATE t2 SET n = 3 WHERE k = 2" "$db"
    refused "$renamed"
    [ "$(in_ch "EXISTS TABLE t2")" = 0 ]
    pipeline_start "$conf" || true
    refused "$renamed"
    # a table that somebody makes does not help
    in_ch "CREATE TABLE t2 AS t"
    pipeline_start "$conf" || true
    refused "$renamed"
    in_ch "DROP TABLE t2"
    in_ch "RENAME TABLE t TO t2"
    # ClickHouse keeps the source's name with the table
    pipeline_start "$conf" || true
    refused "holds rows of \"public.t\""
    in_ch "$(grep '^{' "$conf.log" | jq -r 'select(.program == "walpipe" and .level == "error").hint' | tail -n 1 | sed 's/.*run in ClickHouse: //')"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    [ "$(rows t2)" = $'100\t103' ]
    pipeline_stop "$conf"
    pg_sql src "UPDATE t2 SET n = 5 WHERE k = 3" "$db"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    [ "$(rows t2)" = $'100\t107' ]
    pipeline_stop "$conf"
}

@test "two tables change names, and the hint's other way" {
    begin
    pipeline_stop "$conf"
    pg_sql src "INSERT INTO u VALUES (1, 7); BEGIN; ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t; ALTER TABLE x RENAME TO u; COMMIT;
        UPDATE t SET n = 8; UPDATE u SET n = 2 WHERE k = 1" "$db"
    pipeline_start "$conf" || true
    refused ", and its changes go to \`$db\`.\`"
    in_ch "TRUNCATE TABLE t"
    in_ch "TRUNCATE TABLE u"
    in_ch "ALTER TABLE walpipe_tables UPDATE state = 'waiting', done = '', rows = 0 WHERE relid <> 0"
    wait_until 60 eval '[ "$(in_ch "SELECT count() FROM system.mutations WHERE database = '"'$db'"' AND NOT is_done")" = 0 ]'
    pipeline_start "$conf"
    wait_until 60 streaming 2
    caught_up "$conf" src "$db"
    [ "$(rows t)" = $'1\t8' ]
    [ "$(rows u)" = $'100\t101' ]
    pipeline_stop "$conf"
}
