#!/usr/bin/env bats
# sink-ch alone and a ClickHouse of today: what older servers do not know.

WALPIPE_CH=modern
load sink-ch
load sink-ch-ddl
load sink-ch-choices
load sink-ch-altered
load sink-ch-keyless
load sink-ch-copy
load sink-ch-copy-keyless

# An update without its large value, which has to be read back.
read_back() { # COLUMN
    q "CREATE TABLE t (id Int32, $1 String, n Int32, _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY id"
    events >"$DIR/one" <<EOF
e.table(1, "public", "t", [col("id", True, INT4), col("$1"), col("n", False, INT4)])
e.begin(); e.insert(1, ["1", "large", "1"]); e.commit(); e.end()
EOF
    events >"$DIR/two" <<EOF
e = Events(lsn=0x3000, sink="olap", shards=1)
e.table(1, "public", "t", [col("id", True, INT4), col("$1"), col("n", False, INT4)])
e.begin(); e.update(1, ["1", UNCHANGED, "2"]); e.commit(); e.end()
EOF
    sink <"$DIR/one"
}

@test "the bug was that final = 1 in the profile hid the tombstones from a read-back" {
    q "CREATE TABLE t (id Int32, v String, n Int32, _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id"
    q "SET final = 1"
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v"), col("n", False, INT4)])
e.begin(); e.insert(1, ["1", "large", "1"]); e.commit()
e.begin(); e.delete(1, key=["1", None, None]); e.commit(); e.end()
EOF
    sink <"$DIR/in"
    # a replay that begins behind the insert, before anything was noted
    q "TRUNCATE TABLE walpipe_progress"
    events >"$DIR/replay" <<'EOF'
e = Events(lsn=0x2020, sink="olap", shards=1)
e.table(1, "public", "t", [col("id", True, INT4), col("v"), col("n", False, INT4)])
e.begin(); e.update(1, ["1", UNCHANGED, "2"]); e.commit(); e.end()
EOF
    q "SET final = 1"
    sink <"$DIR/replay"
    q "SET final = 0"
    is "SELECT count() FROM t FINAL" 0
}

@test "the bug was that equal inserts into a table without a key were taken for one that is repeated" {
    q "CREATE TABLE t (v String) ENGINE = MergeTree ORDER BY tuple() SETTINGS non_replicated_deduplication_window = 100"
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("v")], identity="n")
for i in range(5):
    e.begin(); e.insert(1, ["same"]); e.commit()
e.end()
EOF
    sink --batch-rows 1 <"$DIR/in"
    is "SELECT count() FROM t" 5
}

@test "the bug was that a profile with the query cache was asked for its version for ever" {
    table t 'id Int32, v String' id
    small >"$DIR/in"
    q "SET use_query_cache = 1, query_cache_nondeterministic_function_handling = 'throw', query_cache_system_table_handling = 'throw'"
    sink <"$DIR/in"
    q "SET use_query_cache = 0"
    is "SELECT count() FROM t" 1
}
@test "the bug was that a column named keys hid the keys of a read-back" {
    read_back keys
    sink <"$DIR/two"
    is "SELECT id, keys, n FROM t FINAL" "1 large 2"
}


@test "older rows and DDL of the source: as on the old ClickHouse" {
    columns_with_defaults
}

@test "a column whose older values nobody knows, as on the old ClickHouse" {
    columns_without_a_value
}

@test "DDL that is not followed, as on the old ClickHouse" {
    ddl_that_is_not_followed
}

@test "a column whose name ClickHouse keeps for itself, as on the old ClickHouse" {
    column_not_taken _row_exists 'reserved for persistent virtual column'
}

@test "the bug was that a replicated table on a server without ZooKeeper was tried for ever" {
    without_zookeeper
}

@test "the bug was that rows were misread and confirmed after a column got another type, as on the old ClickHouse" {
    altered_columns
}

@test "rows of a table without a key after a kill, as on the old ClickHouse" {
    restarts_add_no_row
}

@test "rows of a table without a key after lost answers, as on the old ClickHouse" {
    lost_answers_add_no_row
}

