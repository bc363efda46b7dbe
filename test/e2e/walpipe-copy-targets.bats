#!/usr/bin/env bats
# walpipe run with copy = yes and a target that has rows or notes already, or lacks a table.

bats_require_minimum_version 1.5.0

load ../lib/copied

@test "a target table that has rows: exit 100; when it was emptied, it is copied" {
    two_tables
    pg_sql dst "INSERT INTO b VALUES (1, 'theirs')" "$db"
    write_conf
    run_is_refused
    last_error | tee /dev/stderr |
        jq -e '(.message | contains("public.b is to be copied and has rows already"))
           and (.hint | contains("empty it") and contains("copy = no"))'
    pg_sql dst "TRUNCATE b" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    changes_arrive 1
    pipeline_stop "$conf"
}

@test "a target table that has rows: exit 100; with copy = no they stay, and copy = yes copies later tables only" {
    two_tables
    load_target
    pg_sql src "DELETE FROM a WHERE id > 2990" "$db"
    write_conf
    run_is_refused
    write_conf no
    pipeline_start "$conf"
    changes_arrive 1
    pipeline_stop "$conf"
    # the bug was that they were refused again: that no copy was wanted had been forgotten
    write_conf yes
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    logged '"message":"0 of 2 published tables are to be copied'
    changes_arrive 2
    pg_sql dst "CREATE TABLE c (id int PRIMARY KEY)" "$db"
    pg_sql src "CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (1), (2)" "$db"
    wait_until 60 all_streaming 3
    caught_up "$conf" src "$db"
    equal a b c
    pipeline_stop "$conf"
}

@test "what was replicated with copy = no is not copied when copy is set, nor what came while it was unset again" {
    two_tables
    load_target
    write_conf no
    pipeline_start "$conf"
    changes_arrive 1
    pipeline_stop "$conf"
    [ "$(pg_sql dst "SELECT to_regclass('walpipe.tables') IS NULL" "$db")" = t ]
    write_conf yes
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    logged '"message":"0 of 2 published tables are to be copied'
    changes_arrive 2
    pipeline_stop "$conf"
    # c comes while copy is no: its rows from now on are wanted
    write_conf no
    pg_sql dst "CREATE TABLE c (id int PRIMARY KEY)" "$db"
    pg_sql src "CREATE TABLE c (id int PRIMARY KEY)" "$db"
    pipeline_start "$conf"
    pg_sql src "INSERT INTO c VALUES (1), (2)" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    write_conf yes
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    changes_arrive 3
    equal c
    pipeline_stop "$conf"
}

@test "copy = no while a copy has not ended is refused; copy = yes goes on with it" {
    bench_tables
    write_conf yes "copy_rate = 1000000"
    pipeline_start "$conf"
    wait_until 60 copied_some
    pipeline_stop "$conf"
    write_conf no
    run_is_refused
    last_error | tee /dev/stderr |
        jq -e '(.message | contains("has not ended")) and (.hint | contains("set copy = yes"))'
    write_conf yes
    pipeline_start "$conf"
    ends_equal 1
    pipeline_stop "$conf"
}

@test "the bug was that tables left a table out, took it in again, and its changes were lost" {
    pg_sql src "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY);
        INSERT INTO a SELECT g, 'a' FROM generate_series(1, 1000) g;
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    target_tables
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    pipeline_stop "$conf"
    write_conf yes "" "tables = public.b"
    pipeline_start "$conf"
    wait_until 60 noted "bool_and(state = 'out-streaming')" "AND name = 'a'"
    pg_sql src "UPDATE a SET v = 'new' WHERE id <= 100; DELETE FROM a WHERE id > 900" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    write_conf
    run_is_refused
    logged "public.a was left out of the sink's tables or of the publication"
    # the way out
    pg_sql dst "BEGIN; TRUNCATE a; DELETE FROM walpipe.held WHERE relid IN (SELECT relid FROM walpipe.tables WHERE name = 'a');
        UPDATE walpipe.tables SET state = 'waiting', done = '', rows = 0 WHERE name = 'a'; COMMIT" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    caught_up "$conf" src "$db"
    equal a b
    pipeline_stop "$conf"
}

# out_for_a_while TABLE CHANGES [BACK]
out_for_a_while() {
    pg_sql src "ALTER PUBLICATION p DROP TABLE $1" "$db"
    pg_sql src "$2" "$db"
    pg_sql src "ALTER PUBLICATION p ADD TABLE ${3:-$1}" "$db"
}

