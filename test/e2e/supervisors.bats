#!/usr/bin/env bats
# The pipeline under s6, supervisord and systemd (scripts/s6, scripts/supervisor, scripts/systemd):
# it replicates, comes back when a program is killed, drains when it is stopped.

bats_require_minimum_version 1.5.0

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    dir=$SCRATCH/pipeline
    state=$SCRATCH/state
    mkdir -m 700 "$state"
    pg_new src
    pg_new dst
    for server in src dst; do
        pg_sql $server "CREATE TABLE t (id int PRIMARY KEY)"
    done
    pg_sql src "CREATE PUBLICATION orders FOR ALL TABLES"
    http=127.0.0.1:$(port_new)
    # The leak check at a program's end stops it by ptrace. s6 sends SIGCONT after SIGTERM, which
    # takes that stop back, and the check waits for ever.
    ASAN_OPTIONS+=:detect_leaks=0
}

teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 40 "$SCRATCH/log" 2>/dev/null
    servers_end
}

arrived() {
    [ "$(pg_sql dst "SELECT count(*) FROM t")" -eq "$1" ]
}

insert() {
    pg_sql src "INSERT INTO t SELECT generate_series($1, $2)"
}

# The pid of a program of this pipeline.
program() {
    pgrep -f "^$1 .*$state"
}

# replicates_and_survives: also when a stage in the middle and ackd are killed.
replicates_and_survives() {
    wait_until 30 grep "all 1 workers are registered" "$SCRATCH/log"
    insert 1 100
    wait_until 30 arrived 100
    kill -9 "$(program route)"
    insert 101 200
    wait_until 40 arrived 200
    kill -9 "$(program ackd)"
    insert 201 300
    wait_until 40 arrived 300
}

# drained: the pipeline has ended, and the slot knows all that the target has.
drained() {
    run ! pgrep -f "^[^ ]* .*$state"
    [ "$(pg_sql src "SELECT active FROM pg_replication_slots")" = f ]
    grep "drained: every worker has finished" "$SCRATCH/log"
}

@test "s6: replicates, survives kills, drains at s6-svscanctl -t" {
    type -P s6-svscan || skip "s6 is not installed"
    cp -r "$WALPIPE_ROOT/scripts/s6" "$dir"
    sed -i "s,^PATH=.*,PATH=$WALPIPE_BIN:\$PATH,; s,^STATE=.*,STATE=$state,; s,^HTTP=.*,HTTP=$http,
        s,^SOURCE=.*,SOURCE='$(pg_conninfo src)',; s,^TARGET=.*,TARGET='$(pg_conninfo dst)'," \
        "$dir/pipeline.sh"
    s6-svscan "$dir" >"$SCRATCH/log" 2>&1 3>&- &
    local pid=$!
    kill_later "$pid"
    replicates_and_survives
    # the bug was that nobody counted restarts
    curl -sf --noproxy '*' "http://$http/metrics" | tee /dev/stderr |
        grep -E '^replicator_restarts_total\{pipeline="orders"\} ([2-9]|[1-9][0-9])$'
    insert 301 5000
    s6-svscanctl -t "$dir"
    wait_until 30 process_gone "$pid"
    drained
}

@test "s6: what only a person can mend is not started again" {
    type -P s6-svscan || skip "s6 is not installed"
    cp -r "$WALPIPE_ROOT/scripts/s6" "$dir"
    sed -i "s,^PATH=.*,PATH=$WALPIPE_BIN:\$PATH,; s,^STATE=.*,STATE=$state,; s,^HTTP=.*,HTTP=$http,
        s,^SOURCE=.*,SOURCE='$(pg_conninfo src)',; s,^TARGET=.*,TARGET='$(pg_conninfo dst)',
        s,^PUBLICATION=.*,PUBLICATION=missing," "$dir/pipeline.sh"
    s6-svscan "$dir" >"$SCRATCH/log" 2>&1 3>&- &
    local pid=$!
    kill_later "$pid"
    wait_until 20 eval "s6-svstat $dir/pg-wal-read | grep '^down (exitcode 100)'"
    # the bug was that the others ignored SIGTERM while they waited for their input
    for service in pgout-decode route sink-dst-0; do
        wait_until 20 eval "s6-svstat -o up,updownfor $dir/$service | grep '^true [1-9]'"
    done
    s6-svscanctl -t "$dir"
    wait_until 30 process_gone "$pid"
    [ "$(grep -c 'publication .*missing.* does not exist' "$SCRATCH/log")" -eq 1 ]
}

# supervisord_start FILE: with these programs; sets supervisord_pid.
supervisord_start() {
    cat - "$1" >"$SCRATCH/supervisord.conf" <<EOF
[supervisord]
logfile = $SCRATCH/supervisord.log
pidfile = $SCRATCH/supervisord.pid
childlogdir = $SCRATCH
environment = PATH="$WALPIPE_BIN:%(ENV_PATH)s"
[unix_http_server]
file = $SCRATCH/supervisor.sock
chmod = 0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix://$SCRATCH/supervisor.sock
EOF
    supervisord -n -c "$SCRATCH/supervisord.conf" >/dev/null 2>&1 3>&- &
    supervisord_pid=$!
    kill_later "$supervisord_pid"
}

