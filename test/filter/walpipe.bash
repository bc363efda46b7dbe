# shellcheck shell=bash
# walpipe.bash: the tests of walpipe share it: walpipe with stand-ins (walpipe_standin.sh) in the place of the pipeline's programs.

setup() {
    here=$BATS_TEST_DIRNAME
    source "$here/../lib/servers.bash"
    walpipe=$WALPIPE_BIN/walpipe
    conf=$SCRATCH/walpipe.conf
    programs=$SCRATCH/bin
    mkdir "$programs"
    for name in ackd pg-wal-read pg-table-read pgout-decode route sink-pg sink-ch; do
        ln -s "$here/walpipe_standin.sh" "$programs/$name"
    done
    write_conf
}

teardown() {
    servers_end
}

write_conf() {
    cat >"$conf" <<EOF
[pipeline]
name = t
state_dir = $SCRATCH/state
copy = no
log_level = debug
[source]
conninfo = host=/nowhere dbname='my shop' password=quellgeheim
slot = s
publication = p
[sink a]
type = pg
conninfo = host=/nowhere user=u password=zielgeheim
shards = 2
tables = public.*, !public.audit
[sink b]
type = exec
command = ${1:-exec $programs/sink-pg}
EOF
}

# start [NAME=VALUE ...]: walpipe run in the background as a group of its own, with the stand-ins
# and with the words in run_options.
run_options=()
start() {
    env WALPIPE_LIBEXEC="$programs" "$@" \
        setsid "$walpipe" run -c "$conf" "${run_options[@]}" >"$SCRATCH/out" 2>"$SCRATCH/log" 3>&- &
    run_pid=$!
    kill_later "$run_pid"
}

# settings NAME=VALUE ...: for the stand-ins.
settings() {
    printf '%s\n' "$@" >"$SCRATCH/settings"
}

# started [TIMES]: all seven programs have been, so often.
started() {
    [ "$(cat "$SCRATCH"/started.* 2>/dev/null | wc -l)" -eq $((7 * ${1:-1})) ]
}

logged() {
    grep -q -- "$1" "$SCRATCH/log"
}

# ends CODE: walpipe ends with it.
ends() {
    local code=0
    wait_until 10 process_gone "$run_pid"
    wait "$run_pid" || code=$?
    [ "$code" -eq "$1" ] || {
        cat "$SCRATCH/log"
        echo "exit code $code, expected $1"
        return 1
    }
}

pid_of() {
    cut -d ' ' -f 1 "$SCRATCH/started.$1" | tail -n 1
}
