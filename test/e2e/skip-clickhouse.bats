#!/usr/bin/env bats
# walpipe skip into ClickHouse: a transaction with a value that does not fit is passed over, and its
# changes are in a file before. There the note stays until the slot has passed the transaction.

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
    db=s$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    mkdir "$dir"
    pg_sql src "CREATE DATABASE $db"
    ch_sql ch "CREATE DATABASE $db"
}

teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || {
        tail -n 40 "$conf.log"
        in_ch "SELECT name, part, shard, state, l0 FROM walpipe_tables FINAL"
    } 2>/dev/null
    [ ! -s "$conf.exit" ] && [ -e "$conf.pid" ] && pipeline_kill "$conf"
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null
}

in_ch() {
    ch_sql ch "$1" "$db"
}

# write_conf [SINK_LINES [TYPE]]: t's numbers are of this type in ClickHouse.
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
log_level = debug
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
${1:-}
[sink olap table public.t]
column_types = n -> Int8
CONF
}

# begin SHARDS
begin() {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, n int NOT NULL); CREATE TABLE u (k int PRIMARY KEY, n int NOT NULL);
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    write_conf "shards = $1"
    pipeline_start "$conf"
    wait_until 60 all_streaming $((2 * $1))
    pg_sql src "INSERT INTO t VALUES (1, 1), (2, 2); INSERT INTO u VALUES (1, 1)" "$db"
    caught_up "$conf" src "$db"
}

all_streaming() {
    [ -e "$conf.exit" ] || [ "$(in_ch "SELECT count(), countIf(state = 'streaming') FROM walpipe_tables FINAL
        WHERE relid <> 0 AND state <> 'gone'")" = "$1"$'\t'"$1" ]
}

poison() {
    pg_sql src "BEGIN; INSERT INTO u SELECT i, i FROM generate_series(10, 29) AS i;
        UPDATE t SET n = 22 WHERE k = 2; INSERT INTO t VALUES (3, 1000), (4, 4); COMMIT;
        INSERT INTO u VALUES (50, 50); INSERT INTO t VALUES (5, 5)" "$db"
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    lsn=$(grep '"level":"error","program":"sink-ch".*"lsn"' "$conf.log" | tail -n 1 | sed 's/.*"lsn":"\([^"]*\)".*/\1/')
    [[ $lsn =~ ^[0-9A-F]+/[0-9A-F]+$ ]]
}

skip() {
    "$WALPIPE_BIN/walpipe" skip -c "$conf" --sink olap "$@"
}

tables() {
    "$WALPIPE_BIN/walpipe" tables -c "$conf" "$@"
}

