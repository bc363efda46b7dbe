#!/usr/bin/env bats
# The state that the walpipe of an earlier commit left behind (test/golden/old-state made it):
# progress rows, checkpoints, ClickHouse's journal, captured streams. Today's programs continue from
# there, or refuse with a hint and change nothing. All programs run except pg-wal-read. Instead of it
# test/lib/fake_reader.py sends the stream that was captured then.

setup_file() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new target
    ch_new olap
    pg_sql target "CREATE DATABASE source2"
    pg_sql target - source2 <"$BATS_TEST_DIRNAME/../golden/old/source2.sql"
}

setup() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    . "$BATS_TEST_DIRNAME/../lib/compare.bash"
    old=$WALPIPE_ROOT/test/golden/old
    T=$(mktemp -d "$SCRATCH/t.XXXXXX")
    db=t$BATS_TEST_NUMBER
}

teardown() {
    [ -n "$BATS_TEST_COMPLETED" ] || tail -n 30 "$T/log"
}

teardown_file() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

# go_on STATE SINK-LINES: walpipe run with STATE's checkpoint; $status and $T/log. A restart is none
# of its business: whoever waits 60 s here will never end.
go_on() {
    local name confirmed
    rm -rf "$T/bin" "$T/state"
    mkdir -m 700 "$T/bin" "$T/state"
    cp "$old/$1.checkpoint" "$T/state/checkpoint"
    confirmed=$(sed -n 's/^safe_lsn=//p' "$T/state/checkpoint")
    for name in walpipe ackd pgout-decode route sink-pg sink-ch; do
        cp "$WALPIPE_BIN/$name" "$T/bin"
    done
    cat >"$T/bin/pg-wal-read" <<SH
#!/bin/sh
exec /usr/bin/python3 "$WALPIPE_ROOT/test/lib/fake_reader.py" "$old/wal" $confirmed "\$@"
SH
    chmod +x "$T/bin/pg-wal-read"
    cat >"$T/conf" <<CONF
[pipeline]
name = state
state_dir = $T/state
[source]
conninfo = host=/nowhere dbname=state
slot = state
publication = p
create_slot = no
$2
CONF
    status=0
    timeout -s KILL 60 "$T/bin/walpipe" run -c "$T/conf" >"$T/log" 2>&1 3>&- || status=$?
}

# One line a table: its name, the number of its rows and their digest.
pg_rows() {
    local table
    for table in account cleared log named toast; do
        echo "$table $(pg_digest target "$table" "$1")"
    done
}

pg_state() {
    pg_sql target "CREATE DATABASE $db"
    pg_sql target - "$db" <"$old/$1.sql"
    before=$(pg_rows "$db")
}

# pg_go_on STATE WORKERS
pg_go_on() {
    pg_state "$1"
    pg_run "$@"
}

pg_run() {
    go_on "$1" "[sink dst]
type = pg
conninfo = $(pg_conninfo target "$db")
shards = $2"
}

carried_on() {
    [ "$status" -eq 0 ] || { echo "exit status $status" && return 1; }
    diff <(pg_rows source2) <(pg_rows "$db")
}

# With exit code 100, an error and a hint, and no row is another one than before.
refused() {
    [ "$status" -eq 100 ] || { echo "exit status $status" && return 1; }
    jq -e -s 'any(.level == "error" and (.hint // "") != "")' "$T/log" >/dev/null
    diff <(echo "$before") <(pg_rows "$db")
}

carried_on_or_refused() {
    if [ "$status" -eq 100 ]; then
        refused
        echo "# refused: $(jq -r 'select(.level == "error") | .message + "; " + (.hint // "")' "$T/log" | head -n 1)" >&3
    else
        carried_on
    fi
}

