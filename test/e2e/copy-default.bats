#!/usr/bin/env bats
# walpipe run with a config that does not say `copy`: which pipelines copy, and what they know it from.

bats_require_minimum_version 1.5.0

load ../lib/copied

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src wal_sender_timeout=2s
    pg_new dst
}

# And 1,000 rows in the source.
setup() {
    copied_setup
    pg_sql dst "CREATE DATABASE ${db}_2"
    pg_sql src "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR ALL TABLES;
        INSERT INTO t SELECT g, repeat('v', 500) FROM generate_series(1, 1000) g" "$db"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v text)" "$db"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v text)" "${db}_2"
    write_conf
}

teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 60 "$conf.log" 2>/dev/null
    for config in "$conf" "$dir/first.conf"; do
        [ ! -s "$config.exit" ] && [ -e "$config.pid" ] && pipeline_kill "$config"
    done
    wait_until 10 slot_is_gone || true
}

slot_is_gone() {
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null
    [ "$(pg_sql src "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '$db'")" -eq 0 ]
}

# write_conf [LINES [STATE]]: LINES of [pipeline].
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/${2:-state}
${1:-}
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

second_sink() {
    cat >>"$conf" <<CONF
[sink second]
type = pg
conninfo = $(pg_conninfo dst "${db}_2")
flush_interval = 50ms
CONF
}

hand_made_slot() {
    pg_sql src "SELECT pg_create_logical_replication_slot('$db', 'pgoutput')" "$db" >/dev/null
}

rows() { # [DATABASE]
    pg_sql dst "SELECT count(*) FROM t" "${1:-$db}"
}

has_rows() { # NUMBER [DATABASE]
    [ -e "$conf.exit" ] || [ "$(rows "${2:-$db}")" -eq "$1" ]
}

# The stream has brought row ID.
followed() {
    pg_sql src "INSERT INTO t VALUES ($1, 'new')" "$db"
    caught_up "$conf" src "$db"
    [ "$(pg_sql dst "SELECT count(*) FROM t WHERE id = $1" "$db")" -eq 1 ]
}

logged() {
    grep -q -- "$1" "$conf.log"
}

chosen() { # "yes"|"no" WHY [SINK]
    local not=
    [ "$1" = yes ] || not=" not"
    logged "sink ${3:-dst}: rows that tables have already are$not copied, since copy is not set and $2"
}

checked() {
    run "$WALPIPE_BIN/walpipe" check -c "$conf"
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output == *"sink dst: rows that tables have already are $1"* ]]
}

@test "a new pipeline copies, and goes on doing so, also when its line copy is removed or its state is lost" {
    checked "copied, since copy is not set and the pipeline is new"
    "$WALPIPE_BIN/walpipe" print -c "$conf" >"$dir/script"
    grep -q "^# copy is not set for sink dst, which copies nothing here" "$dir/script"
    pipeline_start "$conf"
    chosen yes "the pipeline is new"
    wait_until 60 has_rows 1000
    followed 2000
    pipeline_stop "$conf"
    [ "$(cat "$dir/state/copies")" = "dst yes" ]
    "$WALPIPE_BIN/walpipe" print -c "$conf" >"$dir/script"
    grep -q "^# copy is not set for sink dst, which copies as in the last run" "$dir/script"
    grep -q -- "--copy" "$dir/script"
    pipeline_start "$conf"
    chosen yes "as in the last run"
    # a table that comes is copied as well
    pg_sql dst "CREATE TABLE u (id int PRIMARY KEY)" "$db"
    pg_sql src "CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u SELECT generate_series(1, 10)" "$db"
    followed 2001
    pipeline_stop "$conf"
    rm -r "$dir/state"
    pipeline_start "$conf"
    chosen yes "the target's notes say that it takes copies"
    followed 2002
    [ "$(rows)" -eq 1003 ]
    pipeline_stop "$conf"
    checked "copied, since copy is not set and as in the last run"
}

@test "a slot that somebody else made: nothing is copied, with a warning; copy = yes copies" {
    hand_made_slot
    checked "not copied, since copy is not set and the slot was not made by this walpipe"
    pipeline_start "$conf"
    chosen no "the slot was not made by this walpipe"
    grep -q '"level":"warning".*rows that tables have already are not copied' "$conf.log"
    followed 2000
    [ "$(rows)" -eq 1 ]
    pipeline_stop "$conf"
    # its state is lost: what the target says decides
    rm -r "$dir/state"
    pipeline_start "$conf"
    chosen no "the target has progress without copies"
    followed 2001
    [ "$(rows)" -eq 2 ]
    pipeline_stop "$conf"
}

@test "the state of an older walpipe, and copy = no whose line is removed: nothing is copied" {
    write_conf "copy = no"
    pipeline_start "$conf"
    followed 2000
    pipeline_stop "$conf"
    write_conf
    pipeline_start "$conf"
    chosen no "as in the last run"
    followed 2001
    pipeline_stop "$conf"
    rm "$dir/state/copies" "$dir/state/slot"
    pipeline_start "$conf"
    chosen no "an older walpipe began the pipeline"
    followed 2002
    [ "$(rows)" -eq 3 ]
    pipeline_stop "$conf"
}

