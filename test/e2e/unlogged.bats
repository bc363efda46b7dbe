#!/usr/bin/env bats
# A copied table that becomes unlogged for a time, whose changes of that time are not sent. It is
# refused, and walpipe resync leads on. VACUUM FULL, CLUSTER and TRUNCATE look like that in part.

bats_require_minimum_version 1.5.0

# Some of its functions are defined in another way below.
load left-out

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    pg_new dst
    ch_new ch
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    left_out_setup
    publications=p
}

teardown() {
    left_out_teardown
}

# notes COLUMNS [CONDITION]: of t
notes() {
    if [ "$into" = pg ]; then
        pg_sql dst "SELECT $1 FROM walpipe.tables WHERE name = 't' AND ${2:-true}" "$db"
    else
        ch_sql ch "SELECT $1 FROM walpipe_tables FINAL WHERE name = 't' AND state <> 'gone' AND ${2:-1}" "$db"
    fi
}

streams() {
    [ -e "$conf.exit" ] || [ "$(notes "count(*)" "state = 'streaming'")" = "${leaves:-2}" ]
}

# begin PUBLICATION [TYPE]: t of 1,000 rows is copied
begin() {
    sql "CREATE TABLE t (k int PRIMARY KEY, v ${2:-text}); CREATE TABLE u (k int PRIMARY KEY, v text);
        INSERT INTO t SELECT i, 7 FROM generate_series(1, 1000) AS i; CREATE PUBLICATION p $1"
    [ "$into" = ch ] ||
        pg_sql dst "CREATE TABLE t (k int PRIMARY KEY, v ${2:-text}); CREATE TABLE u (k int PRIMARY KEY, v text)" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 streams
    pipeline_stop "$conf"
}

refused() {
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q "public.t.* was left out of the sink's tables or of the publication, or was published otherwise or unlogged\|partition of public.t.* or unlogged" "$conf.log"
}

lists() {
    grep -c 'published tables are to be copied' "$conf.log" || true
}

# listed BEFORE: the workers have answered another list
listed() {
    [ -e "$conf.exit" ] || [ "$(lists)" -gt "$1" ]
}

# begin_run: until the workers have answered the first list
begin_run() {
    local before=0
    [ ! -e "$conf.log" ] || before=$(lists)
    pipeline_start "$conf"
    wait_until 60 listed "$before"
}

# equal: it runs, and everything arrives
equal() {
    [ -e "$conf.pid" ] && [ ! -e "$conf.exit" ] || begin_run
    wait_until 60 streams
    sql "UPDATE t SET v = '8' WHERE k = 20"
    caught_up "$conf" src "$db"
    if [ "$into" = pg ]; then
        diff <(pg_digest src t "$db") <(pg_digest dst t "$db")
    else
        diff <(pg_digest src t "$db") <(ch_digest ch t "$db" src "$db")
    fi
    pipeline_stop "$conf"
}

# refused_then_resynced: at each start, until it is copied again
refused_then_resynced() {
    local i
    for i in 1 2; do
        [ "$i" -eq 1 ] && [ -e "$conf.pid" ] && [ ! -e "$conf.exit" ] || pipeline_start "$conf" || true
        refused
    done
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t
    equal
    equal
}

