#!/usr/bin/env bats
# Tables that are parked beside the other ways to set something aside: transactions that are skipped,
# a sink that is paused, and other numbers of workers.

bats_require_minimum_version 1.5.0

load ../lib/copied
load ../lib/parked

# The commit LSN of the last refused transaction.
error_lsn() {
    grep '"level":"error","program":"sink-pg".*"lsn"' "$conf.log" | tail -n 1 | sed 's/.*"lsn":"\([^"]*\)".*/\1/'
}

skip() {
    "$WALPIPE_BIN/walpipe" skip -c "$conf" --sink dst "$@"
}

changes_of_both() { # N
    pg_sql src "BEGIN; INSERT INTO good VALUES (5000 + $1, $1); UPDATE a SET u = -$1 WHERE k % 10 = $1;
        INSERT INTO a VALUES (5000 + $1, $1); COMMIT" "$db"
}

# None of a while it is parked, all of good; then both.
comes_back() { # SHARDS
    pass_over a
    equal good
    pg_sql dst "ALTER TABLE a DROP CONSTRAINT IF EXISTS a_u_check" "$db"
    run -0 resume --table public.a --wait
    wait_until 60 all_streaming 2 "$1"
    caught_up "$conf" src "$db"
    equal a good
    parked ''
}

@test "a transaction is skipped for a table that is parked behind it, and for others while it is parked" {
    on_error=stop begin 3 a good
    pg_sql dst "ALTER TABLE a ADD CHECK (u >= 0) NOT VALID" "$db"
    changes_of_both 1
    ends 100
    last_error | grep -F "to go on without this transaction: walpipe skip -c FILE --sink dst --lsn $(error_lsn)"
    run -0 skip --lsn "$(error_lsn)" --table public.a
    write_conf 'shards = 3'
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    changes_of_both 2
    pass_over a
    equal good
    run -0 tables
    [[ $output == *"public.a is parked since 20"* ]]
    [[ $output == *"public.a lacks "*" changes of the transaction"* ]]

    # A whole transaction. Of the parked table nothing is skipped.
    pipeline_stop "$conf"
    on_error=stop write_conf 'shards = 3'
    pg_sql dst "ALTER TABLE good ADD CHECK (k <> 5003) NOT VALID" "$db"
    changes_of_both 3
    pipeline_start "$conf" || true
    ends 100
    run -0 skip --lsn "$(error_lsn)"
    changes_of_both 4
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    [ "$(pg_sql dst "SELECT string_agg(name, ',') FROM walpipe.lacks WHERE lsn = '$(error_lsn)'" "$db")" = good ]
    pg_sql dst "ALTER TABLE a DROP CONSTRAINT a_u_check; ALTER TABLE good DROP CONSTRAINT good_k_check" "$db"
    run -0 resume --table public.a --wait
    run -0 "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.good --wait
    caught_up "$conf" src "$db"
    equal a good
    parked ''
    run -0 tables
    [[ $output != *lacks* ]]
}

@test "what no table is to blame for stops the sink, and the hint to skip it works" {
    begin 1 a good
    # Of a trigger that the COMMIT runs the server names no table.
    pg_sql dst "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''at the end''; END';
        CREATE CONSTRAINT TRIGGER t AFTER INSERT ON a DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
            WHEN (NEW.u < 0) EXECUTE FUNCTION refuse();
        ALTER TABLE a ENABLE ALWAYS TRIGGER t" "$db"
    pg_sql src "INSERT INTO a VALUES (6000, -1)" "$db"
    pg_sql src "INSERT INTO good VALUES (6000)" "$db"
    ends 100
    parked ''
    last_error | grep -F "at the end"
    last_error | grep -F "walpipe skip -c FILE --sink dst --lsn $(error_lsn)"
    run -0 skip --lsn "$(error_lsn)"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    equal good
    [ "$(pg_sql dst "SELECT count(*) FROM a" "$db")" = 1000 ]
}

@test "a parked table while the number of workers changes" {
    begin 1 a good
    pg_sql dst "ALTER TABLE a ADD CHECK (u >= 0) NOT VALID" "$db"
    changes_of_both 1
    pass_over a
    pipeline_stop "$conf"
    changes_of_both 2
    write_conf 'shards = 3'
    pipeline_start "$conf"
    changes_of_both 3
    pass_over a
    equal good
    pipeline_kill "$conf"
    changes_of_both 4
    write_conf 'shards = 2'
    pipeline_start "$conf"
    comes_back 2
}

@test "a sink is paused while a table of it is parked, and parks one when it is resumed" {
    local lines pipeline_lines="http = 127.0.0.1:$(port_new)"
    pg_sql dst "CREATE DATABASE ${db}_b"
    lines=$'\n'"[sink second]"$'\n'"type = pg"$'\n'"conninfo = $(pg_conninfo dst "${db}_b")"$'\n'"create_tables = yes"
    begin 2 a good
    pg_sql dst "ALTER TABLE a ADD CHECK (u >= 0) NOT VALID" "$db"
    changes_of_both 1
    pass_over a
    run -0 "$WALPIPE_BIN/walpipe" pause -c "$conf" --sink dst
    changes_of_both 2
    run -100 resume --table public.a
    [[ $output == *'sink \"dst\" is paused since 20'*"run walpipe resume -c $conf --sink dst first"* ]]
    run -0 tables
    [[ $output == *"public.a is parked since 20"* ]]
    pg_sql dst "ALTER TABLE good ADD CHECK (k <> 5003) NOT VALID" "$db"
    changes_of_both 3
    # Behind the resume the second table is parked at once. That is no reason to pause the sink again.
    run -0 resume --sink dst
    pass_over a,good
    [ ! -e "$dir/state/paused.dst" ]
    run -0 "$WALPIPE_BIN/walpipe" status -c "$conf"
    pg_sql dst "ALTER TABLE good DROP CONSTRAINT good_k_check; ALTER TABLE a DROP CONSTRAINT a_u_check" "$db"
    run -0 resume --table public.good --wait
    run -0 resume --table public.a --wait
    caught_up "$conf" src "$db"
    equal a good
    for table in a good; do
        diff <(pg_digest src "$table" "$db") <(pg_digest dst "$table" "${db}_b")
    done
}
