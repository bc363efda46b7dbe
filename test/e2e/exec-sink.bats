#!/usr/bin/env bats
# scripts/example-sink.py as an exec sink of `walpipe run` on a real PostgreSQL: what the manual
# shows to those who write a sink of their own must work.

setup_file() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src wal_sender_timeout=4s
}

setup() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    T=$BATS_TEST_TMPDIR
    db=x$BATS_TEST_NUMBER
    run_pid=
    pg_sql src "CREATE DATABASE $db"
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
         CREATE TABLE u (a int, b text); CREATE PUBLICATION p FOR TABLE t, u"
    config "exec /usr/bin/python3 $WALPIPE_ROOT/scripts/example-sink.py $T/audit.json"
}

teardown() {
    [ -z "$run_pid" ] || end_process "$run_pid" KILL 5
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 30 "$T/log" "$T/audit.json"
}

teardown_file() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

sql() {
    pg_sql src "$1" "$db"
}

config() {
    cat >"$T/conf" <<CONF
[pipeline]
name = $db
state_dir = $T/state
copy = no
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
create_slot = yes
[sink audit]
type = exec
command = $1
${2:-}
CONF
}

start() {
    "$WALPIPE_BIN/walpipe" run -c "$T/conf" 2>>"$T/log" >&2 3>&- &
    run_pid=$!
    kill_later "$run_pid"
    wait_until 20 slot_is t
}

slot_is() {
    [ "$(sql "SELECT active FROM pg_replication_slots WHERE slot_name = '$db'")" = "$1" ]
}

# ends CODE: the run ends with it by itself, or did.
ends() {
    local status=0
    wait_until 20 process_gone "$run_pid"
    wait "$run_pid" || status=$?
    run_pid=
    [ "$status" -eq "$1" ]
}

drain() {
    kill -TERM "$run_pid"
    ends 0
}

# has N: the file holds N whole changes
has() {
    [ -e "$T/audit.json" ] && [ "$(jq '.changes[].op' "$T/audit.json" 2>/dev/null | wc -l)" -ge "$1" ]
}

confirmed_past() {
    [ "$(sql "SELECT confirmed_flush_lsn >= '$1' FROM pg_replication_slots WHERE slot_name = '$db'")" = t ]
}

sink_pid() {
    pgrep -f "^/usr/bin/python3 .*example-sink.py $T/audit.json\$"
}

@test "changes arrive, the slot follows, SIGTERM drains" {
    start
    sql "INSERT INTO t VALUES (1, 'ü \"q\"', repeat('x', 3000)), (2, NULL, '')"
    sql "BEGIN; UPDATE t SET v = 'b' WHERE id = 1; UPDATE t SET id = 3 WHERE id = 2; DELETE FROM t WHERE id = 3; COMMIT"
    sql "INSERT INTO u VALUES (1, 'u')"
    sql "TRUNCATE t, u"
    lsn=$(sql "SELECT pg_current_wal_lsn()")
    wait_until 20 has 7
    wait_until 10 confirmed_past "$lsn"
    drain
    jq -s . "$T/audit.json" >"$T/all"
    jq -e '[.[].changes[] | .op] == ["insert", "insert", "update", "update", "delete", "insert", "truncate"]' "$T/all"
    jq -e '[.[].changes | length] == [2, 3, 1, 1]' "$T/all"
    jq -e '.[0].changes[0].new | .id == "1" and .v == "ü \"q\"" and (.big | length) == 3000' "$T/all"
    jq -e '.[0].changes[1].new == {"id": "2", "v": null, "big": ""}' "$T/all"
    jq -e '.[1].changes[0] == {"op": "update", "table": "public.t", "new": {"id": "1", "v": "b"}}' "$T/all"
    jq -e '.[1].changes[1] | .old == {"id": "2"} and .new.id == "3"' "$T/all"
    jq -e '.[1].changes[2] | .old == {"id": "3"}' "$T/all"
    jq -e '.[3].changes[0].table | sort == ["public.t", "public.u"]' "$T/all"
    jq -e 'all(has("end_lsn")) and all(.time | startswith("20")) and ([.[].xid] | . == sort)' "$T/all"
}

@test "an idle publication: the slot follows other tables' WAL, and a restart is not refused" {
    start
    sql "INSERT INTO t VALUES (1)"
    wait_until 20 has 1
    sql "CREATE TABLE other AS SELECT generate_series(1, 1000)"
    lsn=$(sql "SELECT pg_current_wal_lsn()")
    wait_until 20 confirmed_past "$lsn"
    drain
    start
    sql "INSERT INTO t VALUES (2)"
    wait_until 20 has 2
    drain
    jq -se '[.[].changes[].new.id] == ["1", "2"]' "$T/audit.json"
}

@test "kill -9 of the sink: the unit starts again, every transaction is there once and in order" {
    start
    for n in $(seq 1 400); do
        echo "BEGIN; INSERT INTO t VALUES ($((2 * n)), repeat('v', 200)), ($((2 * n + 1)), ''); COMMIT;"
    done >"$T/load"
    for round in 1 2 3; do
        sed "s/VALUES (\([0-9]*\),/VALUES (\1 + ${round}000,/; s/, (\([0-9]*\),/, (\1 + ${round}000,/" "$T/load" |
            psql -XAtq -d "$(pg_conninfo src "$db")" 3>&- &
        load=$!
        wait_until 30 has $(((round - 1) * 800 + 50))
        pid=$(sink_pid)
        kill -KILL "$pid"
        wait "$load"
        wait_until 60 has $((round * 800))
        [ "$(sink_pid)" != "$pid" ]
    done
    drain
    sql "SELECT id FROM t ORDER BY id" >"$T/expected"
    jq -r '.changes[].new.id' "$T/audit.json" >"$T/ids"
    [ "$(wc -l <"$T/ids")" -eq 2400 ]
    diff "$T/expected" "$T/ids" # in the order of commit, none twice
    jq -se 'all(.changes | length == 2)' "$T/audit.json"
}

@test "a torn line of a sink that died is cut off at its start" {
    start
    sql "INSERT INTO t VALUES (1)"
    wait_until 20 has 1
    drain
    printf '{"commit_lsn": "0/1", "changes": [{"op": "ins' >>"$T/audit.json"
    start
    sql "INSERT INTO t VALUES (2)"
    wait_until 20 has 2
    drain
    jq -se '[.[].changes[].new.id] == ["1", "2"]' "$T/audit.json"
}

@test "a state that only a person can mend: exit 100, the sink's words, no restart" {
    start
    sql "INSERT INTO t VALUES (1)"
    wait_until 20 has 1
    drain
    : >"$T/audit.json"
    "$WALPIPE_BIN/walpipe" run -c "$T/conf" 2>>"$T/log" >&2 3>&- &
    run_pid=$!
    ends 100
    grep -q "audit.json is shorter than" "$T/log"
    config "exec /usr/bin/python3 $WALPIPE_ROOT/scripts/example-sink.py $T/b.json" "shards = 2"
    "$WALPIPE_BIN/walpipe" run -c "$T/conf" 2>>"$T/log" >&2 3>&- &
    run_pid=$!
    ends 100
}

@test "ackd gone: the sink does not survive it" {
    start
    sql "INSERT INTO t VALUES (1)"
    wait_until 20 has 1
    pid=$(sink_pid)
    kill -KILL "$(pgrep -P "$run_pid" ackd)"
    wait_until 5 process_gone "$pid"
    sql "INSERT INTO t VALUES (2)"
    wait_until 30 has 2
    drain
    jq -se '[.[].changes[].new.id] == ["1", "2"]' "$T/audit.json"
}