@test "supervisord: replicates, survives kills, drains at supervisorctl stop" {
    type -P supervisord || skip "supervisord is not installed"
    sed "s,/var/lib/walpipe/orders,$state,g; s,127.0.0.1:9187,$http,
            s,'host=db1[^']*','$(pg_conninfo src)',; s,'host=db3[^']*','$(pg_conninfo dst)',
            s,^priority.*,&\nstderr_logfile = $SCRATCH/log\nstderr_logfile_maxbytes = 0," \
        "$WALPIPE_ROOT/scripts/supervisor/walpipe.conf" >"$SCRATCH/part"
    PATH=$WALPIPE_BIN:$PATH supervisord_start "$SCRATCH/part"
    replicates_and_survives
    insert 301 5000
    supervisorctl -c "$SCRATCH/supervisord.conf" stop 'walpipe-orders:*'
    drained
    kill "$supervisord_pid"
    wait_until 10 process_gone "$supervisord_pid"
}

config() {
    cat >"$SCRATCH/orders.conf" <<EOF
[pipeline]
name = orders
state_dir = $state
copy = no
[source]
conninfo = $(pg_conninfo src)
slot = orders
publication = orders
[sink dst]
type = pg
conninfo = $(pg_conninfo dst)
EOF
}

# listens NAME: what is sent to the notification socket NAME goes to $SCRATCH/notified.
listens() {
    python3 "$BATS_TEST_DIRNAME/../lib/notify_socket.py" "$1" >"$SCRATCH/notified" 3>&- &
    kill_later $!
    wait_until 10 grep -q " $1\$" /proc/net/unix
}

@test "systemd: hears of the start, signs of life, a failure and the drain" {
    config
    local name
    for name in "$SCRATCH/notify" "@walpipe-test-$$"; do
        listens "$name"
        NOTIFY_SOCKET=$name WATCHDOG_USEC=400000 "$WALPIPE_BIN/walpipe" run \
            -c "$SCRATCH/orders.conf" >>"$SCRATCH/log" 2>&1 3>&- &
        local pid=$!
        kill_later "$pid"
        wait_until 10 grep '^READY=1; STATUS=' "$SCRATCH/notified"
        # half of the watchdog's time lies between two signs of life
        wait_until 10 eval '[ "$(grep -c "^WATCHDOG=1$" "$SCRATCH/notified")" -ge 5 ]'
        [ -z "$(tr '\0' '\n' <"/proc/$(pgrep -P "$pid" -x route)/environ" | grep -E 'NOTIFY|WATCHDOG')" ]
        kill -9 "$(pgrep -P "$pid" -x route)"
        wait_until 10 grep '^STATUS=route: route (pid .*) was killed by signal 9' "$SCRATCH/notified"
        wait_until 10 eval '[ "$(grep -c "^READY=1" "$SCRATCH/notified")" -eq 2 ]'
        kill "$pid"
        wait_until 10 process_gone "$pid"
        wait_until 10 grep '^STOPPING=1; STATUS=' "$SCRATCH/notified"
    done
}

@test "systemd: a watchdog for another process, and a socket that nobody has, change nothing" {
    config
    listens "$SCRATCH/notify"
    NOTIFY_SOCKET=$SCRATCH/notify WATCHDOG_USEC=1000 WATCHDOG_PID=1 "$WALPIPE_BIN/walpipe" run \
        -c "$SCRATCH/orders.conf" >"$SCRATCH/log" 2>&1 3>&- &
    local pid=$!
    kill_later "$pid"
    wait_until 10 grep "all 1 workers are registered" "$SCRATCH/log"
    kill "$pid"
    wait_until 10 process_gone "$pid"
    wait_until 10 grep -q '^STOPPING=1' "$SCRATCH/notified"
    [ "$(cut -d ';' -f 1 "$SCRATCH/notified" | paste -s)" = "READY=1"$'\t'"STOPPING=1" ]

    NOTIFY_SOCKET=$SCRATCH/nobody "$WALPIPE_BIN/walpipe" run -c "$SCRATCH/orders.conf" \
        >"$SCRATCH/log" 2>&1 3>&- &
    pid=$!
    kill_later "$pid"
    insert 1 100
    wait_until 30 arrived 100
    kill "$pid"
    wait "$pid"
}

@test "systemd: the unit is well formed, and its exposure is below 2" {
    type -P systemd-analyze || skip "systemd is not installed"
    make -s -C "$WALPIPE_ROOT" install-files DESTDIR="$SCRATCH/root" PREFIX=/opt/walpipe
    local unit=$SCRATCH/root/opt/walpipe/lib/systemd/system/walpipe@.service
    grep '^ExecStart=/opt/walpipe/bin/walpipe run -c /etc/walpipe/%i.conf$' "$unit"
    sed "s,/opt/walpipe/bin,$WALPIPE_BIN,; /^Documentation/d" "$unit" >"$SCRATCH/walpipe@.service"
    run -0 systemd-analyze verify --man=no "$SCRATCH/walpipe@.service"
    [ -z "$output" ]
    systemd-analyze security --offline=true --threshold=20 "$unit"
}

