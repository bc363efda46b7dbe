#!/usr/bin/env bats
# walpipe pause and resume, with walpipe run between PostgreSQL and a PostgreSQL and a ClickHouse target.

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
    pauses_setup "p$BATS_TEST_NUMBER"
}

teardown() {
    pauses_teardown
}

@test "the others go on under load while a sink is paused, also over restarts, and in the end all are equal" {
    local before at
    pipeline_start "$conf"
    wait_until 60 all_streaming
    load_begin
    pause_sink olap
    [[ $output == *"sink olap is paused, and the other sinks go on"* ]]
    [[ $output == *"without a limit (max_slot_wal_keep_size)"* ]]
    [[ $output == *"walpipe resume -c $conf --sink olap ends it"* ]]
    run ! pgrep -P "$(pipeline_pid "$conf")" -x sink-ch
    before=$(ch_digest ch t "$db" src "$db")
    at=$(walpipe status --json | jq -r .safe_lsn)
    moves_on dst
    moves_on three
    # the programs start again without it
    kill -KILL "$(pgrep -P "$(pipeline_pid "$conf")" -x pgout-decode)"
    wait_until 60 logged '"message":"streaming from slot' 3
    moves_on three
    # and so does walpipe
    pipeline_kill "$conf"
    pipeline_start "$conf"
    moves_on dst
    [ "$(ch_digest ch t "$db" src "$db")" = "$before" ]
    wait_until 30 eval '[ "$(confirmed)" = "$at" ]'
    resume_sink olap
    [[ $output == *"sink olap, paused since 20"*"Z, runs again"* ]]
    load_end
    caught_up "$conf" src "$db"
    all_equal
    pipeline_stop "$conf"
    [ ! -e "$dir/state/paused.olap" ]
}

@test "each refusal changes nothing, and its way out works" {
    refused 100 "walpipe pause needs --sink NAME" pause
    refused 100 "has no sink \\\"dust\\\"" pause --sink dust
    [ ! -e "$dir/state/paused.dust" ]
    pipeline_start "$conf"
    wait_until 60 all_streaming
    # commits on the source would wait for the paused sink
    pg_sql src "ALTER SYSTEM SET synchronous_standby_names = 'walpipe_$db, *'"
    pg_sql src "SELECT pg_reload_conf()"
    wait_until 10 eval '[ "$(pg_sql src "SELECT count(*) FROM pg_stat_replication WHERE sync_state = '\''sync'\''")" -eq 1 ]'
    refused 100 "so commits there would wait until the sink is resumed" pause --sink olap
    pg_sql src "ALTER SYSTEM RESET synchronous_standby_names"
    pg_sql src "SELECT pg_reload_conf()"
    wait_until 10 eval '[ "$(pg_sql src "SELECT count(*) FROM pg_stat_replication WHERE sync_state = '\''sync'\''")" -eq 0 ]'
    pause_sink olap
    pause_sink three
    refused 100 "is the only one that is not paused" pause --sink dst
    moves_on dst
    # a paused sink takes no resync, and a resync of all leaves it out
    refused 100 "sink \\\"olap\\\" is paused since 20" resync --sink olap --table public.t
    run walpipe resync --table public.t
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output == *"not in sink three, which is paused: run this again with --sink three after walpipe resume"* ]]
    wait_until 60 streaming dst
    # the config in force does not change by the way
    sed -i 's/^flush_interval = 100ms/flush_interval = 90ms/' "$conf"
    run walpipe resume
    [ "$status" -eq 0 ] && [[ $output == *"sink three, paused since"*"sink olap, paused since"* ]]
    run ! logged "read $conf again"
    run walpipe resume
    [ "$status" -eq 0 ] && [ "$output" = "no sink is paused" ]
    caught_up "$conf" src "$db"
    all_equal
    pipeline_stop "$conf"
}

@test "a stopped pipeline: the file alone is written and removed, and an odd one stops the start" {
    cat >>"$conf" <<<$'[sink audit]\ntype = exec\ncopy = no\ncommand = exec cat'
    pause_sink olap
    [[ $output == *"sink olap is paused: the next start leaves it out"* ]]
    [[ $output == *"at the resume, a table of sink olap that has neither a key nor a version column gets its rows"* ]]
    [[ $output == *"at the resume, sink audit gets the changes since this pause again"* ]]
    sed -i '/^\[sink audit\]/,$d' "$conf"
    [[ $(cat "$dir/state/paused.olap") == since=[0-9]*$'\nby='* ]]
    pause_sink three
    run walpipe print
    [ "$status" -eq 0 ] && [[ $output == *"--paused three="*"--paused olap="* ]]
    [ "$(grep -c -- '--to >(' <<<"$output")" -eq 1 ]
    run ! grep sink-ch <<<"$output"
    pipeline_start "$conf"
    logged "sink olap is paused since 20.* until walpipe resume -c $conf --sink olap"
    wait_until 60 streaming dst
    [ "$(ch_sql ch "SHOW TABLES" "$db")" = "" ]
    run walpipe status
    echo "$output"
    [[ $output == *"sink olap is paused since 20"*"the source keeps"*"of WAL for it"*"walpipe resume -c $conf --sink olap ends the pause"* ]]
    [ "$(walpipe status --json | jq -r '[.workers[].state] | unique | join(" ")')" = "ok paused" ]
    [[ $(walpipe tables) == *"sink olap is paused since 20"* ]]
    pipeline_stop "$conf"
    echo "since=yesterday" >"$dir/state/paused.olap"
    run walpipe run
    echo "$output"
    [ "$status" -eq 100 ] && [[ $output == *"paused.olap"*"does not have the form of a pause"* ]]
    run walpipe resume --sink olap
    [ "$status" -eq 0 ]
    rm "$dir/state/paused.three"
    printf 'since=1\nby=x\n' | tee "$dir/state/paused."{dst,three,olap} >/dev/null
    run walpipe run
    [ "$status" -eq 100 ] && [[ $output == *"every sink of $conf is paused"* ]]
    run walpipe resume
    [ "$status" -eq 0 ] && [ "$(grep -c "runs again from the next start on" <<<"$output")" -eq 3 ]
    # the paused sinks are new to the pipeline, and copy what is there
    pipeline_start "$conf"
    wait_until 60 all_streaming
    caught_up "$conf" src "$db"
    all_equal
    pipeline_stop "$conf"
}

