#!/usr/bin/env bats
# on_error = park: an error of one table's data or definition sets the table aside, the others go on,
# and walpipe resume --table brings it back.

bats_require_minimum_version 1.5.0

load ../lib/copied
load ../lib/parked

# six_errors SHARDS: each in its own way, and all are mended and resumed.
six_errors() {
    local all='absent,checked,narrow,raises,taken,unknown' table http before
    http=127.0.0.1:$(port_new)
    lines='park_limit = 100' pipeline_lines="http = $http" begin "$1" narrow checked unknown absent raises taken good
    pg_sql dst "ALTER TABLE narrow ALTER v TYPE varchar(6);
        ALTER TABLE checked ADD CHECK (u >= 0) NOT VALID;
        DROP TABLE absent;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not this one''; END';
        CREATE TRIGGER t BEFORE INSERT ON raises FOR EACH ROW EXECUTE FUNCTION refuse();
        ALTER TABLE raises ENABLE ALWAYS TRIGGER t;
        CREATE UNIQUE INDEX ON taken (u); INSERT INTO taken VALUES (-1, 5001, 'surplus')" "$db"
    for table in narrow checked absent raises taken; do
        pg_sql src "BEGIN; INSERT INTO good VALUES (nextval('s') + 5000, 0, 'with $table');
            INSERT INTO $table VALUES (5001, CASE '$table' WHEN 'checked' THEN -1 ELSE 5001 END, 'longer than six'); COMMIT" "$db"
    done
    pg_sql src "ALTER TABLE unknown ADD w int DEFAULT 5; INSERT INTO unknown VALUES (5001, 0, 'x', 1);
        INSERT INTO good VALUES (1001, 0, 'behind all')" "$db"
    pass_over "$all"
    equal good
    for table in narrow checked raises taken; do
        [ "$(pg_sql dst "SELECT count(*) FROM $table WHERE k = 5001" "$db")" = 0 ]
    done

    # Further changes of them are passed over, also those that would succeed, and behind a restart.
    pg_sql src "UPDATE narrow SET v = 'y' WHERE k = 1; DELETE FROM checked WHERE k < 10; TRUNCATE good, raises;
        UPDATE taken SET k = -k WHERE k = 3; INSERT INTO good SELECT i, i, 'new' FROM generate_series(1, 50) AS i" "$db"
    caught_up "$conf" src "$db"
    equal good
    [ "$(pg_sql dst "SELECT count(*) FROM raises" "$db")" = 1000 ]
    pipeline_stop "$conf"
    pg_sql src "UPDATE good SET v = 'z'; UPDATE narrow SET v = 'zz' WHERE k = 2" "$db"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    equal good
    parked "$all"
    [ "$(pg_sql dst "SELECT v FROM narrow WHERE k = 2" "$db")" = v2 ]
    shows_them "$http"

    # Nothing is mended yet.
    run -100 resume --table public.unknown
    [[ $output == *'no column'*w* ]] || { echo "$output" && false; }
    parked "$all"
    run -100 resume --table public.good
    [[ $output == *"public.good is not parked in any sink"* ]]
    # A value that still does not fit parks the table again, and so does a row that the merge is refused.
    # The run that it ends then may take the command's answer with it.
    for table in narrow checked; do
        before=$(parkings "$table")
        run resume --table "public.$table"
        echo "$output"
        [ "$status" -eq 0 ] || [[ $output == *"ended before it answered"* ]]
        wait_until 60 parked_again "$table" "$before"
        pass_over "$all"
    done

    pg_sql dst "ALTER TABLE narrow ALTER v TYPE text; ALTER TABLE checked DROP CONSTRAINT checked_u_check;
        CREATE TABLE absent (k int PRIMARY KEY, u int, v text); DROP TRIGGER t ON raises;
        ALTER TABLE unknown ADD w int" "$db"
    for table in narrow checked absent raises taken; do
        run -0 resume --table "public.$table" --wait
    done
    # And one while the pipeline is stopped.
    pipeline_stop "$conf"
    run -0 resume --table public.unknown --sink dst
    [[ $output == *"the next start of the pipeline copies it again"* ]]
    pipeline_start "$conf"
    wait_until 60 all_streaming 7 "$1"
    parked ''
    caught_up "$conf" src "$db"
    equal good narrow checked absent raises taken unknown
    curl -sf "http://$http/healthz" >"$dir/healthz"
    ! grep degraded "$dir/healthz"
}

