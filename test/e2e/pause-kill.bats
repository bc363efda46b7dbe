#!/usr/bin/env bats
# walpipe pause and resume, and walpipe run, are killed at each step. A sink then runs and counts, or it
# does not run and holds the confirmed LSN.

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
    pauses_setup "k$BATS_TEST_NUMBER"
}

teardown() {
    pauses_teardown
}

# begin COMMAND SINK, in the background
begin() {
    rm -f "$dir/code"
    (
        code=0
        walpipe "$1" --sink "$2" >"$dir/output" 2>&1 || code=$?
        echo "$code" >"$dir/code"
    ) 3>&- &
    command=$!
}

# The command that begin has started, without its shell.
command_pid() {
    pgrep -P "$command" -x walpipe
}

state_of() { # SINK
    walpipe status --json 2>/dev/null | jq -r --arg s "$1" '[.workers[] | select(.sink == $s) | .state] | unique | join(" ")'
}

is_state() { # SINK STATE
    [ "$(state_of "$1")" = "$2" ]
}

# No worker of three has less than what is confirmed.
not_passed() {
    [ "$(pg_sql dst "SELECT min(lsn) >= '$(confirmed)' FROM walpipe.progress" "${db}_three")" = t ]
}

@test "a command that is killed leaves its file for the next start" {
    local file=$dir/state/paused.three
    pipeline_start "$conf"
    wait_until 60 all_streaming
    load_begin
    pause_sink three
    cp "$file" "$dir/kept"
    resume_sink three
    # pause, killed after the file is on disk, and before walpipe run is told
    cp "$dir/kept" "$file"
    wait_until 30 is_state three ok
    [[ $(walpipe status) == *"sink three is paused at the next start; walpipe pause -c $conf --sink three pauses it now"* ]]
    moves_on three
    pipeline_kill "$conf"
    pipeline_start "$conf"
    is_state three paused
    not_passed
    # resume, killed after the file is gone
    rm "$file"
    is_state three paused
    [[ $(walpipe status) == *"sink three is paused until the next start"* ]]
    moves_on dst
    not_passed
    # the way out that status names
    walpipe reload
    wait_until 30 is_state three ok
    # the same for the pause
    cp "$dir/kept" "$file"
    walpipe pause --sink three
    is_state three paused
    # a second command does no harm
    walpipe pause --sink three
    walpipe resume --sink three
    walpipe resume --sink three
    load_end
    caught_up "$conf" src "$db"
    all_equal
    pipeline_stop "$conf"
}

@test "walpipe run that is killed before it starts the programs again finds the file" {
    local run
    pipeline_start "$conf"
    wait_until 60 all_streaming
    load_begin
    # told, but dead before it could do anything
    run=$(pipeline_pid "$conf")
    kill -STOP "$run"
    begin pause three
    wait_until 10 test -e "$dir/state/paused.three"
    pipeline_kill "$conf"
    wait_until 60 test -s "$dir/code"
    [ "$(cat "$dir/code")" -eq 111 ]
    grep -q "walpipe run has ended meanwhile; the sink is paused, and the next start leaves it out" "$dir/output"
    pipeline_start "$conf"
    is_state three paused
    not_passed
    # between the two lives of the programs
    begin resume three
    wait_until 20 logged '"message":"drained: every worker' 1
    pipeline_kill "$conf"
    wait_until 60 test -s "$dir/code"
    [ ! -e "$dir/state/paused.three" ]
    pipeline_start "$conf"
    wait_until 30 is_state three ok
    # the command is killed while it waits, and walpipe run goes on with it
    begin pause three
    wait_until 10 logged "since other sinks are paused now" 2
    kill -KILL "$(command_pid)" || true
    wait_until 30 is_state three paused
    # and another command can follow at once, since the lock is gone
    resume_sink three
    load_end
    caught_up "$conf" src "$db"
    all_equal
    pipeline_stop "$conf"
}

@test "pauses and resumes with kills at any moment: nothing is confirmed that the sink lacks, and all are equal" {
    local n=0 delay verb
    pipeline_start "$conf"
    wait_until 60 all_streaming
    load_begin
    for delay in 0.02 0.3 0.1 0.6 1.0 0.2 1.4 0.05 0.8 0.4; do
        n=$((n + 1))
        verb=$([ $((n % 2)) -eq 1 ] && echo pause || echo resume)
        begin "$verb" three
        sleep "$delay"
        if [ $((n % 3)) -eq 0 ]; then
            kill -KILL "$(command_pid)" 2>/dev/null || true
        else
            pipeline_kill "$conf"
            pipeline_start "$conf"
        fi
        not_passed
        if [ -e "$dir/state/paused.three" ]; then
            wait_until 60 eval 'is_state three paused || { walpipe pause --sink three >/dev/null; false; }'
        else
            wait_until 60 eval 'is_state three ok || { walpipe resume --sink three >/dev/null; false; }'
        fi
        moves_on dst
        not_passed
        wait_until 60 test -s "$dir/code"
    done
    walpipe resume
    load_end
    caught_up "$conf" src "$db"
    all_equal
    pipeline_stop "$conf"
}
