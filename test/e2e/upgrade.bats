#!/usr/bin/env bats
# An upgrade replaces walpipe's files while a pipeline runs: no old program meets a new one.

bats_require_minimum_version 1.5.0

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    programs=$SCRATCH/programs
    conf=$SCRATCH/walpipe.conf
    mkdir "$programs"
    cp "$WALPIPE_BIN"/* "$programs"
    pg_new src
    pg_new dst
    for server in src dst; do
        pg_sql $server "CREATE TABLE t (id int PRIMARY KEY)"
    done
    pg_sql src "CREATE PUBLICATION p FOR ALL TABLES; CREATE ROLE reader LOGIN SUPERUSER"
    cat >"$conf" <<CONF
[pipeline]
name = upgrade
state_dir = $SCRATCH/state
copy = no
[source]
conninfo = $(pg_conninfo src) user=reader
slot = upgrade
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst)
CONF
}

teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 40 "$conf.log"
    [ ! -e "$conf.pid" ] || pipeline_kill "$conf" || true
    servers_end
}

# As dpkg does it: each name gets a new file at once.
replace_programs() {
    local program
    for program in "$programs"/*; do
        cp "$program" "$program.new"
        mv "$program.new" "$program"
    done
}

# old_files: how many programs of the pipeline run from a file that is gone.
old_files() {
    local pid count=0
    for pid in $(pipeline_pid "$conf") $(pgrep -P "$(pipeline_pid "$conf")"); do
        [[ "$(readlink "/proc/$pid/exe")" != *deleted* ]] || count=$((count + 1))
    done
    echo "$count"
}

arrived() {
    [ "$(pg_sql dst "SELECT count(*) FROM t")" -eq "$1" ]
}

insert() {
    pg_sql src "INSERT INTO t SELECT generate_series($1, $2)"
}

all_are_new() {
    [ "$(old_files)" -eq 0 ]
}

@test "programs that were replaced run on, and after the next restart all are the new ones" {
    WALPIPE_BIN=$programs pipeline_start "$conf"
    local pid
    pid=$(pipeline_pid "$conf")
    insert 1 100
    wait_until 30 arrived 100
    replace_programs
    insert 101 200
    wait_until 30 arrived 200
    [ "$(old_files)" -eq 6 ]
    kill -9 "$(pgrep -P "$pid" -x sink-pg)"
    insert 201 300
    wait_until 30 arrived 300
    all_are_new
    [ "$(pipeline_pid "$conf")" -eq "$pid" ]
    grep -q "was replaced: it is started in this process's place" "$conf.log"
    # the count of restarts goes on, and SIGTERM drains as ever
    kill -9 "$(pgrep -P "$pid" -x route)"
    wait_until 30 grep -q "(restart 2)" "$conf.log"
    insert 301 400
    wait_until 30 arrived 400
    pipeline_stop "$conf"
}

@test "a login that fails after the replacement is tried again, as after any restart" {
    WALPIPE_BIN=$programs pipeline_start "$conf"
    replace_programs
    pg_sql src "ALTER ROLE reader NOLOGIN"
    kill -9 "$(pgrep -P "$(pipeline_pid "$conf")" -x route)"
    wait_until 30 all_are_new
    wait_until 30 grep -q "not permitted to log in" "$conf.log"
    pg_sql src "ALTER ROLE reader LOGIN"
    insert 1 100
    wait_until 30 arrived 100
    pipeline_stop "$conf"
}

@test "systemd's and s6's descriptors work after the replacement" {
    python3 "$WALPIPE_ROOT/test/lib/notify_socket.py" "$SCRATCH/notify" >"$SCRATCH/said" 3>&- &
    kill_later $!
    wait_until 10 test -S "$SCRATCH/notify"
    mkfifo "$SCRATCH/ready"
    cat "$SCRATCH/ready" >"$SCRATCH/newlines" 3>&- &
    NOTIFY_SOCKET=$SCRATCH/notify WATCHDOG_USEC=2000000 setsid bash -c \
        'echo $$ >"$1.pid"; "$2/walpipe" run -c "$1" --ready-fd 7 7>"$3"; echo $? >"$1.exit"' \
        pipeline "$conf" "$programs" "$SCRATCH/ready" </dev/null >>"$conf.log" 2>&1 3>&- 4>&- &
    wait_until 30 grep -q "streaming from slot" "$conf.log"
    replace_programs
    kill -9 "$(pgrep -P "$(pipeline_pid "$conf")" -x route)"
    wait_until 30 all_are_new
    insert 1 100
    wait_until 30 arrived 100
    : >"$SCRATCH/said"
    wait_until 10 grep -aq WATCHDOG "$SCRATCH/said"
    pipeline_stop "$conf"
    [ "$(wc -l <"$SCRATCH/newlines")" -eq 1 ]
}
