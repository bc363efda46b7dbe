#!/usr/bin/env bats
# walpipe check of what a copy needs; where it fails, walpipe run stops as well.

bats_require_minimum_version 1.5.0

load ../lib/copied

# says STATUS LINE...: check ends with STATUS and has these lines, as patterns of their beginning.
says() {
    local want=$1 line
    shift
    run "$WALPIPE_BIN/walpipe" check -c "$conf"
    echo "$output"
    [ "$status" -eq "$want" ] || return 1
    for line in "$@"; do
        grep -E "^$line" <<<"$output" || {
            echo "no line $line"
            return 1
        }
    done
}

# The source is read as the role that the test has made.
as_copier() {
    sed -i "/^\[source\]/,/^conninfo/s|^conninfo.*|conninfo = $(pg_conninfo src "$db") user=copier_$db|" "$conf"
}

@test "check: a target table that has rows, until its copy has begun" {
    two_tables
    pg_sql dst "INSERT INTO b VALUES (1, 'theirs')" "$db"
    pg_sql src "ANALYZE" "$db"
    write_conf
    says 100 "FAIL  sink dst: public.b is to be copied and has rows already: if nothing else" \
        "ok    copy: 2 table\(s\), about [0-9.]+ [kM]B on the source"
    run ! grep "public.a is to be copied" <<<"$output"
    pg_sql dst "TRUNCATE b" "$db"
    says 0
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    pipeline_stop "$conf"
    says 0
    # with copy = no nobody asks
    drop_slot
    pg_sql dst "DROP SCHEMA walpipe CASCADE" "$db"
    rm -r "$dir/state"
    says 100 "FAIL  sink dst: public.a is to be copied"
    write_conf no
    says 0
    run ! grep "copy" <<<"$output"
}

# The bug was that rows of a table that inherits from the target's counted as its own.
@test "a target table is copied although tables that inherit from it have rows" {
    two_tables
    pg_sql dst "CREATE TABLE archive (kept int) INHERITS (b); INSERT INTO archive VALUES (7, 'kept', 1)" "$db"
    write_conf
    says 0
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    pipeline_stop "$conf"
    [ "$(pg_sql dst "SELECT count(*) FROM archive" "$db")" = 1 ]
    [ "$(pg_sql dst "SELECT count(*) FROM ONLY b" "$db")" = "$(pg_sql src "SELECT count(*) FROM b" "$db")" ]
}

@test "check: rows that came with copy = no are not refused" {
    two_tables
    load_target
    write_conf no
    pipeline_start "$conf"
    changes_arrive 1
    pipeline_stop "$conf"
    write_conf yes
    says 0
    run ! grep "origin = none" <<<"$output"
    sed -i 's/^slot = .*/&\norigin = none/' "$conf"
    says 0 "warn  copy: origin = none .* only one may copy"
}

@test "check and run: rights on the source, row-level security, a table without a key" {
    two_tables
    pg_sql src "CREATE ROLE copier_$db LOGIN REPLICATION; REVOKE ALL ON SCHEMA public FROM public;
        CREATE SCHEMA hidden;
        CREATE TABLE hidden.c (id int PRIMARY KEY);
        CREATE TABLE guarded (id int PRIMARY KEY); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
        CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY);
        CREATE TABLE nokey (v text);
        GRANT USAGE ON SCHEMA public TO copier_$db;
        GRANT SELECT ON a, hidden.c, guarded, nokey TO copier_$db" "$db"
    pg_sql dst "CREATE SCHEMA hidden; CREATE TABLE hidden.c (id int PRIMARY KEY);
        CREATE TABLE guarded (id int PRIMARY KEY); CREATE TABLE nokey (v text)" "$db"
    write_conf
    as_copier
    says 100 "FAIL  copy: the role lacks SELECT on public.b: grant it" \
        "FAIL  copy: the role lacks USAGE on the schema of hidden.c: grant it" \
        "FAIL  copy: public.guarded has row-level security .*BYPASSRLS" \
        "warn  copy: public.nokey has no key: a snapshot stays open" \
        "warn  copy: public.scratch is unlogged"
    run ! grep "lacks.* public.a" <<<"$output"
    # run stops at each of them too, and what check says mends it
    sed -i "s/^flush_interval.*/&\ntables = public.*, hidden.*, !public.nokey/" "$conf"
    run_is_refused "exit code 100: .*public.b"
    pg_sql src "GRANT SELECT ON b TO copier_$db; GRANT USAGE ON SCHEMA hidden TO copier_$db" "$db"
    run_is_refused "exit code 100: .*guarded"
    pg_sql src "ALTER ROLE copier_$db BYPASSRLS" "$db"
    says 0
    pipeline_start "$conf"
    wait_until 60 all_streaming 4
    pipeline_stop "$conf"
    pg_sql src "DROP OWNED BY copier_$db; DROP ROLE copier_$db" "$db"
}

@test "check: the partitions of a table that is published as one" {
    pg_sql src "CREATE TABLE root (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10);
        CREATE TABLE high PARTITION OF root FOR VALUES FROM (10) TO (20);
        INSERT INTO root VALUES (1), (11);
        CREATE PUBLICATION p FOR TABLE root WITH (publish_via_partition_root);
        CREATE ROLE copier_$db LOGIN REPLICATION; GRANT SELECT ON root, high TO copier_$db" "$db"
    pg_sql dst "CREATE TABLE root (id int PRIMARY KEY, v text)" "$db"
    write_conf
    as_copier
    says 100 "FAIL  copy: the role lacks SELECT on public.low"
    run_is_refused "exit code 100: .*public.low"
    pg_sql src "GRANT SELECT ON low TO copier_$db" "$db"
    says 0 "ok    copy: 1 table"
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    equal root
    pipeline_stop "$conf"
    # the rows of a foreign table are nobody's
    pg_sql src "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER none FOREIGN DATA WRAPPER nothing;
        CREATE TABLE far (id int) PARTITION BY RANGE (id);
        CREATE FOREIGN TABLE away PARTITION OF far FOR VALUES FROM (0) TO (9) SERVER none;
        ALTER PUBLICATION p ADD TABLE far; GRANT SELECT ON far TO copier_$db" "$db"
    says 100 "warn  copy: public.away is a foreign table"
    pg_sql src "DROP OWNED BY copier_$db; DROP ROLE copier_$db" "$db"
}
