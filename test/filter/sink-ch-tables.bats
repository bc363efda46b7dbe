#!/usr/bin/env bats
# sink-ch alone: the tables of the target are checked, made and changed; --check.

load sink-ch

# ---- tables ----

unfit() { # CREATE-STATEMENT MESSAGE
    q "DROP TABLE IF EXISTS t"
    q "$1"
    small >"$DIR/in"
    exits 100 sink <"$DIR/in"
    log_has "$2"
}

@test "a target that would keep wrong rows is refused before the first row (trap 113)" {
    small >"$DIR/in"
    exits 100 sink <"$DIR/in"
    log_has 'for rows of \"public.t\" does not exist in ClickHouse'
    own="_version UInt64, _is_deleted UInt8"
    replacing="ENGINE = ReplacingMergeTree(_version)"
    unfit "CREATE TABLE t (id Int32, v String, $own) $replacing ORDER BY (id, v)" 'is not a key column of the source'
    unfit "CREATE TABLE t (id Int32, v String, $own) $replacing ORDER BY (id, _version)" '\"_version\" in the sorting key'
    unfit "CREATE TABLE t (id Int32, v String, $own) $replacing ORDER BY tuple()" 'lacks key columns'
    unfit "CREATE TABLE t (id Int32, v String, $own) $replacing ORDER BY intDiv(id, 10)" 'is not a key column'
    unfit "CREATE TABLE t (id Int32, v String, $own) $replacing PARTITION BY v ORDER BY id" 'partitioned by \"v\"'
    unfit "CREATE TABLE t (id Int32, v String, $own) ENGINE = MergeTree ORDER BY id" 'the engine of'
    unfit "CREATE TABLE t (id Int32, v String, $own) ENGINE = ReplacingMergeTree ORDER BY id" 'is not versioned by column'
    unfit "CREATE TABLE t (id Int32, v String, $own, w UInt64) ENGINE = ReplacingMergeTree(w) ORDER BY id" 'is not versioned by column'
    unfit "CREATE TABLE t (id Int32, v String, _version UInt64) $replacing ORDER BY id" 'no deleted column'
    unfit "CREATE TABLE t (id Int32, v String, _version UInt32, _is_deleted UInt8) $replacing ORDER BY id" 'no version column'
    unfit "CREATE TABLE t (id Int32, $own) $replacing ORDER BY id" 'has no column \"v\"'
    unfit "CREATE TABLE t (id UUID, v String, $own) $replacing ORDER BY id" 'column \"id\" of'
    q "DROP TABLE t"
    q "CREATE TABLE t (id Int32, v String, $own) $replacing PARTITION BY intDiv(id, 10) ORDER BY id"
    sink <"$DIR/in"
    is "SELECT id FROM t" 1
    q "DROP TABLE t"
    q "CREATE TABLE t (id Int32, v String DEFAULT 'it\\'s ENGINE = Log(', $own) $replacing ORDER BY id"
    sink <"$DIR/in"
    is "SELECT id FROM t" 1
}

@test "the bug was that a table's description cost an old server a file read for each table it has" {
    small >"$DIR/in"
    fake '{}'
    sink <"$DIR/in"
    [ "$(inserts)" = 1 ]
    jq -r .query "$DIR/requests" >"$DIR/queries"
    grep -q 'FROM system.tables' "$DIR/queries"
    exits 1 grep -E 'engine_full|create_table_query' "$DIR/queries"
}

