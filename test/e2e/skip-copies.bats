#!/usr/bin/env bats
# walpipe skip beside copies: rows that are copied are of no transaction that could be skipped, and a
# table lacks what was skipped until all its rows have been copied again.

bats_require_minimum_version 1.5.0

load ../lib/copied

fails() {
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
}

skip_last_error() {
    lsn=$(grep '"level":"error","program":"sink-pg".*"lsn"' "$conf.log" | tail -n 1 | sed 's/.*"lsn":"\([^"]*\)".*/\1/')
    "$WALPIPE_BIN/walpipe" skip -c "$conf" --sink dst --lsn "$lsn"
}

lacks() {
    "$WALPIPE_BIN/walpipe" tables -c "$conf" --json | jq -c '.sinks[0].lacks | map([.table, .changes])'
}

@test "the bug was that a row that is copied was said to be of a transaction that can be skipped" {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v text); CREATE TABLE u (k serial PRIMARY KEY);
        INSERT INTO t SELECT i, CASE i WHEN 9000 THEN 'bad' ELSE 'good' END FROM generate_series(1, 10000) i;
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    pg_sql dst "CREATE TABLE t (k int PRIMARY KEY, v text, CHECK (v <> 'bad')); CREATE TABLE u (k int PRIMARY KEY)" "$db"
    write_conf yes "copy_rate = 100000" "batch_rows = 100"
    pipeline_start "$conf" || true
    # Transactions with several pieces, with whose commits the ranges go.
    for _ in {1..200}; do
        [ ! -s "$conf.exit" ] || break
        pg_sql src "INSERT INTO u SELECT FROM generate_series(1, 150)" "$db"
    done
    fails
    grep '"program":"sink-pg".*(k)=(9000).*drop or change the constraint' "$conf.log" >"$dir/error"
    run grep -e "walpipe skip" -e '"lsn"' "$dir/error"
    [ "$status" -eq 1 ]
}

@test "the bug was that a missing key's copy counted as one of all rows, which a table lacked" {
    pg_sql src "CREATE TABLE r (k int PRIMARY KEY, n int, big text) PARTITION BY RANGE (k);
        CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (1000);
        ALTER TABLE r1 ALTER big SET STORAGE EXTERNAL; CREATE PUBLICATION p FOR TABLE r WITH (publish_via_partition_root)" "$db"
    pg_sql dst "CREATE TABLE r (k int PRIMARY KEY, n int CHECK (n < 100), big text)" "$db"
    write_conf no
    pipeline_start "$conf"
    pg_sql src "INSERT INTO r SELECT i, i, repeat('x', 5000) FROM generate_series(1, 10) i" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    sed -i 's/^copy = no/copy = yes/' "$conf"
    pipeline_start "$conf"
    wait_until 60 all_streaming 1
    pg_sql src "BEGIN; DELETE FROM r WHERE k = 5; INSERT INTO r SELECT i, i, repeat('x', 5000) FROM generate_series(95, 105) i; COMMIT" "$db"
    fails
    skip_last_error
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    [ "$(lacks)" = '[["r",12]]' ]
    # The value that is not in the update is missing.
    pg_sql src "UPDATE r SET n = 1 WHERE k = 95; DELETE FROM r WHERE k >= 100" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    pipeline_start "$conf"
    wait_until 60 eval '[ "$(pg_sql dst "SELECT length(big) FROM r WHERE k = 95" "$db")" = 5000 ]'
    wait_until 60 all_streaming 1
    pipeline_stop "$conf"
    pipeline_start "$conf"
    [ "$(pg_sql dst "SELECT count(*) FROM r WHERE k = 5" "$db")" = 1 ]
    [ "$(lacks)" = '[["r",12]]' ]
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.r --wait
    equal r
    [ "$(lacks)" = '[]' ]
    pipeline_stop "$conf"
}
