# pipeline.bash: a whole pipeline in a test: walpipe run on a config file. Source servers.bash
# first.
#
#   pipeline_start CONFIG [VAR=VALUE ...]   walpipe run in the background, until it streams; its
#                                           log is appended to CONFIG.log
#   pipeline_begin CONFIG [VAR=VALUE ...]   the same, but it need not stream
#   pipeline_pid CONFIG
#   pipeline_stop CONFIG                    SIGTERM, and it must drain and exit 0
#   pipeline_kill CONFIG                    SIGKILL to walpipe; the kernel ends its programs
#   caught_up CONFIG SOURCE SLOT [SECONDS]  waits until all that the server SOURCE wrote is
#                                           confirmed, by sinks that run now
#   pipeline_waits CONFIG                   it waits for a slot that another one uses
#   no_restart CONFIG                       its log shows no failure that a restart has hidden

# Before the slot exists, what the source writes is nobody's: so it waits.
pipeline_start() {
    local starts
    touch "$1.log"
    starts=$(pipeline_starts "$1")
    pipeline_begin "$@"
    wait_until 30 pipeline_streams_or_gone "$1" "$starts" || return 1
    pipeline_lives "$1"
}

# Whoever sees the file of the exit status finds it complete.
pipeline_begin() {
    local config=$1 pid
    shift
    rm -f "$config.exit" "$config.pid"
    # shellcheck disable=SC2016 # the inner shell expands them
    env "$@" setsid bash -c 'echo $$ >"$1.pid"; "$2/walpipe" run -c "$1"; echo $? >"$1.code"; mv "$1.code" "$1.exit"' \
        pipeline "$config" "$WALPIPE_BIN" </dev/null >>"$config.log" 2>&1 3>&- 4>&- 5>&- &
    disown
    wait_until 30 pipeline_runs_or_gone "$config" || return 1
    ! pid=$(pipeline_pid "$config") || kill_later "$pid"
}

pipeline_runs_or_gone() {
    [ -e "$1.exit" ] || pipeline_pid "$1" >/dev/null
}

pipeline_waits() {
    "$WALPIPE_BIN/walpipe" status -c "$1" | grep -q STANDBY
}

pipeline_starts() {
    grep -c '"message":"streaming from slot' "$1.log" || true
}

pipeline_streams_or_gone() {
    [ "$(pipeline_starts "$1")" -gt "$2" ] || [ -e "$1.exit" ]
}

pipeline_lives() {
    [ -e "$1.exit" ] || return 0
    tail -n 20 "$1.log" >&2
    servers_fail "walpipe ended with exit status $(cat "$1.exit"), its log's end is above"
}

# Of walpipe itself, the child of the shell that keeps its exit status.
pipeline_pid() {
    pgrep -P "$(cat "$1.pid" 2>/dev/null || echo 0)" -x walpipe
}

pipeline_stop() {
    local pid
    pid=$(pipeline_pid "$1") || {
        servers_fail "the pipeline of $1 is gone: $(tail -n 5 "$1.log")"
        return 1
    }
    kill -TERM "$pid" && wait_until 60 test -s "$1.exit" || return 1
    [ "$(cat "$1.exit")" -eq 0 ] && return 0
    tail -n 20 "$1.log" >&2
    servers_fail "walpipe did not drain, exit status $(cat "$1.exit")"
}

pipeline_kill() {
    kill -KILL "$(pipeline_pid "$1")" && wait_until 10 test -s "$1.exit"
}

slot_reached_or_gone() {
    [ -e "$1.exit" ] && return 0
    [ "$(pg_sql "$2" "SELECT confirmed_flush_lsn >= '$4' FROM pg_replication_slots
                       WHERE slot_name = '$3'")" = t ]
}

# Where nothing was written since the last confirmation, that one says nothing of the sinks of today: they
# may not have opened yet. So a commit is written that no slot decodes, and waits for no standby.
caught_up() {
    local last
    last=$(pg_sql "$2" "SET synchronous_commit = local;
        SELECT txid_current(), pg_logical_emit_message(false, 'caught up', '') \\gset
        SELECT pg_current_wal_lsn()") || return 1
    wait_until "${4:-60}" slot_reached_or_gone "$1" "$2" "$3" "$last" && pipeline_lives "$1"
}

no_restart() {
    [ "$(pipeline_starts "$1")" -eq "$(grep -c '"message":"started the pipeline' "$1.log")" ] &&
        ! grep '"message":"the pipeline ended because' "$1.log" >&2
}