@test "the streams of then are read: the same changes, decoded then and now" {
    "$WALPIPE_BIN/pgout-decode" <"$old/wal" | "$WALPIPE_BIN/evcat" >"$T/now"
    "$WALPIPE_BIN/evcat" <"$old/events" >"$T/then"
    for file in now then; do
        jq -c 'select(.type | IN("begin", "insert", "update", "delete", "truncate", "commit"))' \
            "$T/$file" >"$T/$file.changes"
    done
    [ "$(wc -l <"$T/now.changes")" -gt 300 ]
    diff "$T/then.changes" "$T/now.changes"
}

@test "the event stream of then can still be routed and applied" {
    pg_state clean1
    "$WALPIPE_ROOT/test/lib/fake_ackd.py" "$T/ackd.sock" >"$T/acks" 2>&1 3>&- &
    kill_later $!
    wait_until 10 test -S "$T/ackd.sock"
    : >"$T/routed"
    "$WALPIPE_BIN/route" --sink dst --to "$T/routed" <"$old/events" 2>"$T/log"
    status=0
    "$WALPIPE_BIN/sink-pg" --conninfo "$(pg_conninfo target "$db")" --pipeline state \
        --ackd "$T/ackd.sock" <"$T/routed" 2>>"$T/log" || status=$?
    carried_on
}

@test "one worker, stopped: goes on" {
    pg_go_on clean1 1
    carried_on
}

@test "one worker, killed: goes on, no row twice" {
    pg_go_on killed1 1
    carried_on
}

@test "four workers, stopped at one position: go on, as four" {
    pg_go_on clean4 4
    carried_on
}

@test "four workers, stopped at one position: go on, as two" {
    pg_go_on clean4 2
    carried_on
}

@test "one worker, stopped: goes on as three" {
    pg_go_on clean1 3
    carried_on
}

@test "four workers, killed at different positions: go on as four, or are refused with a way out" {
    pg_go_on killed4 4
    carried_on_or_refused
}

@test "four workers, killed at different positions: go on as one, or are refused with a way out" {
    pg_go_on killed4 1
    carried_on_or_refused
    # the way out of the refusal
    pg_run killed4 4
    carried_on_or_refused
}

@test "four workers, killed behind a barrier in a transaction: go on, or are refused with a way out" {
    pg_go_on partial4 4
    carried_on_or_refused
}

@test "progress of another pipeline's cluster is refused, whatever the checkpoint says" {
    pg_state clean1
    pg_sql target "UPDATE walpipe.progress SET system_identifier = '1'" "$db"
    go_on clean1 "[sink dst]
type = pg
conninfo = $(pg_conninfo target "$db")"
    refused
}

# ---- ClickHouse ----

# ch_go_on STATE WORKERS
ch_go_on() {
    local statement
    ch_sql olap "DROP DATABASE IF EXISTS state"
    ch_sql olap "CREATE DATABASE state"
    while IFS= read -r statement; do
        ch_sql olap - <<<"$statement"
    done <"$old/$1.sql"
    go_on "$1" "[sink olap]
type = ch
url = $(ch_url olap)
database = state
create_tables = yes
shards = $2"
}

# A table without a key may hold rows twice after a kill.
ch_carried_on() {
    local table
    [ "$status" -eq 0 ] || { echo "exit status $status" && return 1; }
    for table in account cleared named toast; do
        diff <(echo "$table $(pg_digest target "$table" source2)") \
            <(echo "$table $(ch_digest olap "$table" state target source2)")
    done
    diff <(pg_sql target "SELECT note FROM log ORDER BY note COLLATE \"C\"" source2) \
        <(ch_sql olap "SELECT DISTINCT note FROM log ORDER BY note" state)
}

@test "ClickHouse, stopped: goes on from its journal and its truncate notes" {
    ch_go_on ch-clean 2
    ch_carried_on
    # nothing that was there came again
    [ "$(ch_sql olap "SELECT count() = count(DISTINCT note) FROM log" state)" = 1 ]
}

@test "ClickHouse, killed with its workers at different positions: goes on" {
    ch_go_on ch-killed 2
    ch_carried_on
}

@test "ClickHouse, stopped: goes on with three workers" {
    ch_go_on ch-clean 3
    ch_carried_on
}
