#!/usr/bin/env bats
# A detach and a resume of a detached sink are killed at each step. The sink then follows, or it is left out,
# shown so, and comes back only by a copy of all its tables.

bats_require_minimum_version 1.5.0

load detach

# The target of a sink says that the sink begins anew, and that all tables are copied again.
begun_anew() { # SINK
    if [ "$1" = olap ]; then
        [ "$(ch_sql ch "SELECT count() FROM walpipe_progress WHERE sink = 'olap' AND shards > 0" "$db")" -eq 0 ]
    else
        [ "$(pg_sql dst "SELECT bool_and(lsn = '0/0') AND (SELECT bool_and(state = 'resync') FROM walpipe.tables WHERE relid <> 0)
            FROM walpipe.progress" "$(target_of "$1")")" = t ]
    fi
}

detach() { # SINK ...
    local sink
    for sink; do
        pause_sink "$sink"
    done
    wal_grows 6
    wait_until 60 are_detached "$@"
}

unheard() {
    pg_sql src "DELETE FROM t WHERE id % 100 = ${1:-7}; UPDATE t SET v = 'unheard' WHERE id % 50 = ${1:-7}" "$db"
    moves_on dst
}

is_back() { # SINK
    [ "$(state_of "$1")" = ok ]
}

ends_equal() {
    wait_until 60 all_streaming
    caught_up "$conf" src "$db"
    all_equal
    pipeline_stop "$conf"
}

@test "the file alone decides, whoever was killed around it" {
    local sink
    pipeline_start "$conf"
    wait_until 60 all_streaming
    # ackd has written it, and all are killed before a run has left out the sinks: nothing was confirmed without them
    pause_sink three
    pause_sink olap
    for sink in three olap; do
        printf 'since=%s\nlsn=%s\nwhy=killed\n' "$(date +%s)" "$(confirmed)" >"$dir/state/detached.$sink"
    done
    pipeline_kill "$conf"
    unheard_at=$(confirmed)
    pipeline_start "$conf"
    are_detached three olap
    unheard
    has_moved "$unheard_at"
    # the files are lost: the targets are behind the slot, and are detached again
    pipeline_kill "$conf"
    rm "$dir"/state/{detached,paused}.*
    pipeline_start "$conf"
    wait_until 60 are_detached three olap
    logged "the source has removed changes that its target lacks"
    # the resume was killed when the targets knew, and before the files were gone
    for sink in three olap; do
        cp "$dir/state/detached.$sink" "$dir/kept.$sink"
        resume_sink "$sink"
        cp "$dir/kept.$sink" "$dir/state/detached.$sink"
    done
    pipeline_kill "$conf"
    pipeline_start "$conf"
    are_detached three olap
    unheard 8
    for sink in three olap; do
        resume_sink "$sink"
    done
    ends_equal
}

# The program that the command has started, when it waits.
helper() { # PROGRAM
    pgrep -P "$(pgrep -P "$command" -x walpipe)" -x "$1"
}

# Kills it, and the command ends with 111.
helper_is_killed() { # PROGRAM
    kill -KILL "$(helper "$1")"
    wait_until 20 test -s "$dir/code"
    cat "$dir/output"
    [ "$(cat "$dir/code")" -ne 0 ]
}

begin_resume() { # SINK
    rm -f "$dir/code"
    (
        code=0
        walpipe resume --sink "$1" >"$dir/output" 2>&1 || code=$?
        echo "$code" >"$dir/code"
    ) 3>&- &
    command=$!
}

positions() {
    pg_sql dst "SELECT string_agg(lsn || ' ' || epoch, ',' ORDER BY shard) || (SELECT string_agg(DISTINCT state, ',') FROM walpipe.tables WHERE relid <> 0)
        FROM walpipe.progress" "${db}_three"
}

waits_for_lock() {
    [ "$(pg_sql dst "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'walpipe sink-pg --attach' AND wait_event_type = 'Lock'")" -eq 1 ]
}

@test "the program that tells the target is killed in the middle, and the sink stays detached" {
    local before locker
    pipeline_start "$conf"
    wait_until 60 all_streaming
    load_begin
    detach three olap
    unheard
    # PostgreSQL: the position is changed, the notes are not
    before=$(positions)
    pg_sql dst "BEGIN; LOCK TABLE walpipe.tables; SELECT pg_sleep(120)" "${db}_three" >/dev/null 2>&1 3>&- &
    locker=$!
    wait_until 10 eval "[ \"\$(pg_sql dst \"SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'walpipe.tables'::regclass\" ${db}_three)\" -eq 1 ]"
    begin_resume three
    wait_until 20 waits_for_lock
    helper_is_killed sink-pg
    pg_sql dst "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(120)%' AND pid <> pg_backend_pid()"
    wait "$locker" || true
    wait_until 20 eval '[ "$(positions)" = "$before" ]'
    are_detached three
    # ClickHouse: the notes are written, the position is not deleted yet
    ch_sql ch "SYSTEM STOP MERGES" "$db"
    begin_resume olap
    wait_until 20 eval '[ "$(ch_sql ch "SELECT count() FROM walpipe_tables FINAL WHERE relid > 0 AND state = '\''resync'\''" "$db")" -gt 0 ]'
    wait_until 20 helper sink-ch
    wait_until 20 eval '[ "$(ch_sql ch "SELECT count() FROM system.mutations WHERE database = '\''$db'\'' AND NOT is_done")" -gt 0 ]'
    helper_is_killed sink-ch
    run ! begun_anew olap
    pipeline_kill "$conf"
    pipeline_start "$conf"
    are_detached three olap
    unheard 8
    ch_sql ch "SYSTEM START MERGES" "$db"
    resume_sink three
    resume_sink olap
    load_end
    ends_equal
}

@test "walpipe run and the commands are killed at any moment of detaches and resumes, and all are equal" {
    local n=0 delay sink
    pipeline_start "$conf"
    wait_until 60 all_streaming
    load_begin
    for delay in 0.2 1.2 0.7 2.0; do
        n=$((n + 1))
        sink=$([ $((n % 2)) -eq 1 ] && echo three || echo olap)
        detach "$sink"
        unheard "$n"
        (walpipe resume --sink "$sink" >"$dir/output" 2>&1 || true) 3>&- &
        command=$!
        sleep "$delay"
        pipeline_kill "$conf"
        [ $((n % 3)) -ne 0 ] || pkill -KILL -P "$command" -x walpipe || true
        wait "$command" || true
        pipeline_start "$conf"
        if [ -e "$dir/state/detached.$sink" ]; then
            are_detached "$sink"
            resume_sink "$sink"
        fi
        wait_until 60 is_back "$sink"
    done
    load_end
    ends_equal
}

@test "a target that knows that the sink begins anew may be started by anybody, at any time" {
    local sink
    pipeline_start "$conf"
    wait_until 60 all_streaming
    detach three olap
    unheard
    pipeline_stop "$conf"
    for sink in three olap; do
        cp "$dir/state/detached.$sink" "$dir/kept.$sink"
        resume_sink "$sink"
        [[ $output == *"runs again from the next start on"* ]]
        begun_anew "$sink"
        cp "$dir/kept.$sink" "$dir/state/detached.$sink"
    done
    pipeline_start "$conf"
    unheard 8
    pipeline_stop "$conf"
    # the slot has moved since then, and the files are lost
    rm "$dir"/state/{detached,paused}.* || true
    pipeline_start "$conf"
    ends_equal
}