# How often a worker has ended since it parked the table.
parkings() {
    grep -c "\"program\":\"sink-pg\".*\"message\":\"public.$1 is parked: " "$conf.log"
}

parked_again() { # TABLE BEFORE
    [ -e "$conf.exit" ] || [ "$(parkings "$1")" -gt "$2" ]
}

# Reason, key, LSN, and the command that ends it, wherever people look.
shows_them() {
    local lsn
    lsn=$(pg_sql dst "SELECT lsn FROM walpipe.parked WHERE name = 'narrow'" "$db")
    run -0 tables
    [[ $output == *"public.narrow is parked since 20"*", at $lsn: insert into public.narrow (k)=(5001): "*"character varying(6)"* ]]
    [[ $output == *"walpipe resume -c FILE --sink dst --table 'public.checked'"* ]]
    tables --json | jq -e '.sinks[0] | .tables_parked == 6 and .tables_streaming == 1 and
        ([.tables[] | select(.state == "parked") | .parked.reason != "" and .parked.lsn != null] | length == 6 and all)'
    run -0 "$WALPIPE_BIN/walpipe" status -c "$conf"
    [[ $output == *"public.absent is parked since"*"there is no table public.absent"* ]]
    curl -sf "http://$1/healthz" >"$dir/healthz"
    head -n 1 "$dir/healthz" | grep '^degraded: sink dst: tables that are parked after an error: 6'
    curl -sf "http://$1/metrics" | grep 'replicator_copy_tables{.*sink="dst",shard="0",state="parked"} 6'
    curl -sf "http://$1/status.json" | jq -e '.healthy and .workers[0].copies.tables_parked == 6'
    grep '"level":"warning".*public.raises is parked since .*not this one' "$conf.log"
}

@test "six kinds of errors park their tables, the others go on, and each comes back" {
    pg_sql src "CREATE SEQUENCE s" "$db"
    six_errors 1
}

@test "the same with three workers" {
    pg_sql src "CREATE SEQUENCE s" "$db"
    six_errors 3
}

@test "more tables than the limit in a minute stop the sink, and a start goes on" {
    lines='park_limit = 2' begin 1 a b c good
    pg_sql dst "DROP TABLE a, b, c" "$db"
    pg_sql src "INSERT INTO a VALUES (0); INSERT INTO b VALUES (0); INSERT INTO c VALUES (0); INSERT INTO good VALUES (0)" "$db"
    ends 100
    last_error | grep 'there is no table public.c .*park_limit = 2 tables were parked within a minute'
    parked a,b
    pg_sql dst "CREATE TABLE c (k int PRIMARY KEY, u int, v text); INSERT INTO c SELECT i, i, 'v' || i FROM generate_series(1, 1000) AS i" "$db"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    equal c good
    parked a,b
}

@test "errors of the role, the disk and the connection park nothing" {
    role=sink_$db
    make a good
    pg_sql dst "CREATE ROLE $role LOGIN; GRANT CREATE, TEMPORARY ON DATABASE $db TO $role; GRANT ALL ON a, good TO $role" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    # The disk.
    pg_sql dst "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''disk full'' USING ERRCODE = ''53100''; END';
        CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION full_disk()" "$db"
    pg_sql src "INSERT INTO a VALUES (0)" "$db"
    wait_until 30 logged 'disk full'
    pipeline_lives "$conf"
    parked ''
    pg_sql dst "DROP TRIGGER t ON a" "$db"
    caught_up "$conf" src "$db"
    # The connection.
    pg_sql dst "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '$role'" "$db"
    pg_sql src "INSERT INTO a VALUES (-1)" "$db"
    caught_up "$conf" src "$db"
    equal a good
    parked ''
    # The role.
    pg_sql dst "REVOKE INSERT ON a FROM $role" "$db"
    pg_sql src "INSERT INTO a VALUES (-2)" "$db"
    ends 100
    last_error | grep 'permission denied for table a'
    parked ''
}

