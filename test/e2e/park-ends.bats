#!/usr/bin/env bats
# Parked tables whose end is another one than a resume that succeeds: parked again, emptied by hand,
# mapped elsewhere, renamed, dropped and made again. And the blame for a foreign key that COMMIT checks.

bats_require_minimum_version 1.5.0

load ../lib/copied
load ../lib/parked

# break_a [TABLE]: its target takes no negative values any more.
break_a() {
    pg_sql dst "ALTER TABLE ${1:-a} ADD CHECK (u >= 0) NOT VALID" "$db"
    pg_sql src "BEGIN; INSERT INTO good VALUES (nextval('s')); UPDATE ${1:-a} SET u = -1 WHERE k = 3; COMMIT" "$db"
}

start_parked() { # TABLE...
    pg_sql src "CREATE SEQUENCE s START 5000" "$db"
    begin "${shards:-1}" "$@"
    break_a
    pass_over a
}

@test "resume --wait ends when the table is parked again" {
    pipeline_lines='copy_rate = 5000' start_parked a good
    run -100 timeout 120 "$WALPIPE_BIN/walpipe" resume -c "$conf" --table public.a --wait
    [[ $output == *"public.a is parked again in sink dst: "*"a_u_check"*"mend the cause, and run walpipe resume --table again"* ]]
    pass_over a
    pg_sql dst "ALTER TABLE a DROP CONSTRAINT a_u_check" "$db"
    run -0 timeout 120 "$WALPIPE_BIN/walpipe" resume -c "$conf" --table public.a --wait
    caught_up "$conf" src "$db"
    equal a good
}

@test "a parked table that a person has emptied is copied as a new one" {
    shards=2 start_parked a good
    pipeline_stop "$conf"
    pg_sql dst "BEGIN; TRUNCATE a; UPDATE walpipe.tables SET state = 'waiting', done = '', rows = 0 WHERE name = 'a'; COMMIT;
        ALTER TABLE a DROP CONSTRAINT a_u_check" "$db"
    pg_sql src "UPDATE a SET u = -2 WHERE k < 100; INSERT INTO good VALUES (0)" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming 2 2
    caught_up "$conf" src "$db"
    equal a good
    parked ''
}

@test "a parked table that is mapped elsewhere holds up no start, and is copied there" {
    start_parked a good
    pipeline_stop "$conf"
    pg_sql dst "CREATE TABLE other (k int PRIMARY KEY, u int, v text)" "$db"
    write_conf 'map = public.a -> public.other'
    pg_sql src "UPDATE a SET u = -2 WHERE k < 100; INSERT INTO good VALUES (0)" "$db"
    pipeline_start "$conf"
    pass_over a
    equal good
    # and elsewhere again
    pipeline_stop "$conf"
    pg_sql dst "CREATE TABLE third (k int PRIMARY KEY, u int, v text)" "$db"
    write_conf 'map = public.a -> public.third'
    pipeline_start "$conf"
    pass_over a
    run -0 resume --table public.a --wait
    caught_up "$conf" src "$db"
    diff <(pg_sql src "TABLE a ORDER BY k" "$db") <(pg_sql dst "TABLE third ORDER BY k" "$db")
    [ "$(pg_sql dst "SELECT count(*) FROM other" "$db")" = 0 ]
    equal good
}

@test "the log has the name of today, and no word of a parked table that is not published any more" {
    start_parked a good
    pg_sql src "ALTER TABLE a RENAME TO c; UPDATE c SET u = 5 WHERE k = 5; INSERT INTO good VALUES (0)" "$db"
    wait_until 60 noted "count(*) = 1" "AND name = 'c'"
    pipeline_stop "$conf"
    pipeline_start "$conf"
    wait_until 30 grep -q 'public.c is parked since' "$conf.log"
    pg_sql src "DROP TABLE c" "$db"
    wait_until 60 noted "count(*) = 1" "AND name = 'c' AND state = 'out-resync'"
    pipeline_stop "$conf"
    : >"$conf.log"
    pg_sql src "INSERT INTO good VALUES (-1)" "$db"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    equal good
    ! grep 'is parked since' "$conf.log"
}

@test "where COMMIT checks a foreign key, the table of the change is blamed when the one that refers is parked" {
    role=sink_$db
    make a b good
    pg_sql dst "CREATE ROLE $role LOGIN; GRANT CREATE, TEMPORARY ON DATABASE $db TO $role; GRANT ALL ON a, b, good TO $role" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    pg_sql dst "ALTER TABLE b ADD FOREIGN KEY (u) REFERENCES a DEFERRABLE INITIALLY DEFERRED; ALTER TABLE b ADD CHECK (k < 5000) NOT VALID" "$db"
    pg_sql src "INSERT INTO b VALUES (5000, 5)" "$db"
    pass_over b
    pg_sql src "DELETE FROM b; INSERT INTO good VALUES (0)" "$db"
    pg_sql src "DELETE FROM a WHERE k < 10; INSERT INTO good VALUES (-1)" "$db"
    pass_over a,b
    equal good
    grep 'public.a is parked: .*b_u_fkey' "$conf.log"
}