# warned N: of another file
warned() {
    [ "$(grep -c '"message":"public.t has another file: if it was unlogged' "$conf.log")" -eq "$1" ]
}

# stored WORD: the notes name this TOAST table or file
stored() {
    [ "$(notes "count(*)" "definition LIKE '% $1.%'")" = 2 ]
}

toast() {
    printf 't%x' "$(sql "SELECT reltoastrelid FROM pg_class WHERE oid = 't'::regclass")"
}

file() {
    printf 'f%x' "$(sql "SELECT relfilenode FROM pg_class WHERE oid = 't'::regclass")"
}

for_a_time() {
    echo "ALTER TABLE ${1:-t} SET UNLOGGED; DELETE FROM ${1:-t} WHERE k <= 10; ALTER TABLE ${1:-t} SET LOGGED"
}

# The bug was that a warning named it only.
@test "while walpipe is down" {
    begin "FOR ALL TABLES"
    sql "$(for_a_time)"
    refused_then_resynced
    ! warned 1
}

@test "into ClickHouse" {
    into=ch
    begin "FOR ALL TABLES"
    sql "$(for_a_time)"
    refused_then_resynced
}

# The bug was that nothing told of it, because a TRUNCATE also gives the table another file.
@test "a TRUNCATE, and rows that are loaded without a log, while walpipe runs" {
    begin "FOR ALL TABLES"
    begin_run
    sql "BEGIN; TRUNCATE t; ALTER TABLE t SET UNLOGGED; INSERT INTO t SELECT i, 'bulk' FROM generate_series(1, 500) AS i;
        ALTER TABLE t SET LOGGED; COMMIT"
    refused_then_resynced
}

@test "rewritten, truncated and moved: nothing is lost, and nobody is told" {
    begin "FOR ALL TABLES"
    stored "$(toast)"
    sql "SET allow_in_place_tablespaces = on; CREATE TABLESPACE $db LOCATION ''"
    sql "VACUUM FULL t"
    sql "CLUSTER t USING t_pkey"
    sql "REINDEX TABLE t"
    sql "ALTER TABLE t SET TABLESPACE $db"
    sql "DELETE FROM t WHERE k <= 10"
    equal
    sql "TRUNCATE t; INSERT INTO t VALUES (20, 'new'); ALTER TABLE t SET TABLESPACE pg_default"
    sql "DROP TABLESPACE $db"
    equal
    equal
    warned 0
    ! grep '"message":"the pipeline ended because' "$conf.log"
}

# The bug was that nothing told of it.
@test "an entry that made it impossible goes for a time" {
    pg_sql src "CREATE PUBLICATION q" "$db"
    begin "FOR ALL TABLES"
    sql "ALTER PUBLICATION q ADD TABLE t"
    equal
    sql "ALTER PUBLICATION q DROP TABLE t"
    sql "$(for_a_time)"
    sql "ALTER PUBLICATION q ADD TABLE t"
    refused_then_resynced
}

# The bug was that the ranges were read again, and rows that were gone stayed in the target.
@test "while its copy has not ended" {
    sql "CREATE TABLE t (k int PRIMARY KEY, v text); CREATE PUBLICATION p FOR ALL TABLES;
        INSERT INTO t SELECT i, repeat('v', 200) FROM generate_series(1, 100000) AS i"
    pg_sql dst "CREATE TABLE t (k int PRIMARY KEY, v text)" "$db"
    write_conf
    sed -i 's/^copy = yes$/&\ncopy_rate = 1/' "$conf"
    pipeline_start "$conf"
    wait_until 60 eval '[ "$(notes "count(*)" "state = '"'copying'"' AND done <> '"''"'")" -gt 0 ]'
    pipeline_kill "$conf"
    sql "ALTER TABLE t SET UNLOGGED; DELETE FROM t WHERE k <= 500; ALTER TABLE t SET LOGGED"
    write_conf
    refused_then_resynced
}

# The bug was that a warning spoke of a TRUNCATE only.
@test "a partition of a table that is published through its root" {
    local server
    for server in src dst; do
        pg_sql $server "CREATE TABLE t (k int PRIMARY KEY, v text) PARTITION BY RANGE (k);
            CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (500);
            CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (500) TO (5000)" "$db"
    done
    sql "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 1000) AS i;
        CREATE PUBLICATION p FOR TABLE t WITH (publish_via_partition_root = true)"
    leaves=4
    write_conf
    equal
    sql "$(for_a_time t1)"
    refused_then_resynced
}

# VACUUM FULL looks the same.
@test "a table without TOAST is named once, and a TRUNCATE is not taken for that" {
    begin "FOR ALL TABLES" int
    stored "$(file)"
    sql "$(for_a_time)"
    pipeline_start "$conf"
    wait_until 30 warned 1
    wait_until 30 stored "$(file)"
    pipeline_stop "$conf"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t
    equal
    begin_run
    sql "UPDATE t SET v = 9 WHERE k = 21"
    caught_up "$conf" src "$db"
    sql "TRUNCATE t; INSERT INTO t VALUES (20, 1)"
    caught_up "$conf" src "$db"
    wait_until 30 stored "$(file)"
    equal
    equal
    warned 1
}

@test "a table whose TOAST table a rewrite takes away, since it has no wide column any more" {
    begin "FOR ALL TABLES" "int, w text"
    stored "$(toast)"
    for server in src dst; do
        pg_sql $server "ALTER TABLE t DROP w" "$db"
    done
    begin_run
    pipeline_stop "$conf"
    sql "$(for_a_time)"
    [ "$(toast)" = t0 ]
    pipeline_start "$conf"
    wait_until 30 warned 1
    pipeline_stop "$conf"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t
    equal
    warned 1
}

@test "ALTER TABLE gives it other values" {
    begin "FOR ALL TABLES"
    sql "ALTER TABLE t ALTER v TYPE text USING v || 'x'"
    refused_then_resynced
}

@test "ALTER TABLE gives other values to a table with an entry of its own" {
    begin "FOR TABLE t"
    sql "VACUUM FULL t; ALTER TABLE t ADD w float DEFAULT random(); ALTER TABLE t DROP w"
    equal
    warned 0
    sql "ALTER TABLE t ALTER v TYPE text USING v || 'x'"
    pipeline_start "$conf"
    wait_until 30 warned 1
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t
    equal
}