@test "the bug was that two source tables went into one table of ClickHouse and replaced each other's rows" {
    table t 'id Int32, v String' id
    table a_b 'id Int32, v String' id
    events >"$DIR/in" <<'EOF'
for n, (s, t) in enumerate((("public", "x1"), ("public", "x2"), ("a", "b"), ("public", "a_b")), 1):
    e.table(n, s, t, [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "x1"]); e.insert(2, ["1", "x2"]); e.commit(); e.end()
EOF
    map='public.x1 -> t, public.x2 -> t'
    exits 100 sink --map "$map" <"$DIR/in"
    log_has "tables \\\"public.x1\\\" and \\\"public.x2\\\" of the source both go to \`$DB\`.\`t\`"
    log_has 'set map for one of them'
    is "SELECT count() FROM t" 0
    reached_is 0
    events >"$DIR/relations" <<'EOF'
for n, (s, t) in enumerate((("public", "x1"), ("public", "x2"), ("a", "b"), ("public", "a_b")), 1):
    e.table(n, s, t, [col("id", True, INT4), col("v")])
e.end()
EOF
    exits 100 sink --check --map "$map" <"$DIR/relations" >"$DIR/out"
    grep -F 'FAIL  table public.x2: tables "public.x1" and "public.x2" of the source both go to' "$DIR/out"
    grep -F 'FAIL  table public.a_b: tables "a.b" and "public.a_b" of the source both go to' "$DIR/out"
    [ "$(grep -c ^FAIL "$DIR/out")" -eq 2 ]
    # a table that was made anew has the same name and another relid; one without rows is not written
    events >"$DIR/again" <<'EOF'
e.table(1, "public", "x1", [col("id", True, INT4), col("v")])
e.table(3, "public", "x2", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "x1"]); e.commit()
e.table(2, "public", "x1", [col("id", True, INT4), col("v")])
e.begin(); e.insert(2, ["2", "anew"]); e.commit(); e.end()
EOF
    sink --map "$map" <"$DIR/again"
    is "SELECT id, v FROM t ORDER BY id" $'1 x1\n2 anew'
}

@test "the bug was that two keys of the source became one row: conversions of keys must be one-to-one" {
    local pair type oid what
    own="_version UInt64, _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version) ORDER BY k"
    for pair in "Int32 25 1 and 01" "UUID 25 1 and 01" "DateTime 1043 1 and 01" "Float64 1700 last digits" \
        "Float32 701 last digits" "Decimal(9,2) 25 1 and 01" "UInt8 16999 1 and 01"; do
        read -r type oid what <<<"$pair"
        q "DROP TABLE IF EXISTS t"
        q "CREATE TABLE t (k $type, v String, $own"
        events >"$DIR/in" <<EOF
e.table(1, "public", "t", [col("k", True, $oid), col("v")]); e.end()
EOF
        exits 100 sink --check <"$DIR/in" >"$DIR/out"
        grep -F "FAIL  table public.t: key column \"k\" of \`$DB\`.\`t\` is ${type/,/, }:" "$DIR/out" | grep -F "$what"
    done
    # one-to-one: numbers from numbers, uuid from uuid, a hash that fills its column
    for pair in "Int64 1700" "UUID 2950" "Float64 701" "String 25" "FixedString(4) 25" "DateTime 1114" "UInt8 16"; do
        read -r type oid <<<"$pair"
        q "DROP TABLE t"
        q "CREATE TABLE t (k $type, v String, $own"
        events >"$DIR/in" <<EOF
e.table(1, "public", "t", [col("k", True, $oid), col("v")]); e.end()
EOF
        sink --check <"$DIR/in" >"$DIR/out"
    done
    q "DROP TABLE t"
    q "CREATE TABLE t (k FixedString(4), v String, $own"
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("k", True, 17), col("v")])
e.begin(); e.insert(1, ["\\x61626364", "whole"]); e.commit()
e.begin(); e.insert(1, ["\\x6100", "short"]); e.commit(); e.end()
EOF
    exits 100 sink <"$DIR/in"
    log_has '2 bytes in a key would be filled with zeros to FixedString(4)'
}

changed() { # COLUMNS ROW LSN: the stream of one more row of t
    events <<EOF
e = Events(lsn=$3, sink="olap", shards=1)
e.table(1, "public", "t", [$1])
e.begin(); e.insert(1, [$2]); e.commit(); e.end()
EOF
}

