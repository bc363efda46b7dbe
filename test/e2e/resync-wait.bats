#!/usr/bin/env bats
# walpipe resync --wait while the pipeline fails: it reports why the table is delayed, waits while the
# pipeline starts again, and ends when walpipe run has ended.

bats_require_minimum_version 1.5.0

load ../lib/copied

# begin: t of 10,000 rows, in state resync
begin() {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v text);
        INSERT INTO t SELECT i, repeat('x', 600) FROM generate_series(1, 10000) AS i;
        CREATE PUBLICATION p FOR TABLE t" "$db"
    pg_sql dst "CREATE TABLE t (k int PRIMARY KEY, v text)" "$db"
    write_conf yes "copy_rate = 1000000"
    pipeline_start "$conf"
    wait_until 60 all_streaming 1
    pg_sql dst "DELETE FROM t WHERE k % 10 = 0" "$db"
    pg_sql dst "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'" "$db"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t --wait >"$dir/wait" 2>&1 3>&- &
    waiter=$!
    kill_later "$waiter"
    wait_until 60 noted "bool_and(state = 'resync')"
}

waiter_says() {
    grep -q "$1" "$dir/wait" || ! kill -0 "$waiter"
}

@test "it says why the pipeline starts again, each time, and ends with 0 when the table is streaming" {
    begin
    kill -KILL "$(pgrep -o -P "$(pipeline_pid "$conf")" -x sink-pg)"
    wait_until 60 waiter_says 'still waiting; .*the pipeline starts again'
    kill -0 "$waiter"
    wait "$waiter"
    cat "$dir/wait"
    grep -q 'still waiting; sink dst' "$dir/wait"
    all_streaming 1
    caught_up "$conf" src "$db"
    equal t
    pipeline_stop "$conf"
}

# The bug was that its code was 111, and that it did not say why.
@test "it ends with 100, and says why, when the pipeline does" {
    local code=0
    begin
    pg_sql dst "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing();
        ALTER TABLE t ENABLE ALWAYS TRIGGER x" "$db"
    wait "$waiter" || code=$?
    cat "$dir/wait"
    [ "$code" -eq 100 ]
    grep -q 'walpipe run has ended before the table was copied: .*triggers' "$dir/wait"
    ends 100
}

@test "it ends with 111 when the pipeline was stopped" {
    local code=0
    begin
    pipeline_stop "$conf"
    wait "$waiter" || code=$?
    cat "$dir/wait"
    [ "$code" -eq 111 ]
    grep -q 'walpipe run has ended before the table was copied' "$dir/wait"
}
