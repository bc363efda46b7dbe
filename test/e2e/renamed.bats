#!/usr/bin/env bats
# A table that gets another name in the source while the sink copies, or follows what it has copied: its
# changes go to the target table that has its rows, or the run ends.

bats_require_minimum_version 1.5.0

load ../lib/copied

# begin [SHARDS]: t and u have 1000 rows each and are streaming.
begin() {
    local server
    for server in src dst; do
        pg_sql $server "CREATE TABLE t (k int PRIMARY KEY, v text); CREATE TABLE u (k int PRIMARY KEY, v text)" "$db"
    done
    pg_sql src "INSERT INTO t SELECT g, 't' FROM generate_series(1, 1000) AS g;
        INSERT INTO u SELECT g, 'u' FROM generate_series(1, 1000) AS g; CREATE PUBLICATION p FOR ALL TABLES" "$db"
    write_conf yes "" "shards = ${1:-1}"
    pipeline_start "$conf"
    wait_until 60 all_streaming 2 "${1:-1}"
}

# refused WORDS: the run ends with 100, and says so.
refused() {
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep '^{' "$conf.log" | jq -r 'select(.level == "error").message' | tail -n 8 | grep -F "$1"
}

# starts_refused WORDS: the next start does as well.
starts_refused() {
    pipeline_start "$conf" || true
    refused "$1"
}

# exchanged: what the hint says, for t and u.
exchanged() {
    pg_sql dst "UPDATE walpipe.tables SET name = CASE name WHEN 't' THEN 'u' ELSE 't' END, target = '' WHERE relid <> 0" "$db"
}

goes_on() {
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
}

changes() {
    local table
    for table in "$@"; do
        echo "UPDATE $table SET v = v || 'x' WHERE k % 10 = 0; DELETE FROM $table WHERE k % 10 = 1;
            INSERT INTO $table SELECT max(k) + 1, 'new' FROM $table;"
    done
}

@test "the bug was that a renamed table went on in an empty target, which the hint had made" {
    begin
    pg_sql src "$(changes t) ALTER TABLE t RENAME TO t2; $(changes t2)" "$db"
    refused "t2"
    pg_sql dst "CREATE TABLE t2 (k int PRIMARY KEY, v text)" "$db"
    starts_refused 'the rows of public.t2 are in "public"."t", and its changes go to "public"."t2" now'
    starts_refused 'the rows of public.t2 are in "public"."t", and its changes go to "public"."t2" now'
    [ "$(pg_sql dst "SELECT count(*) FROM t2" "$db")" -eq 0 ]
    pg_sql dst "DROP TABLE t2; ALTER TABLE t RENAME TO t2" "$db"
    goes_on
    equal t2 u
    pg_sql src "$(changes t2 u)" "$db"
    caught_up "$conf" src "$db"
    equal t2 u
    pipeline_stop "$conf"
    # its note has the new name
    goes_on
    pg_sql src "$(changes t2 u)" "$db"
    caught_up "$conf" src "$db"
    equal t2 u
    pipeline_stop "$conf"
}

@test "so it did with create_tables" {
    begin 2
    sed -i 's/^type = pg/&\ncreate_tables = yes/' "$conf"
    pipeline_stop "$conf"
    pg_sql src "ALTER TABLE t RENAME TO t2; ALTER INDEX t_pkey RENAME TO t2_pkey; $(changes t2)" "$db"
    starts_refused 'the rows of public.t2 are in "public"."t", and its changes go to "public"."t2" now'
    # the hint's other way
    pg_sql dst "BEGIN; TRUNCATE t2; DELETE FROM walpipe.held; UPDATE walpipe.tables SET state = 'waiting', done = '', rows = 0
        WHERE relid = $(pg_sql src "SELECT 't2'::regclass::oid" "$db"); COMMIT" "$db"
    goes_on
    wait_until 60 all_streaming 2 2
    caught_up "$conf" src "$db"
    equal t2 u
    pipeline_stop "$conf"
}

@test "two copied tables change names while it runs: first in the source, then in the target" {
    local swap="BEGIN; ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t; ALTER TABLE x RENAME TO u; COMMIT;"
    begin
    pg_sql src "$(changes t u) $swap $(changes t)" "$db"
    refused 'the rows of public.t are in "public"."u", and its changes go to "public"."t" now'
    pg_sql dst "$swap" "$db"
    starts_refused ', and its changes go to "public".'
    exchanged
    goes_on
    equal t u
    pg_sql src "$(changes t u)" "$db"
    caught_up "$conf" src "$db"
    equal t u
    pipeline_stop "$conf"
}