@test "the bug was that the view of current rows kept the types and columns of its creation" {
    changed 'col("id", True, INT4), col("n", False, INT4), col("old")' '"1", "2", "a"' 0x2000 >"$DIR/one"
    sink --create-tables <"$DIR/one"
    is "SELECT * FROM t_current" "1 2 a"
    # int to bigint, as walpipe's own hint says
    q "ALTER TABLE t MODIFY COLUMN n Nullable(Int64)"
    changed 'col("id", True, INT4), col("n", False, 20), col("old")' '"2", "3000000000", "b"' 0x3000 >"$DIR/two"
    sink --create-tables <"$DIR/two"
    is "SELECT * FROM t_current ORDER BY id" $'1 2 a\n2 3000000000 b'
    # RENAME COLUMN old TO new
    changed 'col("id", True, INT4), col("n", False, 20), col("new")' '"3", "4", "c"' 0x4000 >"$DIR/three"
    sink --create-tables <"$DIR/three"
    is "SELECT id, n, new FROM t_current WHERE id = 3" "3 4 c"
    is "SELECT name FROM system.columns WHERE database = '$DB' AND table = 't_current'" $'id\nn\nnew'
    [ "$(grep -c 'made the view of current rows' "$DIR/log")" -eq 2 ]
    # DROP COLUMN n
    changed 'col("id", True, INT4), col("new")' '"4", "d"' 0x5000 >"$DIR/four"
    sink --create-tables <"$DIR/four"
    sink --create-tables <"$DIR/four"
    is "SELECT * FROM t_current WHERE id = 4" "4 d"
    [ "$(grep -c 'made the view of current rows' "$DIR/log")" -eq 3 ]
}

@test "the bug was that a worker stopped when another one had just dropped the view to make it anew" {
    small >"$DIR/in"
    fake '{"dropped": ["t_current"]}'
    sink --create-tables <"$DIR/in"
    [ "$(inserts)" = 1 ]
    jq -r .query "$DIR/requests" >"$DIR/queries"
    grep -q '^DESCRIBE TABLE .*t_current' "$DIR/queries"
    grep -q '^CREATE VIEW IF NOT EXISTS .*t_current' "$DIR/queries"
}

@test "a view or table that somebody else named like the view of current rows stays as it is" {
    local select
    changed 'col("id", True, INT4), col("v")' '"1", "a"' 0x2000 >"$DIR/one"
    sink --create-tables <"$DIR/one"
    q "DROP TABLE t_current"
    for select in "SELECT id, upper(v) AS v FROM t FINAL WHERE _is_deleted = 0" "SELECT id FROM t FINAL WHERE _is_deleted = 0 AND id = 1" \
        "SELECT id, v AS w FROM t FINAL WHERE _is_deleted = 0" "SELECT id FROM t FINAL WHERE _is_deleted = 1"; do
        q "CREATE VIEW t_current AS $select"
        q "SHOW CREATE TABLE t_current" >"$DIR/before"
        sink --create-tables <"$DIR/one"
        q "SHOW CREATE TABLE t_current" | cmp - "$DIR/before"
        q "DROP TABLE t_current"
    done
    q "CREATE TABLE t_current (id Int32) ENGINE = Memory"
    sink --create-tables <"$DIR/one"
    log_has "\`$DB\`.\`t\` has no view of its current rows: something else has the name t_current"
}

@test "the bug was that a source column named like the version column was tried for ever" {
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("_version")])
e.begin(); e.insert(1, ["1", "a"]); e.commit(); e.end()
EOF
    exits 100 sink --create-tables <"$DIR/in"
    log_has 'cannot create table'
    log_has 'the source has a column named like the version or the deleted column; choose others with version_column'
    sink --create-tables --version-column v --deleted-column d <"$DIR/in"
    is "SELECT id, _version FROM t_current" "1 a"
}

