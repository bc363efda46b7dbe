#!/usr/bin/env bats
# Secrets stay where they belong, and what is private is closed to others: traps 126, 144-147.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    local name
    for name in src dst; do
        pg_new $name log_statement=all log_connections=on
        pg_sql $name "CREATE ROLE replicator LOGIN REPLICATION PASSWORD '$name-geheim'"
        printf 'local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n' \
            >"$(pg_data $name)/pg_hba.conf"
        kill -HUP "$(pg_pid $name)"
    done
    : >"$(pg_log src)" # CREATE ROLE's own text
    : >"$(pg_log dst)"
    ch_new olap
    ch_stop olap
    sed -i 's#</users>#<writer><password>ch-geheim</password><networks><ip>127.0.0.1</ip></networks>\
<profile>default</profile><quota>default</quota></writer></users>#
        s#<profiles><default>#&<log_queries>1</log_queries>#' "$SCRATCH/olap/users.xml"
    sed -i 's#</yandex>#<query_log><database>system</database><table>query_log</table>\
<flush_interval_milliseconds>100</flush_interval_milliseconds></query_log></yandex>#' \
        "$SCRATCH/olap/config.xml"
    ch_start olap
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    walpipe=$WALPIPE_BIN/walpipe
    name=s$BATS_TEST_NUMBER
    dir=$SCRATCH/$name
    conf=$dir/conf
    mkdir "$dir"
}