@test "with copy = only no sink can be paused" {
    sed -i 's/^copy = yes/copy = only/' "$conf"
    refused 100 "with copy = only no sink can be paused" pause --sink olap
    printf 'since=1\nby=x\n' >"$dir/state/paused.olap"
    run walpipe run
    echo "$output"
    [ "$status" -eq 100 ] && [[ $output == *"with copy = only the pipeline would end without it"* ]]
    run walpipe resume --sink olap
    [ "$status" -eq 0 ]
    run walpipe run
    [ "$status" -eq 0 ]
    all_equal
}

@test "programs that run without walpipe run are left alone" {
    local pid
    mkdir -m 700 "$dir/state"
    "$WALPIPE_BIN/ackd" --socket "$dir/state/ackd.sock" --state "$dir/state" --sink dst=1 2>"$dir/ackd.log" 3>&- &
    pid=$!
    kill_later "$pid"
    wait_until 10 test -S "$dir/state/ackd.sock"
    refused 100 "the pipeline's programs run without walpipe run" pause --sink olap
    [ ! -e "$dir/state/paused.olap" ]
    kill -KILL "$pid"
    wait "$pid" || true
    pause_sink olap
}

@test "a sink that refuses at its resume is paused again, and the others go on" {
    local target="${db}_three"
    pipeline_start "$conf"
    wait_until 60 all_streaming
    pause_sink three
    sed -i '/^create_tables = yes/d' "$conf"
    walpipe reload
    pg_sql dst "ALTER TABLE t RENAME TO gone" "$target"
    pg_sql src "INSERT INTO t SELECT g, 'new' FROM generate_series(10000, 10100) g" "$db"
    run walpipe resume --sink three
    echo "$output"
    [ "$status" -eq 100 ] && [[ $output == *"the pipeline cannot run with sink three: "*"public.t"* ]]
    [ -e "$dir/state/paused.three" ]
    moves_on dst
    walpipe status --json | jq -e 'all(.workers[]; (.sink == "three") == (.state == "paused"))'
    logged "the sink is paused again, and the others go on"
    [ ! -e "$conf.exit" ]
    pg_sql dst "ALTER TABLE gone RENAME TO t" "$target"
    resume_sink three
    caught_up "$conf" src "$db"
    all_equal
    pipeline_stop "$conf"
}

@test "only the sink that refuses is paused again: not one that was resumed shortly before, or when another fails" {
    local target="${db}_three" before
    pipeline_start "$conf"
    wait_until 60 all_streaming
    pause_sink three
    pause_sink olap
    sed -i '/^create_tables = yes/d' "$conf"
    walpipe reload
    before=$(pg_sql src "SELECT pg_current_wal_insert_lsn()" "$db")
    pg_sql dst "ALTER TABLE t RENAME TO gone" "$target"
    pg_sql src "INSERT INTO t SELECT g, 'new' FROM generate_series(10000, 10100) g" "$db"
    moves_on dst
    run -0 walpipe skip --sink three --lsn "$before"
    [[ $output == *"the sink is paused, and skips it after walpipe resume" ]]
    resume_sink olap
    refused 100 "cannot run with sink three: " resume --sink three
    [ -e "$dir/state/paused.three" ] && [ ! -e "$dir/state/paused.olap" ]
    moves_on dst
    walpipe status --json | jq -e 'all(.workers[]; (.sink == "three") == (.state == "paused"))'
    pg_sql dst "ALTER TABLE gone RENAME TO t" "$target"
    resume_sink three
    pg_sql dst "ALTER TABLE t ADD CHECK (v <> 'bad')" "$db"
    pg_sql src "INSERT INTO t VALUES (20000, 'bad')" "$db"
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    [ -z "$(find "$dir/state" -name 'paused.*')" ]
}

@test "a sink whose target is down is paused, and its target need not be there for a start" {
    pipeline_start "$conf"
    wait_until 60 all_streaming
    ch_stop ch
    pg_sql src "INSERT INTO t SELECT g, 'new' FROM generate_series(10000, 10100) g" "$db"
    moves_on dst
    wait_until 60 eval "walpipe status --json | jq -e 'any(.workers[]; .state == \"target down\")'"
    pause_sink olap
    moves_on three
    [ "$(curl -s -o /dev/null -w '%{http_code}' "http://$(grep '^http' "$conf" | cut -d' ' -f3)/healthz")" -eq 200 ]
    pipeline_stop "$conf"
    pipeline_start "$conf"
    moves_on dst
    ch_start ch
    resume_sink olap
    caught_up "$conf" src "$db"
    all_equal
    pipeline_stop "$conf"
}