@test "a constraint that COMMIT checks parks its table, also that of a partition" {
    role=sink_$db # as a replica the server would not check it
    make a b good
    pg_sql dst "ALTER TABLE a ADD UNIQUE (u) DEFERRABLE INITIALLY DEFERRED; DROP TABLE b;
        CREATE TABLE b (k int PRIMARY KEY, u int, v text) PARTITION BY RANGE (k);
        CREATE TABLE b1 PARTITION OF b FOR VALUES FROM (-100000) TO (100000);
        ALTER TABLE b1 ADD UNIQUE (u) DEFERRABLE INITIALLY DEFERRED;
        CREATE ROLE $role LOGIN; GRANT CREATE, TEMPORARY ON DATABASE $db TO $role; GRANT ALL ON a, b, good TO $role" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    pg_sql dst "INSERT INTO a VALUES (-1, 5000); INSERT INTO b VALUES (-1, 5000)" "$db"
    pg_sql src "BEGIN; INSERT INTO good VALUES (0); INSERT INTO a VALUES (5000, 5000); COMMIT;
        BEGIN; INSERT INTO good VALUES (-1); INSERT INTO b VALUES (5000, 5000); COMMIT" "$db"
    pass_over a,b
    equal good
    run -0 resume --table public.a --wait
    run -0 resume --table public.b --wait
    equal a b good
}

@test "a table that is copied, and one without a target table, are parked" {
    make a b good
    pg_sql dst "DROP TABLE b; ALTER TABLE a ADD CHECK (k <> 500); INSERT INTO good VALUES (-5)" "$db"
    write_conf
    pipeline_start "$conf"
    pass_over a,b,good
    grep 'public.good is parked: public.good is to be copied and has rows already' "$conf.log"
    pg_sql src "INSERT INTO a VALUES (0); UPDATE b SET u = 0; INSERT INTO good VALUES (0)" "$db"
    pg_sql dst "CREATE TABLE b (k int PRIMARY KEY, u int, v text); ALTER TABLE a DROP CONSTRAINT a_k_check" "$db"
    for table in a b good; do
        run -0 resume --table "public.$table" --wait
    done
    caught_up "$conf" src "$db"
    equal a b good
}

@test "a table without a key is parked, and comes back by the way that resume prints" {
    begin 1 a good
    pg_sql dst "CREATE TABLE n (v text CHECK (v <> 'no'))" "$db"
    pg_sql src "CREATE TABLE n (v text); INSERT INTO n SELECT i FROM generate_series(1, 100) AS i" "$db"
    wait_until 60 all_streaming 3
    pg_sql src "INSERT INTO n VALUES ('no'), ('yes'); INSERT INTO good VALUES (0)" "$db"
    pass_over n
    equal good
    run -100 resume --table public.n
    [[ $output == *"in one transaction of the target empty the table and delete its rows from walpipe.tables and walpipe.held"* ]]
    pipeline_stop "$conf"
    pg_sql dst "BEGIN; TRUNCATE n; DELETE FROM walpipe.tables WHERE name = 'n'; DELETE FROM walpipe.held; COMMIT;
        ALTER TABLE n DROP CONSTRAINT n_v_check" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    caught_up "$conf" src "$db"
    equal n good
    parked ''
}

@test "on_error = park is refused where no copy could bring a table back" {
    make a
    copy=no write_conf
    run -100 "$WALPIPE_BIN/walpipe" run -c "$conf"
    [[ $output == *"on_error = park needs copy = yes: sink"* ]]
    # A pipeline that has followed without copies, and whose file does not say more.
    on_error=stop copy=no write_conf
    pipeline_start "$conf"
    pipeline_stop "$conf"
    write_conf
    sed -i '/^copy = /d' "$conf"
    run_is_refused 'on_error = park needs copies'
    # The way out.
    write_conf
    pg_sql src "CREATE TABLE b (k int PRIMARY KEY)" "$db"
    pg_sql dst "TRUNCATE a; INSERT INTO a SELECT i, i, 'v' || i FROM generate_series(1, 1000) AS i" "$db"
    pipeline_start "$conf"
    pg_sql src "INSERT INTO a VALUES (0)" "$db"
    pg_sql src "INSERT INTO b VALUES (0)" "$db"
    pass_over b
    equal a
    # Without copies nothing would pass over its changes.
    pipeline_stop "$conf"
    on_error=stop copy=no write_conf
    run_is_refused 'public.b is parked, and this stream brings no copies'
}

@test "the reason may be cut within a character" {
    make good
    for server in src dst; do
        pg_sql "$server" "CREATE TABLE words (k text PRIMARY KEY, v int)" "$db"
    done
    pg_sql dst "ALTER TABLE words ADD CHECK (v > 0)" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    # the message has 60 bytes of the key, of which each character has two
    pg_sql src "INSERT INTO words VALUES ('x' || repeat('ä', 40), -1)" "$db"
    pass_over words
    run -0 tables
    [[ $output == *"public.words is parked since"*"xäää"* ]]
    pg_sql dst "ALTER TABLE words DROP CONSTRAINT words_v_check" "$db"
    run -0 resume --table public.words --wait
    equal good words
}
