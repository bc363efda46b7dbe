#!/usr/bin/env bats
# sink-ch alone: tables without a key, to which rows are only added. sink-ch-modern.bats has the same on
# a ClickHouse of today.

load sink-ch-keyless

@test "the bug was that rows of a table without a key were there twice after a kill" {
    restarts_add_no_row
}

@test "the bug was that rows of a table without a key were there twice after an answer was lost" {
    lost_answers_add_no_row
}

@test "a table without a key and version: what comes again is named, with a way out that is safe" {
    q "CREATE TABLE t (id Int32, v String) ENGINE = MergeTree ORDER BY tuple()"
    killed_behind_an_insert
    is "SELECT max(lsn) FROM walpipe_progress WHERE shards > 0" $((0x2028))
    keyless 1 30 >"$DIR/in"
    sink <"$DIR/in"
    log_has 'table \"public.t\": its changes from 0/2000 up to 0/3301 come again, and may be in'
    is "SELECT count() FROM t" 50
    # as the message says, in a table without the rows that are there twice
    q "CREATE TABLE once AS t"
    q "INSERT INTO once SELECT DISTINCT * FROM t WHERE id < 25"
    q "DROP TABLE t"
    q "RENAME TABLE once TO t"
    q "ALTER TABLE t ADD COLUMN _version UInt64"
    : >"$DIR/log"
    keyless 31 40 >"$DIR/more"
    sink <"$DIR/more"
    sink <"$DIR/more"
    is "SELECT count(), sum(id) FROM t" "34 655"
    exits 1 grep -F 'come again' "$DIR/log"
}

@test "late changes of a very large transaction share a version: none of them is lost" {
    q "CREATE TABLE t (id Int32, v String, _version UInt64) ENGINE = MergeTree ORDER BY tuple()"
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", False, INT4), col("v")], identity="n")
e.begin()
for i in range(1, 20001): e.insert(1, [str(i), "same"])
e.commit(); e.end()
EOF
    sink <"$DIR/in"
    is "SELECT count() FROM t" 20000
    q "CREATE TABLE some AS t"
    q "INSERT INTO some SELECT * FROM t WHERE id % 3 = 0"
    q "DROP TABLE t"
    q "RENAME TABLE some TO t"
    sink <"$DIR/in"
    is "SELECT uniqExact(id), countIf(id < 16383) FROM t" "20000 16382"
}