@test "a column or a table that goes while the sink runs, as on the old ClickHouse" {
    columns_that_go
}

# A truncate at commit LSN 0x2100, between rows.
truncated_between() {
    events <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.commit()
e.begin(); e.insert(1, ["2", "b"]); e.truncate([1]); e.insert(1, ["3", "c"]); e.commit(); e.end()
EOF
}

later_rows() {
    events <<'EOF'
e = Events(lsn=0x4000, sink="olap", shards=1)
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["4", "d"]); e.update(1, ["3", "e"]); e.commit(); e.end()
EOF
}

comment() {
    q "SELECT comment FROM system.columns WHERE database = '$DB' AND table = 't' AND name = '_version'"
}

@test "the bug was that rows were dropped silently after the version column became a UInt128" {
    table t 'id Int32, v String' id
    truncated_between >"$DIR/one"
    later_rows >"$DIR/two"
    sink <"$DIR/one"
    note=$(comment)
    [ "$note" = "walpipe: truncated at $((0x2100 / 4 * 16384 + 2)).0; rows of 7000000000000000001/1 public.t" ]
    # as a person does who has large transactions: a new table, the old one's rows and comment
    q "CREATE TABLE wide (id Int32, v String, _version UInt128 COMMENT '$note', _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id"
    q "INSERT INTO wide SELECT * FROM t"
    q "EXCHANGE TABLES t AND wide" || { q "RENAME TABLE t TO narrow"; q "RENAME TABLE wide TO t"; }
    sink <"$DIR/two"
    is "SELECT id, v FROM t FINAL ORDER BY id" "3 e
4 d"
    # and what comes again is not truncated again, nor back
    sink <"$DIR/one"
    sink <"$DIR/two"
    is "SELECT id, v FROM t FINAL ORDER BY id" "3 e
4 d"
}

@test "a UInt128 that became a UInt64 keeps the note of a truncate" {
    q "CREATE TABLE t (id Int32, v String, _version UInt128, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id"
    truncated_between >"$DIR/one"
    later_rows >"$DIR/two"
    sink <"$DIR/one"
    note=$(comment)
    [ "$note" = "walpipe: truncated at $((0x2100)).2; rows of 7000000000000000001/1 public.t" ]
    q "DROP TABLE t"
    q "CREATE TABLE t (id Int32, v String, _version UInt64 COMMENT '$note', _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id"
    q "INSERT INTO t VALUES (3, 'c', 0, 0), (9, 'stays', 0, 0)"
    sink <"$DIR/one"
    sink <"$DIR/two"
    is "SELECT id, v FROM t FINAL ORDER BY id" "3 e
4 d
9 stays"
}

@test "tables by choice, as on the old ClickHouse" {
    tables_by_choice
}

@test "a choice that is younger than the table, as on the old ClickHouse" {
    older_tables
}

@test "choices that would lose or merge rows, as on the old ClickHouse" {
    choices_that_lose_rows
}

@test "later columns by choice, as on the old ClickHouse" {
    later_columns_by_choice
}

@test "json becomes a JSON column by choice" {
    orders >"$DIR/in"
    sink --create-tables --json json <"$DIR/in"
    is "SELECT doc.a FROM orders FINAL WHERE tenant = 1" 1
    is "SELECT type FROM system.columns WHERE database = '$DB' AND table = 'orders' AND name = 'doc'" 'Nullable(JSON)'
}

# ---- a table that is copied (sink-ch-copy.bash) ----

@test "a table is copied while it changes: rows, changes of rows that are not there yet, notes" {
    check_copy
}

@test "a copied row wins against the tombstone of another row that had its key" {
    check_moved
}

@test "random sources are copied while they change, sink-ch is killed: right at every position, equal in the end" {
    check_random
}

# ---- a table without a key that is copied (sink-ch-copy-keyless.bash) ----

@test "what the snapshot contains comes with the ranges, what it lacks is added; a replay adds nothing" {
    check_keyless
}

@test "kill -9 at each step: the copy begins again with an empty table, each row is there once" {
    check_keyless_kills
}