teardown() {
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        tail -n 30 "$dir"/*log 2>/dev/null || true
    fi
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
    [ -z "${ackd_pid:-}" ] || end_process "$ackd_pid" KILL 5
}

# config [SOURCE-PASSWORD [TARGET-PASSWORD [CLICKHOUSE-PASSWORD]]]
config() {
    local where="host=127.0.0.1 user=replicator dbname=$name"
    port=$(port_new)
    echo "${3:-ch-geheim}" >"$dir/ch.pw"
    chmod 600 "$dir/ch.pw"
    cat >"$conf" <<CONF
[pipeline]
name = $name
state_dir = $dir/state
copy = no
http = 127.0.0.1:$port
log_level = debug
[source]
conninfo = $where port=$(pg_port src) password=${1:-src-geheim}
slot = $name
publication = p
[sink dst]
type = pg
conninfo = postgresql://replicator:${2:-dst-geheim}@127.0.0.1:$(pg_port dst)/$name
flush_interval = 50ms
[sink olap]
type = ch
url = $(ch_url olap)
database = $name
user = writer
password_file = $dir/ch.pw
create_tables = yes
flush_interval = 100ms
CONF
}

databases() {
    local server
    for server in src dst; do
        pg_sql $server "CREATE DATABASE $name OWNER replicator"
        pg_sql $server "SET ROLE replicator; CREATE TABLE t (id int PRIMARY KEY, v text)" "$name"
    done
    pg_sql src "CREATE PUBLICATION p FOR ALL TABLES" "$name"
    curl -sS --noproxy '*' -d "CREATE DATABASE $name" "$(ch_url olap)"
}

arrived() {
    [ "$(pg_sql dst 'SELECT count(*) FROM t' "$name")" = "$1" ] &&
        [ "$(ch_sql olap "SELECT count() FROM $name.t")" = "$1" ]
}

no_secret_in() {
    if grep -a -n -e geheim -e verraten -- "$@"; then
        return 1
    fi
}

# refuses TEXT COMMAND...: exit code 100, a message with TEXT, and no password in it.
refuses() {
    local text=$1
    shift
    run -100 "$@"
    echo "$output" | tee "$dir/said"
    [[ "$output" == *"$text"* ]]
    no_secret_in "$dir/said"
}

@test "no password in a command line, a log, a page, a script or a server's query log" {
    local pid n=0
    databases
    config
    pipeline_start "$conf"
    pg_sql src "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 100) g" "$name"
    wait_until 30 arrived 100
    for pid in $(pipeline_pid "$conf") $(pgrep -P "$(pipeline_pid "$conf")"); do
        no_secret_in "/proc/$pid/cmdline"
        n=$((n + 1))
    done
    [ "$n" -eq 7 ]
    "$walpipe" status -c "$conf" >"$dir/status"
    "$walpipe" status --json -c "$conf" >>"$dir/status"
    curl -sSf --noproxy '*' "http://127.0.0.1:$port/metrics" >>"$dir/status"
    curl -sSf --noproxy '*' "http://127.0.0.1:$port/healthz" >>"$dir/status"
    "$walpipe" print -c "$conf" >>"$dir/status"
    "$walpipe" check -c "$conf" >>"$dir/status" 2>&1
    grep -q replicator_lag_bytes "$dir/status"
    grep -q "conf holds a password and other users can read it" "$dir/status"
    wait_until 20 in_query_log "INSERT INTO %$name%"
    ch_sql olap "SELECT * FROM system.query_log FORMAT Vertical" >"$dir/query_log"
    grep -q "walpipe-$name-olap-0" "$dir/query_log"
    pipeline_stop "$conf"
    no_secret_in "$dir/status" "$dir/query_log" "$conf.log" "$(ch_log olap)" "$(pg_log src)" \
        "$(pg_log dst)" "$dir"/state/*
}

in_query_log() {
    [ "$(ch_sql olap "SELECT count() FROM system.query_log WHERE query LIKE '$1'")" -gt 0 ]
}

@test "a wrong password is refused without showing it" {
    databases
    config verraten1
    refuses "password authentication failed" "$walpipe" run -c "$conf"
    config src-geheim verraten2
    refuses 'sink dst: ' "$walpipe" check -c "$conf"
    grep -q 'FAIL  sink dst: .*password authentication failed' "$dir/said"
    refuses "password authentication failed" "$walpipe" run -c "$conf"
    config src-geheim dst-geheim verraten3
    refuses "FAIL  sink olap: ClickHouse" "$walpipe" check -c "$conf"
    refuses "could not ask ClickHouse for its version" "$walpipe" run -c "$conf"
    no_secret_in "$(ch_log olap)"
}

@test "a config that does not parse is refused without the password in it" {
    config
    sed -i 's/^conninfo = host/conninfo = nonsense host/' "$conf"
    refuses "not shown: it may hold a password" "$walpipe" check -c "$conf"
    config
    sed -i 's,^conninfo = postgresql:.*,conninfo = postgresql://u:geheim@[::1/x,' "$conf"
    refuses "malformed conninfo" "$walpipe" run -c "$conf"
    config
    sed -i 's,^url = .*,url = http://writer:geheim@127.0.0.1:8123,' "$conf"
    refuses "no user or password in the url" "$walpipe" run -c "$conf"
    config
    chmod 640 "$dir/ch.pw"
    refuses "is open to others (mode 0640)" "$WALPIPE_BIN/sink-ch" --check --url "$(ch_url olap)" \
        --database d --password-file "$dir/ch.pw" < <(hello)
}

hello() {
    PYTHONPATH=$BATS_TEST_DIRNAME/../lib /usr/bin/python3 -c '
import sys; from stream import *; sys.stdout.buffer.write(hello("event") + end())'
}

@test "the state directory is private: another's, an open one, a file are refused" {
    config
    mkdir -m 750 "$dir/state"
    refuses 'is open to other users (mode 0750)' "$walpipe" run -c "$conf"
    chmod 700 "$dir/state"
    if [ "$UID" -eq 0 ]; then
        chown nobody "$dir/state"
        refuses "belongs to user id $(id -u nobody)" "$walpipe" run -c "$conf"
    fi
    rmdir "$dir/state"
    : >"$dir/state"
    refuses 'is not a directory' "$walpipe" run -c "$conf"
    sed -i "s,^state_dir = .*,state_dir = /tmp/$(printf '%0120d' 1)," "$conf"
    refuses 'too long for the sockets in it' "$walpipe" run -c "$conf"
}

@test "everything in the state directory is its user's alone, and a stale socket is no obstacle" {
    databases
    config
    pipeline_start "$conf"
    [ "$(stat -c %a "$dir/state")" = 700 ]
    [ -z "$(find "$dir/state" -mindepth 1 -perm /077)" ]
    pipeline_kill "$conf"
    [ -S "$dir/state/ackd.sock" ]
    pipeline_start "$conf"
    pg_sql src "INSERT INTO t VALUES (1)" "$name"
    wait_until 30 arrived 1
    pipeline_stop "$conf"
}

# as_nobody PATH: what becomes of a connection that the user nobody makes to a Unix socket.
as_nobody() {
    setpriv --reuid nobody --regid nogroup --clear-groups /usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
try:
    s.connect(sys.argv[1])
    print("connected, then", s.recv(1) or "closed")
except OSError as e:
    print(e.strerror)' "$1"
}

@test "another user cannot talk to ackd, even where the directory lets him in" {
    [ "$UID" -eq 0 ] || skip "needs root to become another user"
    mkdir -m 700 "$dir/state"
    "$WALPIPE_BIN/ackd" --socket "$dir/state/sock" --state "$dir/state" --sink a=1 2>"$dir/log" 3>&- &
    ackd_pid=$!
    wait_until 10 test -S "$dir/state/sock"
    [ "$(as_nobody "$dir/state/sock")" = "Permission denied" ]
    chmod 755 "$dir/state"
    [ "$(as_nobody "$dir/state/sock")" = "Permission denied" ]
    chmod 666 "$dir/state/sock"
    [ "$(as_nobody "$dir/state/sock")" = "connected, then closed" ]
    grep -q "refused a connection of user id $(id -u nobody)" "$dir/log"
    process_alive "$ackd_pid"
}

seccomp_of() {
    awk '/^Seccomp:/ { print $2 }' "/proc/$(pgrep -P "$(pipeline_pid "$conf")" -x "$1")/status"
}

@test "the decoder and the router run in a sandbox; a violation is said with the program's name" {
    # The sanitizers' builds have none.
    export WALPIPE_BIN=$WALPIPE_ROOT/build/release/bin
    local victim
    databases
    config
    pipeline_start "$conf"
    wait_until 20 eval '[ "$(seccomp_of pgout-decode)" = 2 ] && [ "$(seccomp_of route)" = 2 ]'
    pg_sql src "INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 5000) g" "$name"
    wait_until 60 arrived 5000
    # or the rows come again, which ClickHouse's count shows for a while
    caught_up "$conf" src "$name"
    victim=$(pgrep -P "$(pipeline_pid "$conf")" -x route)
    kill -SYS "$victim"
    wait_until 20 grep -q "route (pid $victim) was killed by signal 31 (Bad system call)" "$conf.log"
    pg_sql src "INSERT INTO t VALUES (0)" "$name"
    wait_until 60 arrived 5001
    pipeline_stop "$conf"
    ! grep -q 'without a sandbox' "$conf.log" || false
}

@test "passwords of PostgreSQL from a file and from the environment; a changed one is read again" {
    databases
    config
    # a file for the source, a variable for the sink
    sed -i 's/ password=src-geheim//; s/:dst-geheim@/@/' "$conf"
    echo src-geheim >"$dir/src.pw"
    sed -i "/^slot/i password_file = $dir/src.pw" "$conf"
    chmod 644 "$dir/src.pw"
    refuses "is open to others (mode 0644)" "$walpipe" run -c "$conf"
    chmod 600 "$dir/src.pw"
    WALPIPE_DST_PASSWORD=dst-geheim "$walpipe" check -c "$conf"
    grep -q "PGPASSWORD=\$(cat $dir/src.pw)" < <("$walpipe" print -c "$conf")
    pipeline_start "$conf" WALPIPE_DST_PASSWORD=dst-geheim
    pg_sql src "INSERT INTO t VALUES (1)" "$name"
    wait_until 30 arrived 1
    # rotated: the file first, then the role; the walsender goes, and the next login has the new one
    echo neu-geheim >"$dir/src.pw"
    pg_sql src "ALTER ROLE replicator PASSWORD 'neu-geheim'"
    pg_sql src "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '$name'"
    pg_sql src "INSERT INTO t VALUES (2)" "$name"
    wait_until 60 arrived 2
    # a file that is gone does not stop what works
    rm "$dir/src.pw"
    kill -9 "$(pgrep -P "$(pipeline_pid "$conf")" -x route)"
    pg_sql src "INSERT INTO t VALUES (3)" "$name"
    wait_until 60 arrived 3
    grep -q "the password that was read before is used" "$conf.log"
    # the role first: the login is refused until the file follows, and nobody restarts walpipe
    pg_sql src "ALTER ROLE replicator PASSWORD 'neuer-geheim'"
    pg_sql src "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '$name'"
    wait_until 60 refused_at_source
    (umask 077 && echo neuer-geheim >"$dir/src.pw")
    pg_sql src "INSERT INTO t VALUES (4)" "$name"
    wait_until 60 arrived 4
    pg_sql src "ALTER ROLE replicator PASSWORD 'src-geheim'"
    pipeline_stop "$conf"
    sed -i '0,/^conninfo = host.*/s//& password=x/' "$conf"
    refuses "password in conninfo and a password_file" "$walpipe" run -c "$conf"
}

