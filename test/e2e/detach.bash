# detach.bash: sinks that are given up, of pauses.bash's pipeline. `load detach` at the head of a file, which
# may define setup and teardown again behind it.
# shellcheck disable=SC1091 # paths are of the test's folder

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    pg_new dst
    ch_new ch
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

detach_setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    source "$BATS_TEST_DIRNAME/pauses.bash"
    pauses_setup "d$BATS_TEST_NUMBER"
    detachable three olap
}

setup() {
    detach_setup
}

teardown() {
    pauses_teardown
}

# detachable SINK ...: the config gets detach_after.
detachable() {
    local sink
    for sink; do
        sed -i "/^\[sink $sink\]/a detach_after = 40MB" "$conf"
    done
}

detachable_no_more() {
    sed -i '/^detach_after/d' "$conf"
}

# By so many segments of 16 MB.
wal_grows() {
    local n
    for ((n = 0; n < $1; n++)); do
        pg_sql src "SELECT pg_switch_wal() FROM pg_logical_emit_message(false, 'grow', '')"
    done
}

state_of() { # SINK
    walpipe status --json 2>/dev/null | jq -r --arg s "$1" '[.workers[] | select(.sink == $s) | .state] | unique | join(" ")'
}

are_detached() { # SINK ...
    local sink
    for sink; do
        [ "$(state_of "$sink")" = detached ] || return 1
    done
}

has_moved() { # LSN
    [ "$(pg_sql src "SELECT '$(confirmed)'::pg_lsn > '$1'")" = t ]
}

# In all places at which people look.
shows_detached() { # SINK
    local http
    http=$(grep '^http' "$conf" | cut -d' ' -f3)
    run walpipe status
    echo "$output"
    [[ $output == *"sink $1 is detached since 20"*"its tables lack changes after "*"walpipe resume -c $conf --sink $1 brings it back"* ]] || return 1
    run walpipe tables
    [[ $output == *"sink $1 is detached since 20"*"its tables lack changes after "* ]] || return 1
    walpipe tables --json | jq -e --arg s "$1" '.sinks[] | select(.sink == $s) |
        (.detached_since != "" and .paused_since == "" and .tables_streaming == 0 and all(.tables[]; .state == "detached"))' || return 1
    curl -sS "http://$http/healthz" >"$dir/healthz" || return 1
    [[ $(head -n 1 "$dir/healthz") == "degraded: sink "*" is detached, and walpipe resume --sink "*" brings it back" ]] || return 1
    grep -q "^sink $1/0: detached since 20.*: its tables lack changes" "$dir/healthz" || return 1
    curl -sS "http://$http/metrics" | grep "replicator_sink_detached{.*sink=\"$1\".*} 1" || return 1
    logged "sink $1 is detached since 20.* until walpipe resume -c $conf --sink $1 copies them again"
}

# Also tables that are not published any more.
all_copied() {
    walpipe tables --json | jq -e '[.sinks[].tables[].state] | length > 0 and all(. == "streaming" or . == "out-streaming")'
}
