#!/usr/bin/env bats
# Tables that a ClickHouse sink has parked while everything is killed: each step of parking and of
# resuming, another walpipe that takes over, and at random.

bats_require_minimum_version 1.5.0

load ../lib/parked
load ../lib/parked_clickhouse

teardown() {
    parked_teardown
}

proxy() {
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/proxy.py" tell "$dir/proxy.sock" "$@"
}

# Requests of the sink go through a proxy, which can hold one of them back.
through_proxy() {
    local port
    port=$(port_new)
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/proxy.py" serve "$dir/proxy.sock" \
        "ch=$port:$(cat "$SCRATCH/$ch/port")" </dev/null >"$dir/proxy.log" 2>&1 3>&- &
    kill_later "$!"
    disown
    wait_until 10 test -S "$dir/proxy.sock"
    url=http://127.0.0.1:$port
}

holds() { # REQUESTS
    [ "$(proxy ch counts | jq '.hold // 0')" -gt "$1" ]
}

# killed before|after TABLE COMMAND...: the command lets a worker write into this table of its notes.
# Everything is killed before the request reaches the server, or behind that.
killed() {
    local before
    before=$(proxy ch counts | jq '.hold // 0')
    proxy ch hold "$1" "$2"
    shift 2
    "$@"
    wait_until 60 holds "$before"
    pipeline_kill "$conf"
    proxy ch pass
    wait_until 30 is_idle
}

# Nothing of the programs that were killed is under way.
is_idle() {
    [ "$(in_ch "SELECT count() FROM system.processes WHERE query_id LIKE 'walpipe-$db-%'")" = 0 ]
}

states() { # TABLE
    in_ch "SELECT DISTINCT state FROM walpipe_tables FINAL WHERE name = '$1' AND state <> 'gone' ORDER BY state" | paste -sd ,
}

resume_in_background() {
    timeout 60 "$WALPIPE_BIN/walpipe" resume -c "$conf" --table public.a >>"$dir/resume" 2>&1 3>&- &
}

ends_right() {
    wait_until 90 all_streaming 2 2
    pipeline_lives "$conf"
    caught_up "$conf" src "$db"
    equal a good
    parked ''
    pipeline_stop "$conf"
}

each_step() {
    through_proxy
    begin 2 a good
    killed before walpipe_tables break_it a
    parked ''
    [ "$(states a)" = streaming ]
    killed before walpipe_parked pipeline_start "$conf"
    parked ''
    [[ $(states a) == *resync* ]]
    killed after walpipe_parked pipeline_start "$conf"
    parked a
    pg_sql src "UPDATE good SET n = 8; UPDATE a SET n = 8 WHERE k % 3 = 0; INSERT INTO a VALUES (-1, 1, 'x')" "$db"
    pipeline_start "$conf"
    pass_over a
    equal good
    [ "$(in_ch "SELECT count() FROM a_current WHERE k = -1")" = 0 ]

    mend a
    killed before walpipe_parked resume_in_background
    parked a
    wait || true
    pipeline_start "$conf"
    pass_over a
    pg_sql src "UPDATE a SET n = 9 WHERE k % 5 = 0; DELETE FROM a WHERE k % 50 = 1" "$db"
    killed before walpipe_tables resume_in_background
    parked ''
    [ "$(states a)" = resync ]
    wait || true
    pg_sql src "UPDATE a SET k = k + 20000 WHERE k % 40 = 2; UPDATE good SET k = k + 20000 WHERE k % 40 = 2" "$db"
    # The notes at the end of the copy.
    sed -i 's/^copy = yes/&\ncopy_rate = 100000/' "$conf"
    pipeline_start "$conf"
    wait_until 60 in_a_life
    sed -i '/^copy_rate/d' "$conf"
    killed after walpipe_tables true
    pg_sql src "UPDATE a SET n = 10 WHERE k % 6 = 0" "$db"
    pipeline_start "$conf"
    ends_right
}

in_a_life() {
    [ "$(in_ch "SELECT countIf(l0 > 0) FROM walpipe_tables FINAL WHERE name = 'a' AND state = 'resync'")" = 2 ]
}

@test "killed at each step of parking and of resuming" {
    each_step
}

@test "the same in a ClickHouse of today" {
    of_today
    each_step
}

@test "killed at random while tables are parked and resumed under load" {
    local i
    begin 2 a good
    for i in 1 2 3 4; do
        break_it a
        pg_sql src "UPDATE a SET n = 500 + $i WHERE k % 5 = $i; UPDATE good SET n = $i;
            INSERT INTO a SELECT 10000 * $i + k, k, 'i' FROM generate_series(1, 300) AS k;
            UPDATE a SET k = k + 100000 WHERE k % 13 = $i" "$db"
        sleep "0.$((RANDOM % 10))" # so that it is killed at any place
        pipeline_kill "$conf"
        pipeline_start "$conf"
        wait_until 60 is_parked a
        mend a
        timeout 60 "$WALPIPE_BIN/walpipe" resume -c "$conf" --table public.a >>"$dir/resume" 2>&1 3>&- || true
        sleep "0.$((RANDOM % 10))"
        pipeline_kill "$conf"
        pipeline_start "$conf"
        parked '' || resume --table public.a --wait || resume --table public.a --wait
        wait_until 90 all_streaming 2 2
    done
    ends_right
}

@test "a walpipe on another machine takes over, and knows what is parked" {
    begin 1 a good
    break_it a
    pass_over a
    pipeline_kill "$conf"
    pg_sql src "UPDATE a SET n = 5 WHERE k < 100; UPDATE good SET n = 5" "$db"
    write_conf 'shards = 2' '' other
    pipeline_start "$conf"
    pass_over a
    equal good
    mend a
    run -0 resume --table public.a --wait
    ends_right
}
