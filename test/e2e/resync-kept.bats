#!/usr/bin/env bats
# walpipe resync of a table that one worker of a PostgreSQL sink takes and another one refuses, since
# the target has changed in between. The resync is undone, and a kill may come between the notes of that.

bats_require_minimum_version 1.5.0

load ../lib/copied

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
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
flush_interval = 50ms
shards = 2
CONF
}

# states SHARD STATE: of t's note
states() {
    [ -e "$conf.exit" ] || noted "bool_and(state = '$2')" "AND name = 't' AND shard = $1"
}

changes() {
    pg_sql src "UPDATE t SET v = '$1' WHERE k % 7 = 0; DELETE FROM t WHERE k % 100 = ${#1};
        INSERT INTO t SELECT g, 'new' FROM generate_series(10000 * ${#1}, 10000 * ${#1} + 50) AS g" "$db"
}

# Worker 1 stands still while worker 0 notes the resync. Then another table inherits from it, for which
# worker 1 refuses it.
disagree() {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 2000) AS i;
        CREATE PUBLICATION p FOR TABLE t" "$db"
    pg_sql dst "CREATE TABLE t (k int PRIMARY KEY, v text)" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 1 2
    second=$(pgrep -n -P "$(pipeline_pid "$conf")" -x sink-pg)
    kill -STOP "$second"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t >"$dir/resync" 2>&1 3>&- &
    asking=$!
    wait_until 60 states 0 resync
    changes on
    pg_sql dst "CREATE TABLE heir () INHERITS (t)" "$db"
}

is_refused() {
    local code=0
    wait "$asking" || code=$?
    cat "$dir/resync"
    [ "$code" -eq 100 ]
    grep -q 'public.t cannot be copied again' "$dir/resync"
}

@test "two workers disagree: the resync is refused and undone, and the table goes on being followed" {
    disagree
    kill -CONT "$second"
    is_refused
    wait_until 60 all_streaming 1 2
    changes two
    caught_up "$conf" src "$db"
    pipeline_lives "$conf"
    equal t
    [ "$(pg_sql dst "SELECT count(*) FROM pg_class WHERE relname ~ '^resync_'" "$db")" = 0 ]
    pipeline_stop "$conf"
    # and the next start finds no resync
    pipeline_start "$conf"
    changes three
    caught_up "$conf" src "$db"
    equal t
    pipeline_stop "$conf"
}

note_waits() {
    [ "$(pg_sql dst "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'
        AND application_name LIKE 'walpipe sink-pg%' AND datname = '$db'" postgres)" = t ]
}

@test "kill -9 between the notes of that: the start names the reason, and the resync goes on without it" {
    disagree
    coproc psql -XAtq -d "$(pg_conninfo dst "$db")" 3>&-
    echo "BEGIN; SELECT 'locked' FROM walpipe.tables WHERE name = 't' AND shard = 0 FOR UPDATE;" >&"${COPROC[1]}"
    read -r -t 20 answer <&"${COPROC[0]}"
    [ "$answer" = locked ]
    kill -CONT "$second"
    is_refused
    wait_until 60 note_waits
    pipeline_kill "$conf"
    echo '\q' >&"${COPROC[1]}"
    noted "array_agg(state ORDER BY shard) = '{resync,streaming}'" "AND name = 't'"
    run_is_refused 'public.t cannot be copied again'
    last_error | jq -e '.hint | contains("walpipe resync")'
    pg_sql dst "DROP TABLE heir" "$db"
    pipeline_start "$conf"
    changes two
    wait_until 60 all_streaming 1 2
    caught_up "$conf" src "$db"
    pipeline_lives "$conf"
    equal t
    pipeline_stop "$conf"
}