refused_at_source() {
    curl -sS --noproxy '*' "http://127.0.0.1:$port/healthz" | grep -q '^source: .*password authentication failed'
}

@test "the bug was that a worker went on trying the password with which it was started" {
    local worker
    databases
    config
    sed -i '/^\[sink olap\]/,$d; s/:dst-geheim@/@/' "$conf"
    echo dst-geheim >"$dir/dst.pw"
    chmod 600 "$dir/dst.pw"
    echo "password_file = $dir/dst.pw" >>"$conf"
    pipeline_start "$conf"
    caught_up "$conf" src "$name" # so that this login has worked
    worker=$(pgrep -P "$(pipeline_pid "$conf")" -x sink-pg)
    pg_sql dst "ALTER ROLE replicator PASSWORD 'neu-geheim'"
    pg_sql dst "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'replicator'"
    pg_sql src "INSERT INTO t VALUES (1)" "$name"
    wait_until 60 grep -q "the target refuses a login that worked before" "$conf.log"
    echo neu-geheim >"$dir/dst.pw"
    wait_until 60 eval '[ "$(pg_sql dst "SELECT count(*) FROM t" "$name")" = 1 ]'
    [ "$(pgrep -P "$(pipeline_pid "$conf")" -x sink-pg)" = "$worker" ]
    pipeline_stop "$conf"
    pg_sql dst "ALTER ROLE replicator PASSWORD 'dst-geheim'"
    no_secret_in "$conf.log" "$dir"/state/*
}

@test "the bug was that two sinks whose names differ by - and _ got the same password" {
    databases
    config
    sed -i 's/^\[sink dst\]/[sink a-b]/; s/^\[sink olap\]/[sink a_b]/; s/:dst-geheim@/@/' "$conf"
    "$walpipe" print -c "$conf" >/dev/null
    WALPIPE_A_B_PASSWORD=x "$walpipe" print -c "$conf" >/dev/null # one of them has a file
    sed -i '/^password_file/d' "$conf"
    WALPIPE_A_B_PASSWORD=x refuses "sink a-b and sink a_b would both get the password of WALPIPE_A_B_PASSWORD" \
        "$walpipe" check -c "$conf"
    sed -i 's/^\[sink a-b\]/[sink source]/; s/^\[sink a_b\]/[sink ch]/' "$conf"
    sed -i 's/ password=src-geheim//' "$conf"
    WALPIPE_SOURCE_PASSWORD=x refuses "the source and sink source would both get" "$walpipe" check -c "$conf"
    sed -i 's/^\[sink source\]/[sink CH]/; s/^\[sink ch\]/[sink olap]/' "$conf"
    WALPIPE_CH_PASSWORD=x refuses "sink CH and sink olap would both get the password of WALPIPE_CH_PASSWORD" \
        "$walpipe" check -c "$conf"
    # ClickHouse sinks share it
    printf '[sink ch]\ntype = ch\nurl = http://h:1\ndatabase = d\n' >>"$conf"
    sed -i '/^\[sink CH\]/,/^flush/d' "$conf"
    WALPIPE_CH_PASSWORD=x "$walpipe" print -c "$conf" >/dev/null
}

# secrets_in PROGRAM: the variables with a password that the pipeline's program has.
secrets_in() {
    tr '\0' '\n' <"/proc/$(pgrep -P "$(pipeline_pid "$conf")" -x "$1")/environ" | grep -a geheim |
        sort | paste -sd ' '
}

@test "every password from the environment; each program has only the one that it needs" {
    local variables=(WALPIPE_SOURCE_PASSWORD=src-geheim WALPIPE_DST_PASSWORD=dst-geheim
        WALPIPE_OLAP_PASSWORD=ch-geheim WALPIPE_CH_PASSWORD=not-geheim) program
    databases
    config
    sed -i 's/ password=src-geheim//; s/:dst-geheim@/@/; /^password_file/d; s/^copy = .*/copy = yes/' "$conf"
    printf '[sink own]\ntype = exec\ncopy = no\ncommand = exec /usr/bin/python3 %s %s/own\n' \
        "$BATS_TEST_DIRNAME/exec_sink.py" "$dir" >>"$conf"
    refuses "FAIL  sink olap: ClickHouse" env "${variables[@]}" WALPIPE_OLAP_PASSWORD=verraten \
        "$walpipe" check -c "$conf"
    env "${variables[@]}" "$walpipe" check -c "$conf" >"$dir/said" 2>&1
    env "${variables[@]}" "$walpipe" print -c "$conf" >>"$dir/said"
    grep -q 'WALPIPE_CH_PASSWORD=$WALPIPE_OLAP_PASSWORD sink-ch' "$dir/said"
    pipeline_start "$conf" "${variables[@]}"
    pg_sql src "INSERT INTO t VALUES (1)" "$name"
    wait_until 60 arrived 1
    env "${variables[@]}" "$walpipe" tables -c "$conf" >>"$dir/said"
    for program in ackd route pgout-decode python3; do
        [ -z "$(secrets_in $program)" ]
    done
    for program in pg-wal-read pg-table-read; do
        [ "$(secrets_in $program)" = PGPASSWORD=src-geheim ]
    done
    [ "$(secrets_in sink-pg)" = PGPASSWORD=dst-geheim ]
    [ "$(secrets_in sink-ch)" = WALPIPE_CH_PASSWORD=ch-geheim ]
    pipeline_stop "$conf"
    no_secret_in "$dir/said" "$conf.log" "$dir"/state/*
}