# is_refused_back TABLE STATE: also in the next run.
is_refused_back() {
    for _ in 1 2; do
        ends 100
        logged "public.$1 was left out of the sink's tables or of the publication, or was published otherwise or unlogged, and its changes of that time are lost"
        noted "bool_and(state = '$2')" "AND name = '$1'"
        pipeline_start "$conf" || true
    done
    ends 100
}

# copy_again TABLE: what the hint says.
copy_again() {
    pg_sql dst "BEGIN; TRUNCATE $1; DELETE FROM walpipe.held WHERE relid IN (SELECT relid FROM walpipe.tables WHERE name = '$1');
        UPDATE walpipe.tables SET state = 'waiting', done = '', rows = 0 WHERE name = '$1'; COMMIT" "$db"
}

@test "the bug was that a table left the publication and came back in a run, and its changes were lost" {
    pg_sql src "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text);
        INSERT INTO a SELECT g, 'a' FROM generate_series(1, 1000) g;
        INSERT INTO b SELECT g, repeat('b', 1000) FROM generate_series(1, 30000) g;
        CREATE PUBLICATION p FOR TABLE a" "$db"
    target_tables
    write_conf yes "copy_rate = 2000000"
    pipeline_start "$conf"
    wait_until 60 all_streaming 1
    out_for_a_while a "UPDATE a SET v = 'new' WHERE id <= 100; DELETE FROM a WHERE id > 900"
    is_refused_back a out-streaming
    copy_again a
    pg_sql src "ALTER PUBLICATION p ADD TABLE b" "$db"
    pipeline_start "$conf"
    # In the middle of its copy: what was deleted would stay.
    wait_until 60 noted "bool_or(rows > 5000)" "AND name = 'b'"
    out_for_a_while b "DELETE FROM b WHERE id < 100"
    is_refused_back b out-copying
    copy_again b
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    caught_up "$conf" src "$db"
    equal a b
    # A filter that leaves nothing out that was published.
    pg_sql src "ALTER PUBLICATION p SET TABLE a WHERE (id > 0), b" "$db"
    is_refused_back a out-streaming
    pg_sql dst "UPDATE walpipe.tables SET state = 'streaming', definition = '' WHERE name = 'a'" "$db"
    pipeline_start "$conf"
    changes_arrive 1
    equal a b
    # A second publication takes over, and nothing is lost.
    pg_sql src "CREATE PUBLICATION q FOR TABLE b; ALTER TABLE b ADD w int" "$db"
    pg_sql dst "ALTER TABLE b ADD w int" "$db"
    changes_arrive 2
    pipeline_stop "$conf"
}

# root_tables: two partitions of 1,000 rows, published as their root.
root_tables() {
    pg_sql src "CREATE TABLE r (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (1000);
        CREATE TABLE r2 PARTITION OF r FOR VALUES FROM (1000) TO (2000);
        INSERT INTO r SELECT g, 'r' FROM generate_series(0, 1999) g;
        CREATE PUBLICATION p FOR TABLE r WITH (publish_via_partition_root)" "$db"
    pg_sql dst "CREATE TABLE r (id int PRIMARY KEY, v text)" "$db"
}

is_refused_part() {
    for _ in 1 2; do
        ends 100
        logged "a partition of public.r (oid $1) was truncated or detached, or was left out"
        noted "bool_and(state = 'out-streaming')" "AND part = $1"
        pipeline_start "$conf" || true
    done
    ends 100
}

# The bug was that nobody noticed.
@test "one partition is truncated, while walpipe runs and while it does not; its root, which is sent" {
    local r1
    root_tables
    r1=$(pg_sql src "SELECT 'r1'::regclass::oid" "$db")
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    wait_until 60 logged "2 of 2 published tables are to be copied"
    pg_sql src "TRUNCATE r1" "$db"
    is_refused_part "$r1"
    # One way out: its rows are taken away by hand.
    pg_sql dst "DELETE FROM r WHERE id < 1000; UPDATE walpipe.tables SET state = 'streaming' WHERE part = $r1" "$db"
    pipeline_start "$conf"
    pg_sql src "INSERT INTO r VALUES (1, 'new')" "$db"
    caught_up "$conf" src "$db"
    equal r
    # The whole root: nothing is lost, now and in the next run.
    pg_sql src "TRUNCATE r; INSERT INTO r VALUES (2, 'new'), (1002, 'new'); VACUUM r1" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    pg_sql src "CREATE TABLE r3 PARTITION OF r FOR VALUES FROM (3000) TO (4000); INSERT INTO r VALUES (3000, 'new')" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    caught_up "$conf" src "$db"
    equal r
    pipeline_stop "$conf"
    # The other way out: the table is copied again.
    copy_again r
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    pipeline_stop "$conf"
    pg_sql src "TRUNCATE r1" "$db"
    pipeline_start "$conf" || true
    is_refused_part "$r1"
    copy_again r
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    caught_up "$conf" src "$db"
    equal r
    # A rewrite takes nothing away.
    pg_sql src "VACUUM FULL r2" "$db"
    wait_until 60 logged "public.r2: it was rewritten, or truncated without its root"
    [ ! -s "$conf.exit" ]
    pipeline_stop "$conf"
}