@test "the bug was that a name too long for ClickHouse's files was tried for ever" {
    events >"$DIR/in" <<'EOF'
e.table(1, "ü" * 31, "ä" * 31, [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.commit(); e.end()
EOF
    exits 100 sink --create-tables <"$DIR/in"
    log_has 'its name is too long for a file of ClickHouse'
    map="$(printf 'ü%.0s' {1..31}).$(printf 'ä%.0s' {1..31}) -> t"
    sink --create-tables --map "$map" <"$DIR/in"
    is "SELECT count() FROM t" 1
}

@test "the bug was that key columns with quotes, tabs or brackets in their names were refused" {
    local name
    for name in "owner's id" $'a\tb' 'a`b' 'a)b, (c' 'back\\slash' "''"; do
        q "DROP TABLE IF EXISTS t"
        q "DROP TABLE IF EXISTS t_current"
        NAME=$name events >"$DIR/in" <<'EOF'
import os
e.table(1, "public", "t", [col(os.environ["NAME"], True, INT4), col("second", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "2", "a"]); e.commit(); e.end()
EOF
        sink --create-tables <"$DIR/in"
        sink --create-tables <"$DIR/in"
        is "SELECT count() FROM t_current" 1
    done
}

@test "a source table cannot go to a view or a Buffer, nor to walpipe's own table" {
    events >"$DIR/in" <<'EOF'
for n, t in enumerate(("orders", "orders_current", "walpipe_progress"), 1):
    e.table(n, "public", t, [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.commit()
e.begin(); e.insert(2, ["1", "a"]); e.commit(); e.end()
EOF
    exits 100 sink --create-tables <"$DIR/in"
    log_has "\`$DB\`.\`orders_current\` is a view"
    log_has 'if this is the view of current rows of another table, set map for one of the two'
    sink --create-tables --map 'public.orders_current -> other' <"$DIR/in"
    q "CREATE TABLE behind (v String) ENGINE = MergeTree ORDER BY tuple()"
    q "CREATE TABLE buffer (v String) ENGINE = Buffer('$DB', 'behind', 1, 10, 100, 10, 1000, 1000, 1000000)"
    events >"$DIR/buffered" <<'EOF'
e.table(1, "public", "buffer", [col("v")], identity="n")
e.begin(); e.insert(1, ["a"]); e.commit(); e.end()
EOF
    exits 100 sink <"$DIR/buffered"
    log_has "\`$DB\`.\`buffer\` is a Buffer, which answers while its rows are only in memory"
    events >"$DIR/own" <<'EOF'
e.table(1, "public", "walpipe_progress", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.commit(); e.end()
EOF
    exits 100 sink --create-tables <"$DIR/own"
    log_has 'where walpipe keeps notes of its own'
}

@test "the bug was that a user who may not write passed --check" {
    table t 'id Int32, v String' id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")]); e.end()
EOF
    sink --check <"$DIR/in"
    is "SELECT count() FROM t" 0
    sed -i 's#<profiles>#<profiles><reader><readonly>2</readonly></reader>#; s#</users>#<reader><password></password><networks><ip>127.0.0.1</ip></networks><profile>reader</profile><quota>default</quota></reader></users>#' "$SCRATCH/ch/users.xml"
    # touched, since the server looks at whole seconds only
    reader_is_known() { touch "$SCRATCH/ch/users.xml" && curl -s "$URL/?user=reader&query=SELECT+1" | grep -qx 1; }
    wait_until 30 reader_is_known
    exits 100 sink --check --user reader <"$DIR/in" >"$DIR/out"
    grep -F 'FAIL  the ClickHouse user is read-only' "$DIR/out"
    grep -F 'FAIL  table public.t: could not insert no rows' "$DIR/out"
}

@test "the bug was that a user who may not use DDL passed --check of create_tables" {
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")]); e.end()
EOF
    sed -i 's#<profiles>#<profiles><plain><allow_ddl>0</allow_ddl></plain>#; s#</users>#<plain><password></password><networks><ip>127.0.0.1</ip></networks><profile>plain</profile><quota>default</quota></plain></users>#' "$SCRATCH/ch/users.xml"
    plain_is_known() { touch "$SCRATCH/ch/users.xml" && curl -s --noproxy '*' "$URL/?user=plain&query=SELECT+1" | grep -qx 1; }
    wait_until 30 plain_is_known
    exits 100 sink --check --create-tables --user plain <"$DIR/in" >"$DIR/out"
    grep -F 'FAIL  the ClickHouse user may not use DDL' "$DIR/out"
}

@test "relations without rows need no target (trap 56)" {
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "leaf", [col("id", True, INT4)])
e.begin(); e.commit(); e.end()
EOF
    sink --create-tables <"$DIR/in"
    reached_is 2028
    is "SELECT count() FROM system.tables WHERE database = '$DB' AND name != 'walpipe_progress'" 0
}

@test "--create-tables: tables, views of current rows, columns that come later" {
    events >"$DIR/in" <<'EOF'
cols = [col("a", True, INT4), col("b", True), col("flag", oid=BOOL), col("n", oid=NUMERIC, typmod=(10 << 16 | 2) + 4),
    col("m", oid=NUMERIC), col("u", oid=UUID), col("d", oid=1082), col("ts", oid=1184), col("ts0", oid=1184, typmod=0),
    col("f", oid=701), col("dom", oid=20001, type_name="int8"), col("mood", oid=20002, type_schema="public", type_name="mood")]
e.table(1, "s", "t", cols)
e.table(2, "public", "log", [col("line")], identity="n")
row = ["t", "1.50", "1e", "00112233-4455-6677-8899-aabbccddeeff", "2020-02-29", "2020-01-01 00:00:00.123+00", "2020-01-01 00:00:00+00", "1.5", "7", "ok"]
row[2] = "123.4567"
e.begin(); e.insert(1, ["1", "x"] + row); e.insert(1, ["2", "x"] + [None] * 10); e.insert(1, ["3", "x"] + [None] * 10)
e.delete(1, key=["3", "x"] + [None] * 10); e.insert(2, ["l"]); e.commit()
e.begin()
e.table(1, "s", "t", cols + [col("later", oid=INT4)])
e.insert(1, ["4", "y"] + row + ["44"]); e.commit(); e.end()
EOF
    sink --create-tables <"$DIR/in"
    is "SELECT * FROM s_t_current WHERE a IN (1, 4) ORDER BY a" "1 x 1 1.50 123.4567 00112233-4455-6677-8899-aabbccddeeff 2020-02-29 2020-01-01 00:00:00.123+00 2020-01-01 00:00:00 1.5 7 ok \\N
4 y 1 1.50 123.4567 00112233-4455-6677-8899-aabbccddeeff 2020-02-29 2020-01-01 00:00:00.123+00 2020-01-01 00:00:00 1.5 7 ok 44"
    is "SELECT count() FROM s_t_current" 3
    is "SELECT line FROM log" l
    is "SELECT name, type FROM system.columns WHERE database = '$DB' AND table = 's_t' AND name IN ('a', 'flag', 'n', 'm', 'ts0', 'dom', '_version')" \
        "a Int32
flag Nullable(UInt8)
n Nullable(Decimal(10, 2))
m Nullable(String)
ts0 Nullable(DateTime(\\'UTC\\'))
dom Nullable(Int64)
_version UInt64"
    sink --create-tables <"$DIR/in"
    is "SELECT count() FROM s_t_current" 3
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "f", [col("id", True, INT4)], identity="f")
e.begin(); e.insert(1, ["1"]); e.commit(); e.end()
EOF
    exits 100 sink --create-tables <"$DIR/in"
    log_has "doesn't say which columns are the key"
}

@test "a new column under REPLICA IDENTITY FULL is in the view too, unless somebody made that view" {
    # The bug was that only tables with another identity got their view made anew.
    events >"$DIR/in" <<'EOF'
cols = [col("id", True, INT4), col("v")]
full = [col("id", True, INT4), col("v", True), col("later", True)]
e.table(1, "public", "t", cols); e.table(2, "public", "mine", cols)
e.begin(); e.insert(1, ["1", "a"]); e.insert(2, ["1", "a"]); e.commit()
e.begin(); e.table(1, "public", "t", full, identity="f"); e.table(2, "public", "mine", full, identity="f")
e.insert(1, ["2", "b", "new"]); e.insert(2, ["2", "b", "new"]); e.commit(); e.end()
EOF
    q "CREATE TABLE mine (id Int32, v Nullable(String), _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY id"
    q "CREATE VIEW mine_current AS SELECT id * 10 AS ten FROM mine FINAL"
    sink --create-tables <"$DIR/in"
    is "SELECT id, v, later FROM t_current ORDER BY id" "1 a \\N
2 b new"
    is "SELECT * FROM mine_current ORDER BY ten" "10
20"
    is "SELECT later FROM mine WHERE id = 2" new
}

# ---- check ----

@test "--check names a server that brings truncated rows back" {
    ch_new reviving
    ch_stop reviving
    sed -i 's#<old_parts_lifetime>1</old_parts_lifetime>##' "$SCRATCH/reviving/config.xml"
    ch_start reviving
    events >"$DIR/in" <<'EOF'
e.end()
EOF
    timeout -s KILL 60 "$WALPIPE_BIN/sink-ch" --check --url "$(ch_url reviving)" --database default \
        <"$DIR/in" >"$DIR/out" 3>&-
    grep '^warn  ClickHouse 18.16.1 keeps merged parts for 480 s, .*<old_parts_lifetime>1</old_parts_lifetime>' "$DIR/out"
    ch_stop reviving
}

@test "--check: one line a finding, exit 0 or 100, nothing is written" {
    table good "id Int32, v String" id
    q "CREATE TABLE bad (id Int32, v Int32, _version UInt64, _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version) ORDER BY (id, v)"
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "good", [col("id", True, INT4), col("v")])
e.end()
EOF
    check() {
        timeout -s KILL 60 "$WALPIPE_BIN/sink-ch" --check --url "$URL" --database "$DB" "$@" 2>>"$DIR/log" 3>&-
    }
    check <"$DIR/in" >"$DIR/out"
    grep '^ok    ClickHouse 18.16.1 at' "$DIR/out"
    exits 1 grep 'keeps merged parts' "$DIR/out"
    grep '^ok    table public.good -> `'"$DB"'`.`good`: 2 columns' "$DIR/out"
    exits 1 grep FAIL "$DIR/out"
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "good", [col("id", True, INT4), col("v")])
e.table(2, "public", "bad", [col("id", True, INT4), col("v", oid=17), col("w")])
e.table(3, "public", "missing", [col("id", True, INT4)])
e.table(4, "public", "full", [col("id", True, INT4)], identity="f")
e.end()
EOF
    exits 100 check <"$DIR/in" >"$DIR/out"
    [ "$(grep -c '^FAIL  table public.bad' "$DIR/out")" = 3 ]
    grep '^FAIL  table public.missing: the target table does not exist' "$DIR/out"
    exits 100 check --create-tables <"$DIR/in" >"$DIR/out"
    grep '^ok    table public.missing .*will be created' "$DIR/out"
    grep '^FAIL  table public.full: under REPLICA IDENTITY FULL' "$DIR/out"
    is "SELECT count() FROM system.tables WHERE database = '$DB'" 2
    URL=http://127.0.0.1:1
    exits 100 check <"$DIR/in" >"$DIR/out"
    grep '^FAIL  ClickHouse at http://127.0.0.1:1' "$DIR/out"
}