letters() {
    local file
    for file in "$dir"/state/skipped.olap."${1/\//-}".*; do
        "$WALPIPE_BIN/evcat" <"$file"
    done | jq -r 'select(.type | IN("insert", "update", "delete", "truncate"))
        | [.type, .relation // (.relations | join(" ")), .new.k] | join(" ")' | sort
}

rows() {
    in_ch "SELECT k, n FROM $1_current ORDER BY k FORMAT CSV" | tr '\n' ' '
}

skips_left() {
    in_ch "SELECT count() FROM walpipe_skips FINAL WHERE state <> 'gone'"
}

# is_known_to_lack TABLES: to ackd, which hears of it beside changes.
is_known_to_lack() {
    pg_sql src "UPDATE u SET k = k WHERE k = 50" "$db"
    "$WALPIPE_BIN/walpipe" status -c "$conf" --json | jq -e ".workers[0].lacking_tables == $1"
}

@test "a transaction is skipped as a whole; a kill repeats it, and its file, until the slot has passed it" {
    begin 1
    poison
    run -0 skip --lsn "$lsn"
    [[ $output == *"the transaction at $lsn is skipped in sink olap"*"the next start of the pipeline skips it" ]]
    run -0 tables
    [[ $output == *"the transaction at $lsn is to be skipped, and is not passed yet"* ]]
    pipeline_start "$conf"
    wait_until 60 test -e "$(echo "$dir/state/skipped.olap.${lsn/\//-}.0".)"1
    pipeline_kill "$conf"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    [ "$(rows t)" = "1,1 2,2 5,5 " ]
    [ "$(rows u)" = "1,1 50,50 " ]
    [ "$(letters "$lsn" | wc -l)" -eq 23 ]
    run -0 tables --json
    [ "$(jq -c '.sinks[0].lacks | map([.table, .changes])' <<<"$output")" = '[["t",3],["u",20]]' ]
    pipeline_stop "$conf"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    grep -F "the target lacks 3 changes of public.t, of the transaction at $lsn that was skipped" "$conf.log"
    [ "$(skips_left)" = 0 ]
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.u --wait
    run -0 tables --json
    [ "$(jq -c '.sinks[0].lacks | map(.table)' <<<"$output")" = '["t"]' ]
    [ "$(in_ch "SELECT count() FROM u_current")" = 22 ]
    wait_until 30 is_known_to_lack 1
    skip --lsn "$lsn" --repaired
    wait_until 30 is_known_to_lack 0
    run -0 tables
    [[ $output != *lacks* ]]
    run -100 skip --lsn "$lsn" --repaired
    run -100 skip --lsn "$lsn"
    [[ $output == *"has passed it"* ]]
    pipeline_stop "$conf"
}

@test "only one table's changes are skipped, with three workers" {
    begin 3
    poison
    skip --lsn "$lsn" --table public.t
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    [ "$(in_ch "SELECT count() FROM u_current")" = 22 ]
    [ "$(in_ch "SELECT count() FROM t_current WHERE k IN (3)")" = 0 ]
    [ "$(in_ch "SELECT n FROM t_current WHERE k = 5")" = 5 ]
    letters "$lsn" | grep -x "insert public.t 3"
    run letters "$lsn"
    [[ $output != *public.u* ]]
    [ "$(in_ch "SELECT sum(changes) FROM walpipe_lacks FINAL")" = "$(letters "$lsn" | wc -l)" ]
    pipeline_stop "$conf"
    pg_sql src "UPDATE t SET n = 100 WHERE n > 100" "$db"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t --wait
    [ "$(rows t)" = "1,1 2,22 3,100 4,4 5,5 " ]
    run -0 tables
    [[ $output != *lacks* ]]
    pipeline_stop "$conf"
}

@test "wrong LSNs, and a running pipeline" {
    begin 1
    run -100 skip --lsn 0/1
    [[ $output == *"the slot has passed it"* ]]
    run -100 skip --lsn FFFF/0
    [[ $output == *"no transaction has committed at FFFF/0"* ]]
    pipeline_lives "$conf"
    poison
    skip --lsn "${lsn%?}$(printf %X $((0x${lsn: -1} ^ 1)))"
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    skip --lsn "$lsn"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    grep "nothing was skipped for ${lsn%?}.: no transaction has committed there" "$conf.log"
    grep "the slot has passed the transaction at $lsn that is skipped" "$conf.log"
    [ "$(skips_left)" = 0 ]
    pipeline_stop "$conf"
}

@test "an insert that ClickHouse refuses names its transaction among several" {
    begin 1
    pipeline_stop "$conf"
    in_ch "CREATE MATERIALIZED VIEW v ENGINE = Log AS SELECT throwIf(n = 77) AS x FROM t"
    for k in 10 11 12 77 13; do
        pg_sql src "INSERT INTO t VALUES ($k, $k)" "$db"
    done
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    lsn=$(grep '"level":"error","program":"sink-ch".*"lsn"' "$conf.log" | tail -n 1 | sed 's/.*"lsn":"\([^"]*\)".*/\1/')
    grep -F "walpipe skip -c FILE --sink olap --lsn $lsn" "$conf.log"
    skip --lsn "$lsn"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    [ "$(letters "$lsn")" = "insert public.t 77" ]
    [ "$(in_ch "SELECT count() FROM t_current WHERE k IN (10, 11, 12, 13)")" = 4 ]
    pipeline_stop "$conf"
}

@test "a table that was repaired stays so, while a paused sink holds the slot before the transaction" {
    begin 1
    ch_sql ch "CREATE DATABASE ${db}o"
    sed -n '/^\[sink olap\]/,$p' "$conf" | sed "s/sink olap/sink other/; s/^database = .*/database = ${db}o/" >"$dir/other"
    pipeline_stop "$conf"
    cat "$dir/other" >>"$conf"
    pipeline_start "$conf"
    wait_until 60 eval '"$WALPIPE_BIN/walpipe" tables -c "$conf" | grep "sink other: 2 of 2 tables streaming"'
    "$WALPIPE_BIN/walpipe" pause -c "$conf" --sink other
    poison
    skip --lsn "$lsn"
    pipeline_start "$conf"
    wait_until 60 eval '[ "$(rows t)" = "1,1 2,2 5,5 " ]'
    run -0 tables
    [[ $output == *"public.t lacks 3 changes of the transaction at $lsn"* ]]
    skip --lsn "$lsn" --repaired --table public.t
    pipeline_stop "$conf"
    pipeline_start "$conf"
    pg_sql src "INSERT INTO t VALUES (6, 6)" "$db"
    wait_until 60 eval '[ "$(rows t)" = "1,1 2,2 5,5 6,6 " ]'
    run -0 tables --json
    [ "$(jq -c '.sinks[0].lacks | map(.table)' <<<"$output")" = '["u"]' ]
    pipeline_stop "$conf"
}
