#!/usr/bin/env bats
# Tables that are parked while everything is killed, or is done at once: each step of parking and of
# resuming, another walpipe that takes over, several workers, large transactions, foreign keys.

bats_require_minimum_version 1.5.0

load ../lib/copied
load ../lib/parked

teardown() {
    release
    copied_teardown
}

# hold SQL: in a transaction of the target that stays open.
hold() {
    "$(pg_bindir)/psql" -XAtq "$(pg_conninfo dst "$db") application_name=holder" \
        -c "BEGIN; $1; SELECT pg_sleep(600)" >/dev/null 2>&1 3>&- &
    kill_later $!
    wait_until 20 is_held
}

is_held() {
    [ "$(pg_sql dst "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holder' AND wait_event = 'PgSleep'")" = 1 ]
}

release() {
    pg_sql dst "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'" >/dev/null
}

# A session of the sink waits for what is held.
is_stuck() {
    [ "$(pg_sql dst "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = '$db'
        AND application_name LIKE 'walpipe sink-pg%' AND wait_event_type = 'Lock'")" = t ]
}

no_worker() {
    [ "$(pg_sql dst "SELECT count(*) FROM pg_stat_activity WHERE datname = '$db'
        AND application_name LIKE 'walpipe sink-pg%'")" = 0 ]
}

resumed() {
    [ "$(pg_sql dst "SELECT resumed_at IS NOT NULL FROM walpipe.parked WHERE name = 'a'" "$db")" = t ]
}

# Rows of every worker that a takes no more.
break_a() {
    pg_sql dst "ALTER TABLE a ADD CHECK (u >= 0) NOT VALID" "$db"
    pg_sql src "BEGIN; INSERT INTO good VALUES (5000); UPDATE a SET u = -1 WHERE k % 3 = 0; DELETE FROM a WHERE k = 7; COMMIT" "$db"
}

mend_a() {
    pg_sql dst "ALTER TABLE a DROP CONSTRAINT a_u_check" "$db"
}

goes_on() {
    pipeline_start "$conf"
    pass_over a
    equal good
}

ends_right() {
    wait_until 90 all_streaming 2 "${1:-3}"
    pipeline_lives "$conf"
    caught_up "$conf" src "$db"
    equal a good
    parked ''
    [ "$(pg_sql dst "SELECT count(*) FROM pg_class WHERE relname ~ '^resync_'" "$db")" = 0 ]
}

@test "killed before the note, while it is written, and at its COMMIT" {
    begin 3 a good
    hold "SELECT pg_advisory_xact_lock(hashtextextended('walpipe.progress', 0))"
    break_a
    wait_until 30 is_stuck
    pipeline_kill "$conf"
    parked ''
    release
    wait_until 30 no_worker

    pg_sql dst "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END';
        CREATE TRIGGER t AFTER INSERT ON walpipe.parked FOR EACH ROW EXECUTE FUNCTION wait();
        ALTER TABLE walpipe.parked ENABLE ALWAYS TRIGGER t" "$db"
    hold "SELECT pg_advisory_xact_lock(42)"
    pipeline_start "$conf"
    wait_until 30 is_stuck
    pipeline_kill "$conf"
    wait_until 30 no_worker # the server notices that the client is gone
    parked ''
    release

    pg_sql dst "DROP TRIGGER t ON walpipe.parked;
        CREATE CONSTRAINT TRIGGER t AFTER INSERT ON walpipe.parked DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION wait();
        ALTER TABLE walpipe.parked ENABLE ALWAYS TRIGGER t" "$db"
    hold "SELECT pg_advisory_xact_lock(42)"
    pipeline_start "$conf"
    wait_until 30 is_stuck
    pipeline_kill "$conf"
    release
    wait_until 30 no_worker # committed, or not
    goes_on

    mend_a
    run -0 resume --table public.a --wait
    ends_right
}

@test "killed while the resume is noted, while the table is copied, and at the merge" {
    begin 3 a good
    break_a
    pass_over a
    mend_a
    # Worker 2 cannot note it.
    hold "SELECT FROM walpipe.tables WHERE name = 'a' AND shard = 2 FOR UPDATE"
    timeout 60 "$WALPIPE_BIN/walpipe" resume -c "$conf" --table public.a >"$dir/resume" 2>&1 3>&- &
    wait_until 30 resumed
    pipeline_kill "$conf"
    release
    wait || true
    pg_sql src "UPDATE a SET u = -2 WHERE k % 5 = 0; INSERT INTO a SELECT i, -3, 'x' FROM generate_series(2001, 2100) AS i" "$db"
    # While its rows are staged.
    sed -i 's/^copy = yes/&\ncopy_rate = 20000/' "$conf"
    pipeline_start "$conf"
    wait_until 30 staged
    pipeline_kill "$conf"
    sed -i '/^copy_rate/d' "$conf"
    # At the merge.
    hold "LOCK TABLE a IN ROW EXCLUSIVE MODE"
    pipeline_start "$conf"
    wait_until 60 is_stuck
    pipeline_kill "$conf"
    release
    pg_sql src "DELETE FROM a WHERE k % 11 = 0" "$db"
    pipeline_start "$conf"
    ends_right
}

staged() {
    local name
    name=$(pg_sql dst "SELECT relname FROM pg_class WHERE relname ~ '^resync_[0-9]+_[0-9a-f]+$'" "$db")
    [ -n "$name" ] && [ "$(pg_sql dst "SELECT count(*) FROM walpipe.$name" "$db")" -gt 0 ]
}

@test "killed at random while tables are parked and resumed under load" {
    local i
    begin 3 a good
    for i in 1 2 3 4 5 6; do
        pg_sql dst "ALTER TABLE a DROP CONSTRAINT IF EXISTS a_u_check; ALTER TABLE a ADD CHECK (u >= 0) NOT VALID" "$db"
        pg_sql src "UPDATE a SET u = -$i WHERE k % 7 = $i; UPDATE good SET u = $i;
            INSERT INTO a SELECT 10000 * $i + k, k, 'i' FROM generate_series(1, 300) AS k;
            UPDATE a SET k = k + 100000 WHERE k % 13 = $i" "$db"
        sleep "0.$((RANDOM % 10))" # so that it is killed at any place
        pipeline_kill "$conf"
        pipeline_start "$conf"
        wait_until 60 is_parked a
        mend_a
        timeout 60 "$WALPIPE_BIN/walpipe" resume -c "$conf" --table public.a >>"$dir/resume" 2>&1 3>&- || true
        sleep "0.$((RANDOM % 10))"
        pipeline_kill "$conf"
        pipeline_start "$conf"
        parked '' || resume --table public.a --wait || resume --table public.a --wait
        wait_until 90 all_streaming 2 3
    done
    ends_right
}

@test "a walpipe on another machine takes over, and knows what is parked" {
    begin 1 a good
    break_a
    pass_over a
    pipeline_kill "$conf"
    pg_sql src "UPDATE a SET u = 5 WHERE k < 100; UPDATE good SET u = 5" "$db"
    write_conf '' '' other
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    equal good
    parked a
    [ "$(pg_sql dst "SELECT count(*) FROM a WHERE u = 5" "$db")" -le 1 ]
    mend_a
    run -0 resume --table public.a --wait
    ends_right 1
}

@test "an error behind the pieces of a large transaction, keys that move, and a TRUNCATE of several tables" {
    lines='batch_rows = 50' begin 3 a good
    pg_sql dst "ALTER TABLE a ADD CHECK (u >= 0) NOT VALID" "$db"
    pg_sql src "BEGIN; INSERT INTO good SELECT i, i, 'x' FROM generate_series(2001, 4000) AS i;
        UPDATE a SET k = k + 10000; UPDATE good SET k = k + 10000 WHERE k % 2 = 0;
        INSERT INTO a VALUES (-1, -1); INSERT INTO good VALUES (-1); COMMIT" "$db"
    pass_over a
    equal good
    [ "$(pg_sql dst "SELECT count(*) FROM a WHERE u < 0" "$db")" = 0 ]
    pg_sql src "TRUNCATE good, a; INSERT INTO good VALUES (1); INSERT INTO a VALUES (1, -5)" "$db"
    caught_up "$conf" src "$db"
    equal good
    [ "$(pg_sql dst "SELECT count(*) >= 1000 FROM a" "$db")" = t ]
    mend_a
    run -0 "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.a --wait # the same as resume
    ends_right
}

@test "a TRUNCATE that one table refuses parks that table" {
    begin 1 a good
    pg_sql dst "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no TRUNCATE''; END';
        CREATE TRIGGER t BEFORE TRUNCATE ON a EXECUTE FUNCTION refuse();
        CREATE TRIGGER d BEFORE DELETE ON a EXECUTE FUNCTION refuse();
        ALTER TABLE a ENABLE ALWAYS TRIGGER t, ENABLE ALWAYS TRIGGER d" "$db"
    pg_sql src "TRUNCATE good, a; INSERT INTO good VALUES (1)" "$db"
    pass_over a
    equal good
    pg_sql dst "DROP TRIGGER t ON a; DROP TRIGGER d ON a" "$db"
    run -0 resume --table public.a --wait
    ends_right 1
}

@test "where foreign keys are enforced a parked table parks those that refer to it" {
    role=sink_$db
    make a b good
    pg_sql dst "CREATE ROLE $role LOGIN; GRANT CREATE, TEMPORARY ON DATABASE $db TO $role; GRANT ALL ON a, b, good TO $role" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    pg_sql dst "ALTER TABLE b ADD FOREIGN KEY (u) REFERENCES a; ALTER TABLE a ADD CHECK (u >= 0) NOT VALID" "$db"
    pg_sql src "INSERT INTO a VALUES (5000, -1); INSERT INTO b VALUES (5000, 5000); INSERT INTO good VALUES (0)" "$db"
    pass_over a,b
    equal good
    # A table that others refer to cannot be copied again until the key is dropped, and says so.
    pg_sql dst "ALTER TABLE a DROP CONSTRAINT a_u_check" "$db"
    run -100 resume --table public.a
    [[ $output == *"a foreign key that is enforced refers to it"* ]]
    pg_sql dst "ALTER TABLE b DROP CONSTRAINT b_u_fkey" "$db"
    run -0 resume --table public.a --wait
    run -0 resume --table public.b --wait
    equal a b good
}
