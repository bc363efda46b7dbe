#!/usr/bin/env bats
# Tables that leave the publication and come back while walpipe is down. The changes of that time are
# not in the stream, so the copied table is refused, and walpipe resync leads on.

bats_require_minimum_version 1.5.0

load ../lib/copied

source=src

teardown() {
    copied_teardown
    [ "$source" = src ] || end_process "$(pg_pid "$source")" INT 20
}

# write_conf [PIPELINE_LINES [COPY]]
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
log_level = debug
copy = ${2:-yes}
${1:-}
[source]
conninfo = $(pg_conninfo "$source" "$db")
slot = $db
publication = ${publications:-p}
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
flush_interval = 50ms
shards = 2
CONF
}

sql() {
    pg_sql "$source" "$1" "$db"
}

# tables PUBLICATION: t and u of 1,000 rows
tables() {
    local table
    for table in t u; do
        sql "CREATE TABLE $table (k int PRIMARY KEY, v text);
            INSERT INTO $table SELECT i, repeat('v', 100) FROM generate_series(1, 1000) AS i"
        pg_sql dst "CREATE TABLE $table (k int PRIMARY KEY, v text)" "$db"
    done
    sql "CREATE PUBLICATION p $1"
}

# all_are STATE NOTES
all_are() {
    [ -e "$conf.exit" ] || [ "$(pg_sql dst "SELECT count(*) FILTER (WHERE state = '$1') = $2
        FROM walpipe.tables WHERE relid <> 0" "$db")" = t ]
}

# Changes of t of which walpipe hears nothing.
unheard() {
    sql "DELETE FROM t WHERE k <= 10; UPDATE t SET v = 'unheard' WHERE k = 11; INSERT INTO t VALUES (0, 'unheard')"
}

refused_at_start() {
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q "public.t.* was left out of the sink's tables or of the publication\|partition of public.t" "$conf.log"
}

# refused_then_resynced NOTES: a second start changes nothing
refused_then_resynced() {
    refused_at_start
    refused_at_start
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t
    runs_on "$1"
}

# runs_on NOTES
runs_on() {
    pipeline_start "$conf"
    wait_until 60 all_are streaming "$1"
    sql "UPDATE t SET v = 'more' WHERE k = 20; UPDATE u SET v = 'more' WHERE k = 20"
    caught_up "$conf" "$source" "$db"
    equal t u
    pipeline_stop "$conf"
}

begin() {
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_are streaming "$1"
    pipeline_stop "$conf"
}

# leaves_and_comes_back LEAVE COME
leaves_and_comes_back() {
    sql "$1"
    unheard
    sql "$2"
}

# The bug was that these were only named in a warning.
@test "a table that left the publication and came back while walpipe was down is refused" {
    tables "FOR TABLE t, u"
    begin 4
    leaves_and_comes_back "ALTER PUBLICATION p DROP TABLE t" "ALTER PUBLICATION p ADD TABLE t"
    refused_then_resynced 4
    runs_on 4
}

# The bug was that it stayed by the entry with a filter.
@test "it left one of two publications and came back, and the other one has a filter" {
    tables "FOR TABLE t, u"
    sql "CREATE PUBLICATION q FOR TABLE t WHERE (k > 500)"
    publications=p,q
    begin 4
    runs_on 4
    leaves_and_comes_back "ALTER PUBLICATION p DROP TABLE t" "ALTER PUBLICATION p ADD TABLE t"
    refused_then_resynced 4
    # while it runs
    pipeline_start "$conf"
    wait_until 60 all_are streaming 4
    leaves_and_comes_back "ALTER PUBLICATION p DROP TABLE t" "ALTER PUBLICATION p ADD TABLE t"
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t
    runs_on 4
}

lists() {
    grep -c 'published tables are to be copied' "$conf.log"
}

# The bugs were that it was listed again and again until the copy had ended, and a false warning.
@test "a publication of somebody else, made while a table is copied, costs no lists and no warning" {
    tables "FOR TABLE t, u"
    write_conf "copy_rate = 20000"
    pipeline_start "$conf"
    wait_until 60 has_some_rows
    sql "CREATE PUBLICATION unrelated FOR ALL TABLES"
    wait_until 60 all_are streaming 4
    has_two_entries() {
        [ -e "$conf.exit" ] || [ "$(pg_sql dst "SELECT bool_and(definition ~ '(,.*){2}') FROM walpipe.tables WHERE name = 't'" "$db")" = t ]
    }
    wait_until 60 has_two_entries
    pipeline_stop "$conf"
    cat "$conf.log" | grep 'are to be copied'
    [ "$(lists)" -le 5 ]
    ! grep 'changed after it was copied' "$conf.log"
}

