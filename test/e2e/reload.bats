#!/usr/bin/env bats
# walpipe reload, and SIGHUP to walpipe run: the config file is read again while the pipeline runs.

bats_require_minimum_version 1.5.0

load ../lib/copied

setup() {
    copied_setup
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

logged() {
    [ "$(grep -c -- "$1" "$conf.log")" -ge "${2:-1}" ]
}

reload() {
    run "$WALPIPE_BIN/walpipe" reload -c "$conf"
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output == "the pipeline runs with $conf now; "* ]]
}

# Transactions on t until load_end.
load_begin() {
    touch "$dir/load"
    # shellcheck disable=SC2016 # the inner shell expands them
    bash -c 'source "$1/test/lib/servers.bash"
        for ((n = $4; ; n += 50)); do
            [ -e "$3/load" ] || exit 0
            pg_sql src "INSERT INTO t SELECT g, 1 FROM generate_series($n, $n + 49) g;
                UPDATE t SET v = $n WHERE id % 401 = $n / 50 % 401; DELETE FROM t WHERE id = $n - 99" "$2" || exit 1
        done' load "$WALPIPE_ROOT" "$db" "$dir" "$(pg_sql src "SELECT max(id) + 1000 FROM t" "$db")" 3>&- &
    load_pid=$!
    kill_later "$load_pid"
}

load_end() {
    rm "$dir/load"
    wait "$load_pid"
}

add_sink() { # NAME DATABASE
    pg_sql dst "CREATE DATABASE $2"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v text)" "$2"
    cat >>"$conf" <<CONF
[sink $1]
type = pg
conninfo = $(pg_conninfo "${3:-dst}" "$2")
copy = yes
CONF
}

without_sink() { # NAME
    sed -i "/^\[sink $1\]/,\$d" "$conf"
}

equal() { # DATABASE ...
    local wanted other
    wanted=$(pg_digest src t "$db")
    for other in "$@"; do
        [ "$(pg_digest dst t "$other")" = "$wanted" ]
    done
}

