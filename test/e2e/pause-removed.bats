#!/usr/bin/env bats
# A paused sink that the config does not have any more. The source would no longer keep the WAL for it.

bats_require_minimum_version 1.5.0

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

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    source "$BATS_TEST_DIRNAME/pauses.bash"
    pauses_setup "r$BATS_TEST_NUMBER"
}

teardown() {
    pauses_teardown
}

# remove_section NAME: of a sink. It is kept in $dir/with.
remove_section() {
    cp "$conf" "$dir/with"
    awk -v name="[sink $1]" '/^\[/ { out = $0 == name } !out' "$dir/with" >"$conf"
}

refuses_to_start() { # NAME
    local status=0
    "$WALPIPE_BIN/walpipe" run -c "$conf" >"$dir/out" 2>&1 3>&- || status=$?
    cat "$dir/out"
    [ "$status" -eq 100 ]
    grep -q "sink \\\\\"$1\\\\\" is paused, but $conf has no section for it" "$dir/out"
}

# The bug was that the slot moved on, so the resume was refused for ever.
@test "a reload and a start refuse it, and both ways out work" {
    pipeline_start "$conf"
    wait_until 60 all_streaming
    pause_sink three
    pg_sql src "DELETE FROM t WHERE id <= 10" "$db"
    remove_section three
    refused 100 "sink \\\"three\\\" is paused, but $conf has no section for it" reload
    moves_on dst
    refused 100 'FAIL  sink "three" is paused' check
    pipeline_stop "$conf"
    refuses_to_start three
    cp "$dir/with" "$conf"
    pipeline_start "$conf"
    resume_sink three
    caught_up "$conf" src "$db"
    all_equal
    # its target never gets the rest
    pause_sink three
    pipeline_stop "$conf"
    remove_section three
    refuses_to_start three
    rm "$dir/state/paused.three"
    pipeline_start "$conf"
    moves_on dst
    run walpipe check
    run ! grep 'is paused' <<<"$output"
    pipeline_stop "$conf"
}

# The bug was that it came back without the changes of the time between, and nothing told of it.
@test "an exec sink, which has no progress in a target" {
    remove_section olap
    cat >>"$conf" <<CONF
[sink audit]
type = exec
copy = no
command = exec /usr/bin/python3 $WALPIPE_ROOT/scripts/example-sink.py $dir/audit.json
CONF
    pipeline_start "$conf"
    wait_until 60 streaming dst three
    pause_sink audit
    pg_sql src "UPDATE t SET v = 'unheard' WHERE id = 17" "$db"
    remove_section audit
    refused 100 "sink \\\"audit\\\" is paused, but $conf has no section for it" reload
    pipeline_stop "$conf"
    refuses_to_start audit
    cp "$dir/with" "$conf"
    pipeline_start "$conf"
    resume_sink audit
    wait_until 60 grep -q unheard "$dir/audit.json"
    pipeline_stop "$conf"
}