@test "its schema left and came back" {
    tables "FOR TABLES IN SCHEMA public"
    begin 4
    leaves_and_comes_back "ALTER PUBLICATION p DROP TABLES IN SCHEMA public" \
        "ALTER PUBLICATION p ADD TABLES IN SCHEMA public"
    refused_at_start
    for table in t u; do
        "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.$table
    done
    runs_on 4
}

@test "what stayed is not refused: SET TABLE, a second publication, options, rewrites of the catalog" {
    tables "FOR TABLE t, u"
    sql "CREATE PUBLICATION q FOR TABLE t; CREATE TABLE w (k int PRIMARY KEY); CREATE PUBLICATION every FOR ALL TABLES"
    pg_sql dst "CREATE TABLE w (k int PRIMARY KEY)" "$db"
    begin 4
    sql "ALTER PUBLICATION p SET TABLE t, u, w; ALTER PUBLICATION p OWNER TO CURRENT_USER"
    sql "VACUUM FULL pg_publication_rel; VACUUM FULL pg_publication; VACUUM FULL pg_inherits; VACUUM FULL t"
    runs_on 6
    # q takes over from p, and then all tables
    publications=p,q write_conf
    runs_on 6
    sql "ALTER PUBLICATION p SET TABLE u, w"
    runs_on 6
    publications=q,every write_conf
    runs_on 6
    sql "ALTER PUBLICATION q DROP TABLE t"
    runs_on 6
    # a publication that is made while walpipe runs
    pipeline_start "$conf"
    sql "CREATE PUBLICATION late FOR TABLE t, u, w"
    wait_until 30 has_three_entries
    pipeline_stop "$conf"
    publications=late write_conf
    runs_on 6
    ! grep '"message":"the pipeline ended because' "$conf.log"
}

# u is in p, every and late
has_three_entries() {
    [ -e "$conf.exit" ] || [ "$(pg_sql dst "SELECT bool_and(definition ~ '(,.*){3}') FROM walpipe.tables WHERE name = 'u'" "$db")" = t ]
}

@test "so it is of a table whose copy had not ended" {
    tables "FOR TABLE t, u"
    write_conf "copy_rate = 20000"
    pipeline_start "$conf"
    wait_until 60 has_some_rows
    pipeline_kill "$conf"
    [ "$(pg_sql dst "SELECT count(*) > 0 FROM walpipe.tables WHERE state = 'copying' AND name = 't'" "$db")" = t ]
    leaves_and_comes_back "ALTER PUBLICATION p DROP TABLE t" "ALTER PUBLICATION p ADD TABLE t"
    write_conf
    refused_then_resynced 4
}

has_some_rows() {
    [ "$(pg_sql dst "SELECT count(*) FROM t" "$db")" -gt 0 ]
}

@test "the hint's other way: nothing was lost, so the definition of now is taken" {
    tables "FOR TABLE t, u"
    begin 4
    sql "ALTER PUBLICATION p DROP TABLE t"
    sql "ALTER PUBLICATION p ADD TABLE t"
    refused_at_start
    grep -q "remove 'out-' from state and set definition = ''" "$conf.log"
    pg_sql dst "UPDATE walpipe.tables SET definition = '' WHERE name = 't'" "$db"
    runs_on 4
    runs_on 4
}

@test "a partition that was detached and attached again while walpipe was down" {
    sql "CREATE TABLE t (k int PRIMARY KEY, v text) PARTITION BY RANGE (k);
        CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (500);
        CREATE TABLE high PARTITION OF t FOR VALUES FROM (500) TO (9000);
        INSERT INTO t SELECT i, 'v' FROM generate_series(1, 1000) AS i;
        CREATE TABLE u (k int PRIMARY KEY, v text);
        CREATE PUBLICATION p FOR TABLE t, u WITH (publish_via_partition_root)"
    pg_sql dst "CREATE TABLE t (k int PRIMARY KEY, v text); CREATE TABLE u (k int PRIMARY KEY, v text)" "$db"
    begin 6
    sql "ALTER TABLE t DETACH PARTITION low; UPDATE low SET v = 'unheard' WHERE k < 10; DELETE FROM low WHERE k = 20;
        ALTER TABLE t ATTACH PARTITION low FOR VALUES FROM (0) TO (500)"
    refused_then_resynced 6
}

# of_major MAJOR
of_major() {
    source "$BATS_TEST_DIRNAME/../lib/majors.bash"
    major_or_skip "$1"
    source=pg$1
    major_new "$source" "$1"
    pg_sql "$source" "CREATE DATABASE $db"
    tables "FOR TABLE t, u"
    begin 4
    sql "ALTER PUBLICATION p SET TABLE t, u"
    runs_on 4
    leaves_and_comes_back "ALTER PUBLICATION p DROP TABLE t" "ALTER PUBLICATION p ADD TABLE t"
    refused_then_resynced 4
}

@test "a source of 10" {
    of_major 10
}

@test "a source of 14" {
    of_major 14
}

@test "a source of 18" {
    of_major 18
}