streaming() { # SINK
    "$WALPIPE_BIN/walpipe" tables -c "$conf" --json |
        jq -e --arg s "$1" '[.sinks[] | select(.sink == $s) | .tables[].state] | length > 0 and all(. == "streaming")'
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
    run ! logged "are started again"
    wait_until 30 copied
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

@test "the bug was that SIGHUP ended walpipe run: a file with a mistake, or of another pipeline, changes nothing" {
    local before
    sed -i '/^copy_/d; s/^state_dir.*/&\ncopy = no/' "$conf"
    pipeline_start "$conf"
    before=$(pids)
    cp "$conf" "$dir/good"
    sed -i 's/^copy = no/copy_rate = quick/' "$conf"
    kill -HUP "$(pipeline_pid "$conf")"
    wait_until 10 logged "is not applied, and nothing has changed"
    logged "$conf:4: copy_rate = .*quick"
    # reload itself says it, too, and sends nothing
    run "$WALPIPE_BIN/walpipe" reload -c "$conf"
    [ "$status" -eq 100 ] && [[ $output == *"$conf:4: copy_rate"* ]]
    cp "$dir/good" "$conf"
    sed -i 's/^publication/publicaton/' "$conf"
    run "$WALPIPE_BIN/walpipe" reload -c "$conf"
    [ "$status" -eq 100 ] && [[ $output == *"$conf:"*": unknown key"*publicaton* ]]
    kill -HUP "$(pipeline_pid "$conf")"
    wait_until 10 logged "$conf:.*: unknown key .*publicaton"
    cp "$dir/good" "$conf"
    sed -i 's/^slot = .*/slot = another/; s/^flush_interval.*/flush_interval = 60ms/' "$conf"
    run "$WALPIPE_BIN/walpipe" reload -c "$conf"
    [ "$status" -eq 100 ] && [[ $output == *"describes another pipeline than the running one: [source] slot has changed"* ]]
    logged "is not applied, and nothing has changed" 3
    # to the programs as well, as a terminal sends it
    cp "$dir/good" "$conf"
    # shellcheck disable=SC2046 # pids
    kill -HUP $(pids) "$(pipeline_pid "$conf")"
    wait_until 10 logged "read $conf again"
    [ "$(pids)" = "$before" ]
    pg_sql src "INSERT INTO t VALUES (50000, 'new')" "$db"
    caught_up "$conf" src "$db"
    no_restart "$conf"
    pipeline_stop "$conf"
    run "$WALPIPE_BIN/walpipe" reload -c "$conf"
    [ "$status" -eq 111 ] && [[ $output == *"the pipeline does not run"* ]]
}

@test "under load a sink is added, copied and followed; then it is removed, and the other goes on" {
    local pid
    sed -i '/^copy_/d' "$conf"
    pipeline_start "$conf"
    pid=$(pipeline_pid "$conf")
    load_begin
    wait_until 60 streaming dst
    add_sink added "${db}b"
    reload
    logged "are started again, since these have changed: \[sink added\]"
    [ "$(pipeline_pid "$conf")" = "$pid" ]
    wait_until 60 streaming added
    load_end
    caught_up "$conf" src "$db"
    equal "$db" "${db}b"
    load_begin
    without_sink added
    reload
    [ "$(pgrep -P "$pid" -c -x sink-pg)" -eq 1 ]
    load_end
    caught_up "$conf" src "$db"
    equal "$db"
    run ! equal "${db}b"
    # nothing failed, and every life was drained
    run ! logged "the pipeline ended because"
    run ! logged "could not drain"
    run ! logged "restarting the pipeline in"
    pipeline_stop "$conf"
}

@test "twice in a row, while a copy runs: the last file counts; log_level and tables change" {
    local pid
    sed -i 's/^copy_rate.*/copy_rate = 5000000/' "$conf"
    pg_sql src "CREATE TABLE u (id int PRIMARY KEY)" "$db"
    sed -i 's/^flush_interval/tables = public.t\n&/' "$conf"
    pipeline_start "$conf"
    pid=$(pipeline_pid "$conf")
    load_begin
    wait_until 60 eval '[ "$(pg_sql dst "SELECT count(*) FROM t" "$db")" -gt 0 ]'
    sed -i 's/^name.*/&\nlog_level = debug/' "$conf"
    kill -HUP "$pid"
    sed -i 's/^tables.*/tables = public.t, public.none/' "$conf"
    reload
    logged "these have changed: .*\[sink dst\]"
    wait_until 20 logged '"level":"debug","program":"sink-pg"'
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    reload
    wait_until 60 streaming dst
    load_end
    caught_up "$conf" src "$db"
    equal "$db"
    [ "$(pipeline_pid "$conf")" = "$pid" ]
    pipeline_stop "$conf"
}

@test "programs that refuse the new file: the one before is taken back, and reload exits with 100" {
    local pid
    sed -i '/^copy_/d' "$conf"
    pipeline_start "$conf"
    pid=$(pipeline_pid "$conf")
    wait_until 60 streaming dst
    cp "$conf" "$dir/good"
    add_sink wrong "${db}w"
    sed -i '/sink wrong/,$s/dbname=[^ ]*/dbname=nowhere/' "$conf"
    run "$WALPIPE_BIN/walpipe" reload -c "$conf"
    echo "$output"
    [ "$status" -eq 100 ] && [[ $output == *"cannot run with the new $conf: "*nowhere* ]]
    logged "runs with its earlier content again"
    [ "$(pipeline_pid "$conf")" = "$pid" ]
    pg_sql src "INSERT INTO t VALUES (50000, 'new')" "$db"
    caught_up "$conf" src "$db"
    equal "$db"
    # a program that starts and refuses then: this table has rows already
    cp "$dir/good" "$conf"
    add_sink full "${db}f"
    pg_sql dst "INSERT INTO t VALUES (7)" "${db}f"
    run "$WALPIPE_BIN/walpipe" reload -c "$conf"
    echo "$output"
    [ "$status" -eq 100 ] && [[ $output == *"has rows already"* ]]
    cp "$dir/good" "$conf"
    pg_sql src "INSERT INTO t VALUES (50001, 'new')" "$db"
    caught_up "$conf" src "$db"
    equal "$db"
    [ "$(pipeline_pid "$conf")" = "$pid" ]
    pipeline_stop "$conf"
}

proxy() {
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/proxy.py" tell "$dir/proxy.sock" "$@"
}

# $silent: a way to dst, by which nothing is answered until `proxy dst pass`.
silent_target() {
    local port
    port=$(port_new)
    setsid /usr/bin/python3 "$WALPIPE_ROOT/test/lib/proxy.py" serve "$dir/proxy.sock" "dst=$port:$(pg_port dst)" \
        </dev/null >"$dir/proxy.log" 2>&1 3>&- &
    kill_later "$!"
    disown
    wait_until 20 test -S "$dir/proxy.sock"
    proxy dst stall
    silent="host=127.0.0.1 port=$port user=postgres"
}

@test "the bug was that a refused file took back a good one of shortly before, too" {
    local starts
    pg_sql src "TRUNCATE t" "$db"
    sed -i '/^copy_/d' "$conf"
    cp "$conf" "$dir/first"
    add_sink gone "${db}g"
    pipeline_start "$conf"
    wait_until 60 streaming gone
    cp "$dir/first" "$conf"
    reload
    pg_sql src "INSERT INTO t VALUES (1, 'not for gone')" "$db"
    caught_up "$conf" src "$db"
    add_sink wrong "${db}w"
    sed -i '/sink wrong/,$s/dbname=[^ ]*/dbname=nowhere/' "$conf"
    run -100 "$WALPIPE_BIN/walpipe" reload -c "$conf"
    [[ $output == *"cannot run with the new $conf: "*nowhere* ]]
    pg_sql src "INSERT INTO t VALUES (2, 'not for gone')" "$db"
    caught_up "$conf" src "$db"
    equal "$db"
    [ "$("$WALPIPE_BIN/walpipe" status -c "$conf" --json | jq -c '[.workers[].sink]')" = '["dst"]' ]
    # Two files that are refused, the second before the first one is: the one before both is used. The
    # first one's target is silent until then.
    cp "$conf" "$dir/wrong"
    silent_target
    sed -i "s/sink wrong/sink other/; /sink other/,\$s/^conninfo = .*/conninfo = $silent dbname=nowhere/" "$conf"
    starts=$(grep -c '"message":"started the pipeline' "$conf.log")
    kill -HUP "$(pipeline_pid "$conf")"
    wait_until 60 logged '"message":"started the pipeline' $((starts + 1))
    cp "$dir/wrong" "$conf"
    run -100 "$WALPIPE_BIN/walpipe" reload -c "$conf"
    wait_until 60 logged "runs with its earlier content again" 2
    proxy dst pass
    wait_until 60 logged "runs with its earlier content again" 3
    pg_sql src "INSERT INTO t VALUES (3, 'not for gone')" "$db"
    caught_up "$conf" src "$db"
    equal "$db"
    pipeline_stop "$conf"
}

# Changes of "t" that come while the new file is tried would be missing in "dst".
@test "a refused file that also changes which rows an old target gets is not taken back" {
    sed -i '/^copy_/d' "$conf"
    pipeline_start "$conf"
    wait_until 60 streaming dst
    sed -i '0,/^type = pg/s//type = pg\ntables = public.*, !public.late/' "$conf"
    add_sink full "${db}f"
    pg_sql dst "INSERT INTO t VALUES (7)" "${db}f"
    run "$WALPIPE_BIN/walpipe" reload -c "$conf"
    echo "$output"
    [ "$status" -ne 0 ]
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    logged "is not used again, since changes may have been confirmed.*sink dst. tables"
}

@test "a sink whose target is down is removed; SIGTERM right after SIGHUP stops the pipeline" {
    local pid
    pg_new gone
    pg_sql gone "CREATE DATABASE ${db}g"
    pg_sql gone "CREATE TABLE t (id int PRIMARY KEY, v text)" "${db}g"
    sed -i '/^copy_/d' "$conf"
    cp "$conf" "$dir/good"
    cat >>"$conf" <<CONF
[sink gone]
type = pg
conninfo = $(pg_conninfo gone "${db}g")
CONF
    pipeline_start "$conf"
    pid=$(pipeline_pid "$conf")
    wait_until 60 streaming gone
    pg_stop gone
    pg_sql src "INSERT INTO t VALUES (50000, 'new')" "$db"
    wait_until 60 eval '[ "$(pg_sql dst "SELECT count(*) FROM t WHERE id = 50000" "$db")" -eq 1 ]'
    cp "$dir/good" "$conf"
    reload
    logged "could not drain the pipeline within 10 seconds, killing: .*gone/0"
    pg_sql src "INSERT INTO t VALUES (50001, 'new')" "$db"
    caught_up "$conf" src "$db"
    equal "$db"
    [ "$(pipeline_pid "$conf")" = "$pid" ]
    sed -i 's/^name.*/&\nlog_level = warning/' "$conf"
    kill -HUP "$pid"
    kill -TERM "$pid"
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 0 ]
}