@test "the same while it is stopped" {
    local swap="BEGIN; ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t; ALTER TABLE x RENAME TO u; COMMIT;"
    begin
    pipeline_stop "$conf"
    pg_sql src "$swap $(changes t u)" "$db"
    starts_refused ', and its changes go to "public".'
    pg_sql dst "$swap" "$db"
    exchanged
    goes_on
    equal t u
    pipeline_stop "$conf"
}

@test "the bug was that changes which came again under the old name were refused" {
    begin
    cat >>"$conf" <<CONF
[sink beside]
type = exec
copy = no
command = exec /usr/bin/python3 $BATS_TEST_DIRNAME/exec_sink.py $dir/beside
CONF
    pipeline_stop "$conf"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    "$WALPIPE_BIN/walpipe" pause -c "$conf" --sink beside
    pg_sql src "$(changes t) ALTER TABLE t RENAME TO t2; $(changes t2)" "$db"
    refused "the rows of public.t2 are in"
    pg_sql dst "ALTER TABLE t RENAME TO t2" "$db"
    pipeline_start "$conf"
    pg_sql src "$(changes t2 u)" "$db"
    wait_until 60 equal t2 u
    # the paused sink holds the slot in front of all of them
    pipeline_kill "$conf"
    pipeline_start "$conf"
    pg_sql src "$(changes t2 u)" "$db"
    wait_until 60 equal t2 u
    "$WALPIPE_BIN/walpipe" resume -c "$conf" --sink beside
    caught_up "$conf" src "$db"
    equal t2 u
    pipeline_stop "$conf"
}

@test "a table gets another name and a new one has its name: behind the resync that the hint names, both are copied" {
    begin
    pipeline_stop "$conf"
    pg_sql src "ALTER TABLE t RENAME TO t_old; ALTER INDEX t_pkey RENAME TO t_old_pkey; CREATE TABLE t (k int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'new')" "$db"
    starts_refused "public.t cannot be copied: the source's table was dropped and made again, or a new one has the name"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t
    pg_sql dst "CREATE TABLE t_old (k int PRIMARY KEY, v text)" "$db"
    goes_on
    wait_until 60 all_streaming 3
    pg_sql src "$(changes t_old u)" "$db"
    caught_up "$conf" src "$db"
    equal t t_old u
    pipeline_stop "$conf"
}

@test "the target is renamed too early" {
    begin
    pipeline_stop "$conf"
    pg_sql src "$(changes t)" "$db"
    pg_sql dst "ALTER TABLE t RENAME TO t2" "$db"
    starts_refused "there is no table public.t in the target"
    pg_sql dst "ALTER TABLE t2 RENAME TO t" "$db"
    goes_on
    equal t u
    pipeline_stop "$conf"
}

@test "a schema is renamed, and a sink that takes no copies any more" {
    local server
    for server in src dst; do
        pg_sql $server "CREATE SCHEMA app; CREATE TABLE app.t (k int PRIMARY KEY, v text)" "$db"
    done
    pg_sql src "INSERT INTO app.t SELECT g, 't' FROM generate_series(1, 1000) AS g; CREATE PUBLICATION p FOR ALL TABLES" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 1
    pipeline_stop "$conf"
    sed -i 's/^copy = yes/copy = no/' "$conf"
    pg_sql src "ALTER SCHEMA app RENAME TO app2; $(changes app2.t)" "$db"
    pg_sql dst "CREATE SCHEMA app2; CREATE TABLE app2.t (k int PRIMARY KEY, v text)" "$db"
    starts_refused 'the rows of app2.t are in "app"."t", and its changes go to "app2"."t" now'
    pg_sql dst "DROP SCHEMA app2 CASCADE; ALTER SCHEMA app RENAME TO app2" "$db"
    goes_on
    equal app2.t
    pipeline_stop "$conf"
}

@test "notes of an older walpipe, with and without copies" {
    local copy
    begin
    for copy in yes no; do
        pipeline_stop "$conf"
        pg_sql dst "ALTER TABLE walpipe.tables DROP target" "$db"
        sed -i "s/^copy = .*/copy = $copy/" "$conf"
        pg_sql src "$(changes t u)" "$db"
        goes_on
        equal t u
    done
    pipeline_stop "$conf"
}

@test "a target table that was dropped has all rows again when the hint is followed" {
    begin
    pg_sql dst "DROP TABLE t" "$db"
    pg_sql src "$(changes t)" "$db"
    refused "there is no table public.t in the target"
    grep -q "if it was there before, also run walpipe resync for it" "$conf.log"
    pg_sql dst "CREATE TABLE t (k int PRIMARY KEY, v text)" "$db"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t
    goes_on
    wait_until 60 all_streaming 2
    caught_up "$conf" src "$db"
    equal t u
    pipeline_stop "$conf"
}