@test "s6: walpipe run writes its newline when the programs run" {
    type -P s6-svscan || skip "s6 is not installed"
    config
    mkdir -p "$dir/walpipe"
    echo 5 >"$dir/walpipe/notification-fd"
    printf '#!/bin/sh\nexec 2>>%s\nexec %s run -c %s --ready-fd 5\n' "$SCRATCH/log" \
        "$WALPIPE_BIN/walpipe" "$SCRATCH/orders.conf" >"$dir/walpipe/run"
    chmod +x "$dir/walpipe/run"
    s6-svscan "$dir" >"$SCRATCH/scan" 2>&1 3>&- &
    local pid=$!
    kill_later "$pid"
    wait_until 10 s6-svok "$dir/walpipe"
    s6-svwait -U -t 10000 "$dir/walpipe"
    grep "started the pipeline" "$SCRATCH/log"
    wait_until 30 grep "all 1 workers are registered" "$SCRATCH/log"
    s6-svscanctl -t "$dir"
    wait_until 30 process_gone "$pid"
    drained
}

# Kills walpipe itself, which the supervisor starts again.
survives_as_one() {
    wait_until 30 grep "all 1 workers are registered" "$SCRATCH/log"
    insert 1 100
    wait_until 30 arrived 100
    kill -9 "$(program "$WALPIPE_BIN/walpipe run")"
    insert 101 200
    wait_until 40 arrived 200
}

# run_example FILE: with this pipeline's paths, and without the user walpipe, who is not there.
run_example() {
    sed -i "s,/etc/walpipe/orders.conf,$SCRATCH/orders.conf --set pipeline.state_dir=$state,
        s,\\(/usr/bin/\\)\\?walpipe run,$WALPIPE_BIN/walpipe run,; s/^user = .*//; s/s6-setuidgid walpipe //
        s,-o walpipe -g walpipe ,,; s,/var/log/walpipe-orders,$SCRATCH/logs,; s,$SCRATCH/logs.log,$SCRATCH/log," "$1"
}

@test "s6: walpipe run as one service is ready, survives a kill, drains, and stays down after 100" {
    type -P s6-svscan || skip "s6 is not installed"
    config
    cp -r "$WALPIPE_ROOT/scripts/s6-run" "$dir"
    run_example "$dir/walpipe-orders/run"
    run_example "$dir/walpipe-orders/log/run"
    s6-svscan "$dir" >"$SCRATCH/scan" 2>&1 3>&- &
    local pid=$!
    kill_later "$pid"
    wait_until 10 s6-svok "$dir/walpipe-orders"
    s6-svwait -U -t 20000 "$dir/walpipe-orders"
    ln -s logs/current "$SCRATCH/log"
    survives_as_one
    s6-svc -wD -T 60000 -d "$dir/walpipe-orders"
    drained
    sed -i 's/^publication = .*/publication = missing/' "$SCRATCH/orders.conf"
    s6-svc -u "$dir/walpipe-orders"
    wait_until 30 eval "s6-svstat $dir/walpipe-orders | grep '^down (exitcode 100)'"
    s6-svscanctl -t "$dir"
    wait_until 30 process_gone "$pid"
}

@test "supervisord: walpipe run as one program survives a kill, drains, and is not started again after 100" {
    type -P supervisord || skip "supervisord is not installed"
    config
    cp "$WALPIPE_ROOT/scripts/supervisor/walpipe-run.conf" "$SCRATCH/part"
    run_example "$SCRATCH/part"
    supervisord_start "$SCRATCH/part"
    survives_as_one
    supervisorctl -c "$SCRATCH/supervisord.conf" stop walpipe-orders
    drained
    sed -i 's/^publication = .*/publication = missing/' "$SCRATCH/orders.conf"
    supervisorctl -c "$SCRATCH/supervisord.conf" start walpipe-orders || true
    wait_until 30 eval "supervisorctl -c '$SCRATCH/supervisord.conf' status | grep EXITED"
    grep 'publication .*missing.* does not exist' "$SCRATCH/log"
    kill "$supervisord_pid"
    wait_until 10 process_gone "$supervisord_pid"
}

@test "walpipe run --ready-fd: a descriptor that is not open is refused" {
    config
    run -100 "$WALPIPE_BIN/walpipe" run -c "$SCRATCH/orders.conf" --ready-fd 9 9>&-
    [[ $output == *"option --ready-fd: descriptor 9 is not open"* ]]
    run -100 "$WALPIPE_BIN/walpipe" check -c "$SCRATCH/orders.conf" --ready-fd 2
    run -100 "$WALPIPE_BIN/walpipe" check -c "$SCRATCH/orders.conf" --ready-fd 5 5>&2
    [[ $output == *"option --ready-fd is only for walpipe run"* ]]
}