@test "a partition that is detached or dropped is named in the notes for ever; if it comes back, it is refused" {
    local r1
    root_tables
    r1=$(pg_sql src "SELECT 'r1'::regclass::oid" "$db")
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    pg_sql src "ALTER TABLE r DETACH PARTITION r1" "$db"
    wait_until 60 noted "bool_and(state = 'out-streaming')" "AND part = $r1"
    noted "bool_and(state = 'streaming')" "AND part <> $r1"
    pg_sql src "INSERT INTO r VALUES (1500, 'x') ON CONFLICT (id) DO UPDATE SET v = 'x'" "$db"
    caught_up "$conf" src "$db"
    run "$WALPIPE_BIN/walpipe" tables -c "$conf"
    echo "$output"
    [[ "$output" == *"public.r"*"out-streaming"* ]]
    pg_sql src "ALTER TABLE r ATTACH PARTITION r1 FOR VALUES FROM (0) TO (1000)" "$db"
    is_refused_part "$r1"
    copy_again r
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    caught_up "$conf" src "$db"
    equal r
    pipeline_stop "$conf"
    pg_sql src "DROP TABLE r1" "$db"
    pipeline_start "$conf"
    wait_until 60 noted "bool_and(state = 'out-streaming')" "AND part = $r1"
    # When its rows are as they should be, its note may go.
    pg_sql dst "DELETE FROM r WHERE id < 1000; DELETE FROM walpipe.tables WHERE part = $r1" "$db"
    equal r
    pipeline_stop "$conf"
}

@test "the bug was that a table dropped while walpipe was down stayed copying for ever" {
    pg_sql src "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, v text);
        INSERT INTO b SELECT g, repeat('b', 1000) FROM generate_series(1, 30000) g;
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    target_tables
    write_conf yes "copy_rate = 2000000"
    pipeline_start "$conf"
    wait_until 60 noted "bool_or(rows > 5000)" "AND name = 'b'"
    pipeline_stop "$conf"
    pg_sql src "DROP TABLE b" "$db"
    pipeline_start "$conf"
    wait_until 60 noted "bool_and(state = 'out-copying')" "AND name = 'b'"
    pipeline_stop "$conf"
    write_conf no
    pipeline_start "$conf"
    pg_sql src "INSERT INTO a VALUES (1)" "$db"
    caught_up "$conf" src "$db"
    equal a
    pipeline_stop "$conf"
}

@test "a table that the target lacks: exit 100; when it is there, it is copied" {
    two_tables
    pg_sql dst "DROP TABLE b" "$db"
    write_conf
    run_is_refused
    last_error | tee /dev/stderr | jq -e '.message | contains("public.b")'
    pg_sql dst "CREATE TABLE b (id int PRIMARY KEY, v text)" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    changes_arrive 1
    pipeline_stop "$conf"
}

@test "a table without a key is copied with the others, and followed" {
    two_tables
    pg_sql src "CREATE TABLE nokey (v text); INSERT INTO nokey VALUES ('a'), ('a')" "$db"
    pg_sql dst "CREATE TABLE nokey (v text)" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    pg_sql src "INSERT INTO nokey VALUES ('b')" "$db"
    changes_arrive 1
    [ "$(pg_sql dst "SELECT string_agg(v, ',' ORDER BY v) FROM nokey" "$db")" = a,a,b ]
    # It cannot be copied again while it runs; the hint leads on.
    pg_sql dst "UPDATE nokey SET v = 'garbage'" "$db"
    run -100 "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.nokey
    [[ $output == *"public.nokey has no key"*"empty the table and delete its rows from walpipe.tables and walpipe.held"* ]]
    pipeline_stop "$conf"
    pg_sql src "INSERT INTO nokey VALUES ('c')" "$db"
    pg_sql dst "BEGIN; TRUNCATE nokey;
        DELETE FROM walpipe.held WHERE relid = (SELECT relid FROM walpipe.tables WHERE name = 'nokey');
        DELETE FROM walpipe.tables WHERE name = 'nokey'; COMMIT" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    changes_arrive 2
    [ "$(pg_sql dst "SELECT string_agg(v, ',' ORDER BY v) FROM nokey" "$db")" = a,a,b,c ]
    pipeline_stop "$conf"
}