@test "a sink that is added later copies if walpipe made the slot" {
    pipeline_start "$conf"
    wait_until 60 has_rows 1000
    pipeline_stop "$conf"
    second_sink
    pipeline_start "$conf"
    chosen yes "walpipe made the slot" second
    wait_until 60 has_rows 1000 "${db}_2"
    followed 2000
    pipeline_stop "$conf"
    [ "$(pg_sql dst "SELECT count(*) FROM t" "${db}_2")" -eq 1001 ]
    pg_digest src t "$db" | diff - <(pg_digest dst t "${db}_2")
}

@test "a sink that is added later does not copy if somebody else made the slot" {
    hand_made_slot
    pipeline_start "$conf"
    followed 2000
    pipeline_stop "$conf"
    second_sink
    pipeline_start "$conf"
    chosen no "the slot was not made by this walpipe" second
    followed 2001
    pipeline_stop "$conf"
    [ "$(rows "${db}_2")" -eq 1 ]
}

@test "kill -9 while the slot is made: the next start copies" {
    exec 5> >(psql -XAtq -d "$(pg_conninfo src "$db")" >/dev/null 2>&1)
    echo "BEGIN; INSERT INTO t VALUES (2000, 'open');" >&5
    wait_until 10 eval '[ "$(pg_sql src "SELECT count(*) FROM pg_stat_activity WHERE state = '"'idle in transaction'"'")" = 1 ]'
    pipeline_begin "$conf"
    wait_until 30 eval '[ "$(pg_sql src "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '"'CREATE_REPLICATION_SLOT%'"' AND wait_event = '"'transactionid'"'")" = 1 ]'
    grep -q " making " "$dir/state/slot"
    pipeline_kill "$conf"
    echo "COMMIT;" >&5
    exec 5>&-
    pipeline_start "$conf"
    wait_until 60 has_rows 1001
    followed 2001
    pipeline_stop "$conf"
}

@test "the target is down at the first start: walpipe waits for it, and then copies" {
    sed -i '/^\[sink dst\]/,$s/port=[0-9]*/port=1/' "$conf"
    pipeline_begin "$conf"
    wait_until 30 logged "could not ask the target of sink dst whether it takes copies"
    [ ! -e "$conf.exit" ]
    pipeline_kill "$conf"
    [ "$(pg_sql src "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '$db'")" -eq 0 ]
    write_conf
    pipeline_start "$conf"
    wait_until 60 has_rows 1000
    pipeline_stop "$conf"
}

@test "a hot standby with a state directory of its own takes over, and copies as the first did" {
    pg_sql src "INSERT INTO t SELECT g, repeat('v', 500) FROM generate_series(1001, 40000) g" "$db"
    write_conf "copy_rate = 2000000" standby
    sed 's|/standby$|/state|' "$conf" >"$dir/first.conf"
    pipeline_start "$dir/first.conf"
    wait_until 60 eval '[ "$(rows)" -gt 0 ]'
    pipeline_begin "$conf"
    wait_until 60 pipeline_waits "$conf"
    chosen yes "the target's notes say that it takes copies"
    pipeline_kill "$dir/first.conf"
    wait_until 120 has_rows 40000
    followed 50000
    pipeline_stop "$conf"
}

@test "a slot that somebody else uses: the choice is made when it is free" {
    local reader
    hand_made_slot
    "$WALPIPE_BIN/pg-wal-read" --conninfo "$(pg_conninfo src "$db")" --slot "$db" --publication p --no-ack \
        >/dev/null 2>&1 3>&- &
    reader=$!
    kill_later "$reader"
    wait_until 30 eval '[ "$(pg_sql src "SELECT count(*) FROM pg_replication_slots WHERE active")" = 1 ]'
    pipeline_begin "$conf"
    wait_until 60 pipeline_waits "$conf"
    run ! logged "copy is not set"
    kill "$reader"
    wait_until 30 logged "streaming from slot"
    chosen no "the slot was not made by this walpipe"
    # it waited with all its programs, and began once more
    [ "$(grep -c '"message":"started the pipeline' "$conf.log")" -eq 2 ]
    run ! logged "restarting the pipeline"
    followed 2000
    [ "$(rows)" -eq 1 ]
    pipeline_stop "$conf"
}

@test "the source is away at the first start, and walpipe then copies; SIGTERM while it waits" {
    local port
    port=$(pg_conninfo src "$db" | grep -o 'port=[0-9]*')
    sed -i "/^\[source\]/,/^slot/s/$port/port=1/" "$conf"
    pipeline_begin "$conf"
    wait_until 30 logged "waiting for the source"
    pipeline_stop "$conf"
    write_conf
    pipeline_start "$conf"
    wait_until 60 has_rows 1000
    pipeline_stop "$conf"
}

@test "values in binary format and exec sinks: never copied where copy is not set" {
    sed -i "s/^slot = .*/&\nbinary = on/" "$conf"
    pipeline_start "$conf"
    followed 2000
    [ "$(rows)" -eq 1 ]
    pipeline_stop "$conf"
}
